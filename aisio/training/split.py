"""Which items of a listing a rank and a worker read. Pure arithmetic.

Ranks come first: rank r of R takes the items r, r + R, r + 2R, ... of the whole. Of these, worker w
of W takes every W-th, from the w-th on. So the share of a rank does not depend on the number of its
workers, and without ranks item i goes to worker i mod W.

The shares of ranks may differ by an item. `equal_rounds` leaves out a few items, or repeats a few,
so that they do not: worker w of each rank then has as many items as worker w of all others, and all
ranks make the same batches of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TypeVar

from aisio.errors import ConfigError
from aisio.training.order.cut import Equalize

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


def equal_count(count: int, ranks: int, equalize: Equalize) -> int:
    """Return how many of so many items are left, or are there with those that come twice.

    Raises:
        ConfigError: As for `equal_rounds`.
    """
    if equalize == "pad":
        return -(-count // ranks) * ranks
    if equalize == "none":
        return count
    if 0 < count < ranks:
        raise _too_few(count, ranks)
    return count - count % ranks


def equal_rounds(items: Iterable[T], ranks: int, equalize: Equalize) -> Iterator[T]:
    """Yield the items in whole rounds, in which each rank has one.

    Args:
        items: What all ranks read. It is read ahead by a round, and not counted first.
        ranks: Number of ranks.
        equalize: "drop" leaves out an incomplete last round, "pad" fills it up with the first
            items. "none" leaves it as it is.

    Raises:
        ConfigError: "drop" would leave out all there is.
    """
    remaining = iter(items)
    if equalize == "none" or ranks == 1:
        yield from remaining
        return
    first: list[T] = []
    while one_round := list(islice(remaining, ranks)):
        first = first or one_round
        missing = ranks - len(one_round)
        if missing and equalize == "pad":
            one_round += islice(cycle(first), missing)
        elif missing and first is one_round:
            raise _too_few(len(one_round), ranks)
        elif missing:
            return
        yield from one_round


def _too_few(count: int, ranks: int) -> ConfigError:
    return ConfigError(
        f"too few items, {count} for {ranks} ranks, of which none would be left: use equalize='pad'"
    )
