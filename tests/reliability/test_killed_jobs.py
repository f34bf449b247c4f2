"""Training jobs that are killed at random batches, and go on with other ranks and workers."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path
from random import Random
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch  # noqa: F401

from aisio.client.client import Client
from aisio.gateway import Gateway
from tests.reliability.training_job import BUCKET, SHARDS, Launcher, Run, Trainer
from tests.tars import pack

CHAINS = 20
PARTS = 4
NAMES = [f"{'x' * (number % 7)}{number:03d}" for number in range(60)]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway that has the samples."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        bucket = Client(gateway.endpoint).bucket(BUCKET).create()
        for name in NAMES:
            bucket.object(name).put(bytes([len(name)]) * 5000)
        shards = Client(gateway.endpoint).bucket(SHARDS).create()
        for start in range(0, len(NAMES), 17):
            members = [(f"{name}.bin", bytes([len(name)]) * 5000) for name in NAMES[start:][:17]]
            shards.object(f"{start:03d}.tar").put(pack(*members))
        yield gateway.endpoint


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Return what starts trainers, which index shards into a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AISIO_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        launcher = Launcher()
    yield launcher
    launcher.close()


class Job:
    """One epoch, over all starts of the job."""

    def __init__(
        self, launcher: Launcher, endpoint: str, folder: Path, random: Random, *, packs: bool
    ) -> None:
        self.launcher = launcher
        self.endpoint = endpoint
        self.folder = folder
        self.random = random
        self.equalize = random.choice(["drop", "pad", "none"])
        self.packs = packs
        self.state = ""
        self.committed: Counter[str] = Counter()
        self.runs: list[Run] = []
        self.pids: set[int] = set()

    def run(self, kill_at: int | None) -> bool:
        """Start the job, kill it at a step unless it ends before, and return whether it ended."""
        run = Run(
            self.endpoint,
            self.folder / f"run-{len(self.runs)}",
            ranks=self.random.randint(1, 3),
            workers=self.random.choice([0, 1, 2, 2]),
            batch_size=self.random.randint(1, 4),
            equalize=self.equalize,
            state=self.state,
            is_group=self.random.random() < 0.2,
            packs=self.packs,
        )
        self.runs.append(run)
        trainers = self.launcher.start(run)
        self.pids.update(trainer.pid for trainer in trainers)
        step = 0
        while step != kill_at and self._step(trainers):
            step += 1
        self._kill(trainers)
        for trainer in trainers:
            trainer.wait_for_end()
        return self._commit(run)

    def _step(self, trainers: list[Trainer]) -> bool:
        """Let all trainers receive a batch, and return whether one of them has not ended."""
        reading = [trainer for trainer in trainers if not trainer.has_ended]
        for trainer in reading:
            trainer.receive()
        workers = [pid for trainer in reading for pid in trainer.workers]
        self.pids.update(workers)
        if workers and self.random.random() < 0.03:
            os.kill(self.random.choice(workers), signal.SIGKILL)
        reading = [trainer for trainer in reading if not trainer.has_ended]
        for trainer in reading:
            trainer.steps.send("go on")
        return bool(reading)

    def _kill(self, trainers: list[Trainer]) -> None:
        """Kill all trainers that read, while some of them may have received their batch."""
        reading = [trainer for trainer in trainers if not trainer.has_ended]
        self.random.shuffle(reading)
        for trainer in reading[: self.random.randint(0, len(reading))]:
            trainer.receive()
        for trainer in reading:
            os.kill(trainer.pid, signal.SIGKILL)

    def _commit(self, run: Run) -> bool:
        """Take over the batches that all ranks have in their logs, and the state behind them.

        Returns:
            Whether all ranks came to the end of the epoch.
        """
        logs = [_lines(run.log(rank)) for rank in range(run.ranks)]
        reading = [lines for lines in logs if None not in lines]
        steps = min(map(len, reading or logs))
        states = [lines[steps - 1]["state"] for lines in reading if steps]
        assert all(state == states[0] for state in states)
        self.state = json.dumps(states[0]) if states else self.state
        for lines in logs:
            for line in lines[:steps] if reading else lines:
                self.committed.update(line["names"] if line else [])
        return not reading


def _lines(path: Path) -> list[Any]:
    """Return what a rank wrote; it may have been killed before it wrote a batch."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("part", range(PARTS))
def test_each_sample_is_committed_once(
    part: int, launcher: Launcher, endpoint: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Wherever trainers and workers were killed, and whoever went on; and nothing is left."""
    descriptors = launcher.descriptors()
    pids: set[int] = set()
    kills = 0
    for seed in range(part, pytestconfig.getoption("chains") or CHAINS, PARTS):
        random = Random(seed)
        packs = seed // PARTS % 2 == 1
        job = Job(launcher, endpoint, tmp_path / str(seed), random, packs=packs)
        while not job.run(random.randint(0, 8) if len(job.runs) < 3 else None):
            kills += 1
        steps = [run.ranks * run.batch_size for run in job.runs]
        twice, lost = job.committed - Counter(NAMES), Counter(NAMES) - job.committed
        where = f"seed {seed}: {job.runs}"
        assert twice.total() <= (sum(steps) if job.equalize == "pad" else 0), where
        assert lost.total() <= (max(steps) - 1 if job.equalize == "drop" else 0), where
        assert set(job.committed) <= set(NAMES), where
        pids |= job.pids
    assert kills
    assert [pid for pid in pids if not _has_ended(pid)] == []
    names = [path.name for path in Path("/dev/shm").iterdir()]
    assert [name for name in names if any(f"_{pid}_" in name for pid in pids)] == []
    assert launcher.descriptors() == descriptors


def _has_ended(pid: int) -> bool:
    """Return whether a process ends; its descriptors were closed a moment ago."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(wait([descriptor], 60))
    finally:
        os.close(descriptor)
