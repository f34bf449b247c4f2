"""Rank and worker arithmetic. Pure.

Ranks come first: rank r of R takes items r, r + R, r + 2R, ... of the whole; of these its worker w
of W takes every W-th from the w-th on. So a rank's share does not depend on how many workers it
has, and item i of an unsplit job goes to worker i mod W.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from aisio.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Which part of a job a process does.

    Attributes:
        rank: Of this process group member, 0 to ranks - 1.
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
        """Yield this place's share of the items."""
        return islice(items, self.rank + self.ranks * self.worker, None, self.ranks * self.workers)

    @property
    def of_rank(self) -> Place:
        """The whole rank, as if it had no workers."""
        return Place(self.rank, self.ranks)
