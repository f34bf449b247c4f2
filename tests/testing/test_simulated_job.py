"""simulate_job: it passes an exact loader, and finds out what others do wrong under kills."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from aisio.testing import simulate_job
from aisio.testing.resumable_job import ResumableLoader
from aisio.testing.simulated_job import SimulatedJob

COUNT = 60


class Exact:
    """Numbers in batches, dealt out to the ranks in turn; the state is how many are gone."""

    def __init__(self, rank: int, ranks: int, size: int = 1) -> None:
        self.rank, self.ranks, self.size = rank, ranks, size
        self.epoch = self.gone = 0

    def __iter__(self) -> Iterator[list[int]]:
        while self.gone < COUNT:
            start = self.gone + self.rank * self.size
            self.gone = min(COUNT, self.gone + self.ranks * self.size)
            if start < COUNT:
                yield list(range(start, min(start + self.size, COUNT)))
        self.epoch, self.gone = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return how many are gone."""
        return {"gone": self.gone, "epoch": self.epoch}

    def load_state_dict(self, state: Any) -> None:
        """Go there."""
        self.gone, self.epoch = state["gone"], state["epoch"]


class CountsPrefetched(Exact):
    """Says that the next batch has gone as well."""

    def state_dict(self) -> dict[str, Any]:
        """Return too many."""
        gone = self.gone + self.ranks * self.size if self.gone else 0
        return {"gone": min(COUNT, gone), "epoch": self.epoch}


class Forgetful(Exact):
    """Begins the epoch again."""

    def load_state_dict(self, state: Any) -> None:
        """Go to the epoch."""
        self.epoch = state["epoch"]


def simulate(
    loader: type[ResumableLoader], seed: int = 1, topologies: Any = None, **arguments: Any
) -> SimulatedJob:
    """Run a job that is killed often."""
    topologies = topologies or [1, 2, {"ranks": 3, "size": 4}]
    return simulate_job(
        loader,
        range(COUNT),
        lambda batch: batch,
        topologies=topologies,
        seed=seed,
        **{"steps_between_kills": 5, "steps_between_checkpoints": 2, **arguments},
    )


def test_an_exact_loader_passes() -> None:
    """Whatever the seed; some kills lose work, which comes again."""
    jobs = [simulate(Exact, seed, epochs=2) for seed in range(30)]
    assert {(job.epochs, job.committed) for job in jobs} == {(2, 2 * COUNT)}
    assert sum(job.kills for job in jobs) > 90
    assert sum(job.forgotten > 0 for job in jobs) > 20
    assert max(job.kills for job in jobs) == 5
    assert {len(job.topologies) - job.kills for job in jobs} == {1}


def test_a_seed_gives_the_same_job() -> None:
    """So a failure can be repeated."""
    assert simulate(Exact, 4) == simulate(Exact, 4)
    assert simulate(Exact, 4) != simulate(Exact, 5)


def test_each_start_has_another_topology() -> None:
    """Or the only one that there is."""
    for seed in range(10):
        started = simulate(Exact, seed, [1, 2]).topologies
        assert all(one != another for one, another in pairwise(started))
    assert set(simulate(Exact, 4, [2]).topologies) == {2}


def test_a_job_that_is_not_killed() -> None:
    """Has one topology, and forgets nothing."""
    job = simulate(Exact, max_kills=0, topologies=[2])
    assert (job.topologies, job.kills, job.forgotten, job.committed) == ([2], 0, 0, COUNT)


def test_without_a_checkpoint_everything_is_forgotten() -> None:
    """A kill begins the job again."""
    job = simulate(Exact, steps_between_checkpoints=1e9, topologies=[1], steps_between_kills=30)
    assert (job.checkpoints, job.max_state_bytes) == (0, 0)
    assert job.forgotten > 0
    assert job.committed == COUNT


def test_a_checkpoint_behind_each_step_loses_little() -> None:
    """A kill comes while it is written, or between two ranks."""
    job = simulate(Exact, steps_between_checkpoints=1, topologies=[1])
    assert job.checkpoints > job.kills == 5
    assert 0 < job.max_state_bytes < 40


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (
            CountsPrefetched,
            r"seed \d+, on .* ranks.*, then .*: in epoch 0 \d+ samples did not come",
        ),
        (Forgetful, r"in epoch 0 \d+ samples came more than once: \d+"),
    ],
)
def test_what_is_wrong_is_found(loader: type[Exact], message: str) -> None:
    """With the seed, and which samples."""
    with pytest.raises(AssertionError, match=message):
        simulate(loader, seed=0)


def test_a_state_has_a_limit() -> None:
    """Which a chain of restarts keeps as well."""
    with pytest.raises(AssertionError, match="a state of .* bytes: at most 20 are allowed"):
        simulate(Exact, max_state_bytes=20)


class Uneven(Exact):
    """Has a batch more on the first ranks."""

    def __init__(self, rank: int, ranks: int) -> None:
        super().__init__(rank, ranks, 7)


def test_ranks_may_differ_by_a_batch_at_the_end() -> None:
    """The others wait for those that have one more."""
    jobs = [simulate(Uneven, seed, topologies=[1, 2, 4], epochs=2) for seed in range(20)]
    assert {job.committed for job in jobs} == {2 * COUNT}


class Pads(Exact):
    """Repeats the first numbers, so that all ranks have as many."""

    def __iter__(self) -> Iterator[list[int]]:
        while self.gone < COUNT:
            mine = self.gone + self.rank
            self.gone = min(COUNT, self.gone + self.ranks)
            yield [mine % COUNT]
        self.epoch, self.gone = self.epoch + 1, 0


def test_so_many_may_come_once_more() -> None:
    """In each of the runs of an epoch."""
    simulate(Pads, topologies=[7], max_repeated=3)
    with pytest.raises(AssertionError, match="3 samples came more than once: [012], [012], [012]$"):
        simulate(Pads, topologies=[7], max_kills=0, max_repeated=2)


def test_so_many_may_be_missing() -> None:
    """As where ranks are made equal by dropping."""

    class Drops(Exact):
        def __iter__(self) -> Iterator[list[int]]:
            for batch in super().__iter__():
                yield [sample for sample in batch if sample < COUNT - 2]

    simulate(Drops, max_dropped=2)
    with pytest.raises(AssertionError, match="in epoch 0 2 samples did not come: 58, 59"):
        simulate(Drops, max_dropped=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"topologies": []}, "there are no topologies"),
        ({"topologies": [0]}, "topology 0 has no ranks"),
        ({"samples": []}, "there are no samples"),
        ({"epochs": 0}, "epochs=0, max_kills=5: at least 1 and 0 are needed"),
        ({"max_kills": -1}, "max_kills=-1"),
        ({"steps_between_kills": 0}, "must be above 0"),
    ],
)
def test_what_would_check_nothing_is_refused(arguments: dict[str, Any], message: str) -> None:
    """It would pass whatever the loader does."""
    arguments = {"samples": range(COUNT), "topologies": [1], **arguments}
    with pytest.raises(ValueError, match=message):
        simulate_job(Forgetful, samples_of=lambda batch: batch, **arguments)
