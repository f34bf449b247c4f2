"""A training job of real processes, which a test kills at any batch and starts again.

A launcher imports torch once and forks the trainers, each a process of its own. All trainers step
together: the test lets them go on when all have written their batch to their log, with the state
behind it. What stands in the logs of all ranks is committed, however the processes end.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from aisio.client.client import Client
from aisio.training.loader import Loader
from aisio.training.object_datasets import AISMapDataset
from aisio.training.shard_dataset import AISShardDataset

BUCKET = "job"
SHARDS = "shards"
SAMPLE_BYTES = 5632  # in a shard: a header and 5,000 bytes
_STEP_S = 60.0


@dataclass(frozen=True)
class Run:
    """One start of a job.

    Attributes:
        endpoint: Where the objects are.
        folder: Where the ranks write their logs.
        ranks: Number of trainers.
        workers: Number of workers of each.
        batch_size: Number of samples of a batch.
        equalize: See `aisio.Loader`.
        state: The state that it goes on from, as JSON; "" begins.
        is_group: Whether a process group connects the ranks, or each is told its number.
        packs: Whether the samples are read by packs of shards, or as objects.
    """

    endpoint: str
    folder: Path
    ranks: int
    workers: int
    batch_size: int
    equalize: str
    state: str
    is_group: bool
    packs: bool

    def log(self, rank: int) -> Path:
        """Return where a rank writes a line for each batch, and one for the end of the epoch."""
        return self.folder / f"rank-{rank}.jsonl"


class Decoded:
    """Objects as (name, tensor), as most datasets give them."""

    def __init__(self, endpoint: str) -> None:
        client = Client(endpoint)
        self.objects = AISMapDataset(f"ais://{BUCKET}/", client=client)
        self.data_digest = self.objects.data_digest

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, index: int) -> tuple[str, torch.Tensor]:
        name, data = self.objects[index]
        return _decoded((name, {"bin": data}))


def _decoded(item: Any) -> tuple[str, torch.Tensor]:
    name, fields = item
    return name, torch.frombuffer(bytearray(fields["bin"]), dtype=torch.uint8)


def _dataset(run: Run) -> Any:
    if not run.packs:
        return Decoded(run.endpoint)
    client = Client(run.endpoint)
    return AISShardDataset(f"ais://{SHARDS}/", client=client, keys=["bin"], transform=_decoded)


def train(rank: int, run: Run, steps: Connection) -> None:
    """Read an epoch, or what is left of it; a worker that was killed is replaced."""
    if run.is_group:
        file = f"file://{run.folder}/group"
        distributed.init_process_group("gloo", file, rank=rank, world_size=run.ranks)
    loader = Loader(
        _dataset(run),
        run.batch_size,
        shuffle=True,
        seed=5,
        equalize=run.equalize,  # type: ignore[arg-type]
        num_workers=run.workers,
        # Workers hold the pipe of their trainer, which closes when all have ended.
        multiprocessing_context="fork" if run.workers else None,
        ranks="auto" if run.is_group else (rank, run.ranks),
        window_bytes=7 * SAMPLE_BYTES if run.packs else None,
    )
    if run.state:
        loader.load_state_dict(json.loads(run.state))
    log = os.open(run.log(rank), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    batches = iter(loader)
    has_ended = False
    while not has_ended:
        line = _next_line(loader, batches)
        # torch's handler raises wherever this process is. Without it, the end of a worker is
        # noticed where its batch is awaited.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        has_ended = line is None
        os.write(log, f"{json.dumps(line)}\n".encode())
        workers = [process.pid for process in multiprocessing.active_children()]
        steps.send((has_ended, workers))
        if not has_ended:
            steps.recv()
    os._exit(0)


def _next_line(loader: Loader, batches: Iterator[Any]) -> Any:
    while True:
        try:
            batch = next(batches, None)
        except (RuntimeError, ConnectionError, EOFError):
            continue  # a killed worker: the loader reads the batch again
        if batch is None:
            return None
        names, tensors = batch
        assert [len(name) for name in names] == tensors[:, 0].tolist()
        return {"names": list(names), "state": loader.state_dict()}


def launch(requests: Connection) -> None:
    """Fork a trainer for each request; for an empty one, count descriptors behind the last end."""
    while (request := requests.recv()) is not None:
        if request:
            requests.send(_forked(*request))
        else:
            for process in multiprocessing.active_children():
                process.join()
                process.close()
            requests.send(len(list(Path("/proc/self/fd").iterdir())))


def _forked(rank: int, run: Run, steps: Connection) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=train, args=(rank, run, steps))
    process.start()
    steps.close()
    return process.pid


@dataclass
class Trainer:
    """A running rank.

    Attributes:
        pid: Its process.
        steps: Gives (whether the epoch has ended, its workers) behind each batch; closes when the
            trainer and all its workers have ended.
        has_ended: Whether it came to the end of the epoch.
        workers: The process ids of its workers, as it last said.
    """

    pid: int
    steps: Connection
    has_ended: bool = False
    workers: tuple[int, ...] = ()

    def receive(self) -> None:
        """Wait until the batch is in the log.

        Raises:
            AssertionError: It takes too long.
        """
        if not wait([self.steps], _STEP_S):
            raise AssertionError(f"trainer {self.pid} hangs")
        self.has_ended, workers = self.steps.recv()
        self.workers = tuple(workers)

    def wait_for_end(self) -> None:
        """Wait until no process of this rank is left.

        Raises:
            AssertionError: One is still there.
        """
        while wait([self.steps], _STEP_S):
            try:
                self.steps.recv()
            except EOFError:
                self.steps.close()
                return
            except ConnectionError:
                continue
        raise AssertionError(f"a process of trainer {self.pid} is still there")


class Launcher:
    """Starts trainers, from a process that has imported torch."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._requests, theirs = context.Pipe()
        self._process = context.Process(target=launch, args=(theirs,))
        self._process.start()
        theirs.close()

    def start(self, run: Run) -> list[Trainer]:
        """Start all ranks."""
        run.folder.mkdir(parents=True)
        trainers: list[Trainer] = []
        for rank in range(run.ranks):
            mine, theirs = multiprocessing.Pipe()
            self._requests.send((rank, run, theirs))
            trainers.append(Trainer(self._requests.recv(), mine))
            theirs.close()
        return trainers

    def descriptors(self) -> int:
        """Wait for the end of all trainers; return how many descriptors the launcher has open."""
        self._requests.send(())
        count: int = self._requests.recv()
        return count

    def close(self) -> None:
        """End the launcher."""
        self._requests.send(None)
        self._process.join()
