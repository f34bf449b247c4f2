"""A loader without reading: the order and state of Loader, and workers that prefetch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from random import Random
from typing import Any

from aisio.training.order.cut import Cut, Topology
from aisio.training.order.position import Position


@dataclass
class Work:
    """What all workers of a job have done.

    Attributes:
        made: Number of samples in batches that workers made.
        received: Number of samples in batches that trainers received.
    """

    made: int = 0
    received: int = 0


class SimulatedLoader:
    """Batches of sample numbers, as the workers of one rank make them.

    Args:
        rank: Which rank this is.
        topology: Among whom the samples are shared out.
        position: Where the job begins.
        work: Counts what is made and received.
        random: Decides how fast each worker is.
        prefetch: How many batches a worker makes ahead at most.
    """

    def __init__(
        self,
        rank: int,
        topology: Topology,
        position: Position,
        work: Work,
        random: Random,
        prefetch: int = 2,
    ) -> None:
        self.rank = rank
        self.topology = topology
        self.position = position
        self.work = work
        self.random = random
        self.prefetch = prefetch

    def __iter__(self) -> Iterator[list[int]]:
        cut, received = self.position.cut(self.topology)
        workers = [
            _Worker(cut, self.rank, worker, received, self.work)
            for worker in range(self.topology.workers)
        ]
        for number in range(received, cut.batches_of_rank(self.rank)):
            for worker in workers:
                worker.prefetch(self.random.randint(0, self.prefetch))
            batch = workers[number % len(workers)].take()
            assert batch == cut.batch(self.rank, number)
            self.position = self.position.received(self.topology, number + 1)
            self.work.received += len(batch)
            yield batch
        self.position = self.position.at_epoch(self.position.epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return where the trainer stands."""
        return self.position.to_dict("data")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go there."""
        self.position = self.position.restored(state, "data")


class _Worker:
    """Makes every n-th batch of a rank, window by window, as a worker that reads packs does."""

    def __init__(self, cut: Cut, rank: int, worker: int, received: int, work: Work) -> None:
        topology = cut.topology
        made = max(0, -(-(received - worker) // topology.workers))
        number, done = divmod(made * topology.batch_size, topology.window)
        numbers = count(number)
        windows = iter(lambda: cut.window(rank, worker, next(numbers)), [])
        samples = islice((sample for window in windows for sample in window), done, None)
        self._batches = iter(lambda: list(islice(samples, topology.batch_size)), [])
        self._ready: deque[list[int]] = deque()
        self._work = work

    def prefetch(self, batches: int) -> None:
        """Make batches, until so many are ready."""
        for batch in islice(self._batches, max(0, batches - len(self._ready))):
            self._work.made += len(batch)
            self._ready.append(batch)

    def take(self) -> list[int]:
        """Return the next batch."""
        self.prefetch(1)
        return self._ready.popleft()
