"""Which items of a listing a rank and a worker read. Pure arithmetic.

Ranks come first: rank r of R takes the items r, r + R, r + 2R, ... of the whole. Of these, worker w
of W takes every W-th, from the w-th on. So the share of a rank does not depend on the number of its
workers, and without ranks item i goes to worker i mod W.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from aisio.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Partition:
    """The part of a job that one process does.

    Attributes:
        rank: Rank of this process, 0 to ranks - 1.
        ranks: World size.
        worker: DataLoader worker, 0 to workers - 1; 0 in the main process.
        workers: DataLoader workers of this rank; 1 where the main process reads.
    """

    rank: int = 0
    ranks: int = 1
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.ranks and 0 <= self.worker < self.workers):
            raise ConfigError(f"{self}: 0 <= rank < ranks and 0 <= worker < workers is needed")

    def take(self, items: Iterable[T]) -> Iterator[T]:
        """Yield this partition's share of the items."""
        return islice(items, self.first, None, self.step)

    @property
    def first(self) -> int:
        """Number of this partition's first item."""
        return self.rank + self.ranks * self.worker

    @property
    def step(self) -> int:
        """How many items further its next one is."""
        return self.ranks * self.workers

    @property
    def whole_rank(self) -> Partition:
        """The share of the rank with all its workers."""
        return Partition(self.rank, self.ranks)
