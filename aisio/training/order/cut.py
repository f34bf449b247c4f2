"""The order of the samples of an epoch, computed and never stored: a function of seed and epoch.

Samples are numbered from 0 to N-1: by shard, in the order of the listing, and by offset. What is
read by one ranged GET is a pack: p samples that are neighbours. In each epoch all numbers are
shifted by some amount modulo N, so that packs begin elsewhere, and the packs change places. The
epoch's line is all samples in that order; the last pack, which may be short, stays last.

The ranks and workers of a job cut the line into stretches, one each. A worker reads its stretch in
windows and permutes the samples of each window, so that a batch mixes many packs. Where a job
stops, what has not been delivered is a line again, which a job of any other size can cut anew: see
`Cut.remainder`. Nothing is stored for a sample, a pack or a window.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from aisio.errors import ConfigError
from aisio.training.order.epoch_line import Line
from aisio.training.order.permutation import Permutation
from aisio.training.whole_number import whole_number

__all__ = ["BatchEqualize", "Cut", "Equalize", "Remainder", "Topology", "require_equalize"]

_MAX_WINDOWS = 8  # whose order a cut keeps: neighbouring batches are in the same few

Equalize: TypeAlias = Literal["drop", "pad", "none"]
"""What makes ranks equal: see `Topology.equalize`."""

BatchEqualize: TypeAlias = Literal["drop", "pad", "none", "shrink"]
"""The same, where batches are made too, whose sizes may differ."""


def require_equalize(value: object, allowed: Any = Equalize) -> None:
    """Refuse what is no `Equalize`, or whatever is allowed.

    Raises:
        ConfigError: It is none.
    """
    *names, last = (f'"{name}"' for name in get_args(allowed))
    if value not in get_args(allowed):
        raise ConfigError(f"equalize={value!r}: {', '.join(names)} or {last} is needed")


@dataclass(frozen=True)
class Topology:
    """How many processes share the samples, and in which portions.

    Attributes:
        ranks: Number of ranks.
        workers: Number of workers of each rank, at least 1.
        batch_size: Number of samples of a batch.
        window: Number of samples that a worker permutes at a time; 1 leaves their order as it is.
        equalize: "drop" leaves out fewer than ranks * batch_size samples, so that all ranks have as
            many full batches. "pad" repeats as many samples of the line's beginning instead.
            "none" does neither: ranks differ by one sample at most, and so may differ by a batch.
            "shrink" shares the samples out as "none" does, and gives all ranks as many batches by
            taking a sample less into some, but none has an empty batch.

    Raises:
        ConfigError: A number is below 1, or there is no such `equalize`.
    """

    ranks: int
    workers: int
    batch_size: int
    window: int
    equalize: BatchEqualize

    def __post_init__(self) -> None:
        for name in ("ranks", "workers", "batch_size", "window"):
            value = whole_number(name, getattr(self, name), 1)
            object.__setattr__(self, name, value)  # an int, also where numpy's was given
        require_equalize(self.equalize, BatchEqualize)


class _Share(NamedTuple):
    """What one worker of a rank is given: a stretch of its rank's samples.

    Attributes:
        start: First sample, counted from the rank's first.
        size: Number of samples.
    """

    start: int
    size: int


class _Ranks(NamedTuple):
    """Ranks that are neighbours and are given as many samples each.

    Attributes:
        first: The first rank.
        ranks: How many there are.
        start: Position of the first rank's first sample.
        samples: Number of samples of each.
    """

    first: int
    ranks: int
    start: int
    samples: int


class Cut:
    """A line that is shared out among the workers of all ranks.

    A rank's batch k is its worker's k mod workers, as in torch's DataLoader. So worker w of a rank
    that has T batches makes ceil((T - w) / workers) of them.

    Args:
        line: The samples that are shared out.
        topology: Among whom.
        key: What chooses the permutations of the windows, as in (seed, epoch, number of this cut).
            None leaves the order of the line as it is.
    """

    def __init__(
        self, line: Line, topology: Topology, key: Sequence[int | str] | None = None
    ) -> None:
        self.line = line
        self.topology = topology
        self._key = key
        # Dicts, as functools.lru_cache of a method makes a cycle: the cut is freed at once.
        self._shares: dict[int, list[_Share]] = {}
        self._window_orders: dict[tuple[int, int, int], Permutation | range] = {}

    @property
    def groups(self) -> list[_Ranks]:
        """The ranks, by how many samples they are given."""
        ranks, count = self.topology.ranks, len(self.line)
        if self.topology.equalize in ("none", "shrink"):
            each, more = divmod(count, ranks)
            longer = _Ranks(0, more, 0, each + 1)
            shorter = _Ranks(more, ranks - more, more * (each + 1), each)
            return [longer, shorter] if more else [shorter]
        steps, left = divmod(count, ranks * self.topology.batch_size)
        steps += self.topology.equalize == "pad" and left > 0
        return [_Ranks(0, ranks, 0, steps * self.topology.batch_size)]

    @property
    def dropped(self) -> int:
        """Number of samples that no rank is given."""
        return max(0, len(self.line) - self._shared)

    @property
    def repeated(self) -> int:
        """Number of samples that are given once more to make the ranks equal."""
        return max(0, self._shared - len(self.line))

    @property
    def _shared(self) -> int:
        return sum(group.ranks * group.samples for group in self.groups)

    def samples_of_rank(self, rank: int) -> int:
        """Return how many samples a rank is given."""
        return self._group_of(rank).samples

    def batches_of_rank(self, rank: int) -> int:
        """Return how many batches a rank is given; with "none" the last may be short."""
        return self._batches(self.samples_of_rank(rank))

    def span(self, rank: int, number: int) -> tuple[int, int]:
        """Return which samples of its worker a rank's batch has, as (start, stop)."""
        step, worker = divmod(number, self.topology.workers)
        samples = self.samples_of_rank(rank)
        return self.given(samples, worker, step), self.given(samples, worker, step + 1)

    def batch(self, rank: int, number: int) -> list[int]:
        """Return the samples of a rank's batch.

        Raises:
            IndexError: The rank has no batch of this number.
        """
        batches = self.batches_of_rank(rank)
        if not 0 <= number < batches:
            raise IndexError(f"batch {number} of rank {rank}, which has {batches}")
        return self._samples(rank, number % self.topology.workers, *self.span(rank, number))

    def window(self, rank: int, worker: int, number: int) -> list[int]:
        """Return the samples of a worker's window, as they make its batches; [] behind the last."""
        size = self.topology.window
        return self._samples(rank, worker, number * size, (number + 1) * size)

    def window_order(self, slot: int, number: int, size: int) -> Permutation | range:
        """Return the order of a window of a worker; slots count the workers of all ranks."""
        orders, window = self._window_orders, (slot, number, size)
        if window not in orders:
            if len(orders) >= _MAX_WINDOWS:
                del orders[next(iter(orders))]
            key = self._key
            orders[window] = Permutation(size, *key, slot, number) if key else range(size)
        return orders[window]

    def remainder(self, batches: int) -> Remainder:
        """Return what has not been delivered once each rank was given so many batches.

        First what is left of the windows that were begun, then the windows that were not, both in
        the order of ranks and workers, then what no rank was to be given.
        """
        return Remainder(self, batches)

    def _group_of(self, rank: int) -> _Ranks:
        if not 0 <= rank < self.topology.ranks:
            raise IndexError(f"rank {rank} of {self.topology.ranks}")
        return next(one for one in self.groups if rank < one.first + one.ranks)

    def _samples(self, rank: int, worker: int, start: int, stop: int) -> list[int]:
        """Return a worker's samples [start, stop), in its windows' order."""
        group, window = self._group_of(rank), self.topology.window
        share = self.shares(group.samples)[worker]
        base = group.start + (rank - group.first) * group.samples + share.start
        count, slot = len(self.line), rank * self.topology.workers + worker
        stop = min(stop, share.size)
        if window == 1:
            return [self.line[(base + index) % count] for index in range(start, stop)]
        samples: list[int] = []
        while start < stop:
            number = start // window
            first = number * window
            end = min(first + window, share.size)
            order = self.window_order(slot, number, end - first)
            if first == start and end <= stop and base + end <= count:
                here = self.line.samples(base + first, base + end)
                samples += [here[index] for index in order]
                start = end
                continue
            samples += (
                self.line[(base + first + order[index]) % count]
                for index in range(start - first, min(stop, end) - first)
            )
            start = end
        return samples

    def shares(self, samples: int) -> list[_Share]:
        """Return the workers' shares of a rank's samples."""
        if samples in self._shares:
            return self._shares[samples]
        shares: list[_Share] = []
        start = 0
        for worker in range(self.topology.workers):
            count = self.given(samples, worker, self._batches(samples))
            shares.append(_Share(start, count))
            start += count
        self._shares[samples] = shares
        return shares

    def _batches(self, samples: int) -> int:
        """Return how many batches are made of a rank's samples."""
        if self.topology.equalize != "shrink":
            return -(-samples // self.topology.batch_size)
        most = -(-len(self.line) // self.topology.ranks)  # of all ranks
        return min(samples, -(-most // self.topology.batch_size))

    def given(self, samples: int, worker: int, steps: int) -> int:
        """Return how many of a rank's samples are in so many of a worker's batches."""
        batches, workers = self._batches(samples), self.topology.workers
        steps = min(steps, _every(workers, worker, batches))
        if self.topology.equalize == "shrink":
            size, larger = divmod(samples, max(1, batches))
            return steps * size + min(steps, _every(workers, worker, larger))
        size = self.topology.batch_size
        has_last = steps and worker + (steps - 1) * workers == batches - 1
        return steps * size - (batches * size - samples if has_last else 0)


def _every(step: int, first: int, stop: int) -> int:
    """Return the length of range(first, stop, step)."""
    return max(0, -(-(stop - first) // step))


class _Left(NamedTuple):
    """What is left of a worker's share: the rest of a window, or windows that were not begun.

    Attributes:
        worker: The worker.
        start: First sample, counted from the rank's first.
        size: How many are left.
        window: Number of the window; None where no window was begun.
        window_size: How many samples the window has.
        order: The samples of the window that are left, where its own order does not tell.
    """

    worker: int
    start: int
    size: int
    window: int | None = None
    window_size: int = 0
    order: Sequence[int] | None = None


class _Region:
    """What is left of neighbouring ranks, the same of each.

    Args:
        group: The ranks.
        lefts: What is left of the share of each of a rank's workers.
    """

    def __init__(self, group: _Ranks, lefts: list[_Left]) -> None:
        self.group = group
        self.lefts = lefts
        self.stops = list(accumulate(left.size for left in lefts))
        self.of_each = self.stops[-1] if self.stops else 0
        self.size = self.of_each * group.ranks


class Remainder(Line):
    """What a job that stopped has not delivered.

    Args:
        cut: How the job shared its line out.
        batches: How many batches each rank was given; one that had fewer was given all.
    """

    def __init__(self, cut: Cut, batches: int) -> None:
        self._cut = cut
        begun: list[_Region] = []
        untouched: list[_Region] = []
        for group in cut.groups:
            windows, rests = self._left_of_rank(group.samples, batches)
            for part in _whole_and_torn(group, len(cut.line)):
                begun.append(_Region(part, self._before_end(part, windows)))
                untouched.append(_Region(part, self._before_end(part, rests)))
        dropped = _Ranks(0, 1, len(cut.line) - cut.dropped, cut.dropped)
        tail = _Region(dropped, [_Left(0, 0, cut.dropped)])
        self._regions = [one for one in (*begun, *untouched, tail) if one.size]
        self._stops = list(accumulate(one.size for one in self._regions))

    def __len__(self) -> int:
        return self._stops[-1] if self._stops else 0

    def __getitem__(self, position: int) -> int:
        number = bisect_right(self._stops, position)
        region = self._regions[number]
        rank, within = divmod(position - self._stops[number] + region.size, region.of_each)
        of_rank = bisect_right(region.stops, within)
        left = region.lefts[of_rank]
        index = within - region.stops[of_rank] + left.size
        if left.order is not None:
            index = left.order[index]
        elif left.window is not None:
            slot = (region.group.first + rank) * self._cut.topology.workers + left.worker
            order = self._cut.window_order(slot, left.window, left.window_size)
            index = order[left.window_size - left.size + index]
        return self._cut.line[region.group.start + rank * region.group.samples + left.start + index]

    def _left_of_rank(self, samples: int, batches: int) -> tuple[list[_Left], list[_Left]]:
        """Return the windows that were begun, and what lies behind them, of each worker."""
        topology = self._cut.topology
        windows: list[_Left] = []
        rests: list[_Left] = []
        for worker, share in enumerate(self._cut.shares(samples)):
            made = _every(topology.workers, worker, batches)
            given = self._cut.given(samples, worker, made)
            number, done = divmod(given, topology.window)
            first = number * topology.window
            size = min(topology.window, share.size - first) if done else 0
            if size > done:
                left = _Left(worker, share.start + first, size - done, number, size)
                windows.append(left)
            rest = max(given, first + size)
            rests.append(_Left(worker, share.start + rest, share.size - rest))
        return windows, rests

    def _before_end(self, group: _Ranks, lefts: list[_Left]) -> list[_Left]:
        """Return what is left before the line's end; behind it others are only repeated."""
        end = len(self._cut.line) - group.start if group.ranks == 1 else group.samples
        kept: list[_Left] = []
        for left in lefts:
            whole = left.window_size or left.size
            if left.start + whole <= end:
                kept.append(left)
            elif left.start < end and left.window is None:
                kept.append(left._replace(size=end - left.start))
            elif left.start < end and left.window is not None:
                slot = group.first * self._cut.topology.workers + left.worker
                order = self._cut.window_order(slot, left.window, whole)
                rest = [order[index] for index in range(whole - left.size, whole)]
                rest = [index for index in rest if left.start + index < end]
                kept.append(left._replace(size=len(rest), order=rest))
        return kept


def _whole_and_torn(group: _Ranks, end: int) -> Iterator[_Ranks]:
    """Yield the ranks of a group whose samples lie before the line's end, and the one it tears."""
    if not group.samples:
        return
    whole = min(group.ranks, max(0, end - group.start) // group.samples)
    if whole:
        yield group._replace(ranks=whole)
    torn = group.start + whole * group.samples
    if whole < group.ranks and torn < end:
        yield _Ranks(group.first + whole, 1, torn, group.samples)
