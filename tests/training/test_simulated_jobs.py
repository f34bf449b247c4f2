"""Random chains of kills and restarts: over the arithmetic of orders and states, and by packs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch  # noqa: F401 - the loader needs it

from aisio.testing import simulate_job
from aisio.training.loader import Loader
from aisio.training.order.cut import Topology
from aisio.training.order.position import Position
from tests.training.packs import ShardsOfNumbers
from tests.training.simulated_loader import SimulatedLoader, Work

CHAINS = 200
PACK_CHAINS = 12


def random_topology(random: Random, equalize: str) -> Topology:
    """Return any topology of a small job."""
    return Topology(
        ranks=random.randint(1, 6),
        workers=random.randint(1, 5),
        batch_size=random.randint(1, 9),
        window=random.choice([1, random.randint(2, 40)]),
        equalize=equalize,  # type: ignore[arg-type]
    )


def run_chain(seed: int, equalize: str, work: Work) -> int:
    """Run a job of two epochs, and return how often it was killed."""
    random = Random(seed)
    start = Position(
        samples=random.randint(60, 400),
        seed=seed,
        shuffle=random.random() < 0.9,
        pack=random.randint(1, 20),
    )
    prefetch = random.randint(0, 4)

    def make_loader(rank: int, ranks: int, **others: Any) -> SimulatedLoader:
        topology = Topology(ranks, **others)
        return SimulatedLoader(rank, topology, start, work, random, prefetch)

    topologies = [random_topology(random, equalize) for _ in range(4)]
    steps = max(one.ranks * one.batch_size for one in topologies)
    job = simulate_job(
        make_loader,
        range(start.samples),
        lambda batch: batch,
        topologies=[asdict(one) for one in topologies],
        seed=seed,
        epochs=2,
        max_kills=6,
        steps_between_kills=random.choice([2, 5, 15]),
        steps_between_checkpoints=random.choice([1, 2, 5]),
        max_dropped=steps - 1 if equalize == "drop" else 0,
        max_repeated=steps - 1 if equalize == "pad" else 0,
        max_state_bytes=600,
    )
    assert job.epochs == 2
    return job.kills


@pytest.mark.parametrize("equalize", ["drop", "pad", "none"])
def test_a_job_that_is_killed_gives_each_sample_once(
    equalize: str, pytestconfig: pytest.Config
) -> None:
    """Whatever was killed when, whatever workers had read ahead, and whoever went on."""
    work = Work()
    chains = (pytestconfig.getoption("chains") or CHAINS) // 3 + 1
    kills = sum(run_chain(seed, equalize, work) for seed in range(chains))
    assert kills > 2 * chains
    assert work.made > work.received  # what was read ahead of a kill came again


def run_pack_chain(make: ShardsOfNumbers, seed: int, equalize: str) -> int:
    """Run a job of two epochs that reads packs of shards, and return how often it was killed."""
    random = Random(seed)
    samples, shuffle = random.choice([61, 103, 140]), random.random() < 0.9
    skip = random.sample(range(samples), random.choice([0, 0, 5]))

    def make_loader(rank: int, ranks: int, **others: Any) -> Loader:
        job: dict[str, Any] = {"shuffle": shuffle, "seed": seed, "equalize": equalize, "skip": skip}
        return make(samples, ranks=(rank, ranks), **job, **others)

    topologies = [
        {
            "ranks": random.randint(1, 4),
            "batch_size": random.randint(1, 9),
            "window": random.randint(1, 50),
        }
        for _ in range(4)
    ]
    steps = max(one["ranks"] * one["batch_size"] for one in topologies)
    job = simulate_job(
        make_loader,
        sorted(set(range(samples)) - set(skip)),
        lambda batch: batch.tolist(),
        topologies=topologies,
        seed=seed,
        epochs=2,
        max_kills=6,
        steps_between_kills=random.choice([2, 5, 15]),
        steps_between_checkpoints=random.choice([1, 2, 5]),
        max_dropped=steps - 1 if equalize == "drop" else 0,
        max_repeated=steps - 1 if equalize == "pad" else 0,
        max_state_bytes=700,
    )
    return job.kills


@pytest.mark.parametrize("equalize", ["drop", "pad", "none"])
def test_a_killed_job_that_reads_packs_gives_each_sample_once(
    equalize: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The samples themselves, read by ranges of their shards."""
    make = ShardsOfNumbers(tmp_path)
    chains = (pytestconfig.getoption("chains") or PACK_CHAINS) // 3 + 1
    assert sum(run_pack_chain(make, seed, equalize) for seed in range(chains)) > chains
