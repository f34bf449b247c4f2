"""What a Loader should give, by lists: slow, plain, and independent of its arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from aisio.training.order.cut import Topology
from aisio.training.order.epoch_line import EpochLine
from aisio.training.order.permutation import Permutation
from aisio.training.order.position import Segment


@dataclass(frozen=True)
class ListModel:
    """Where a job stands, as lists of samples.

    Attributes:
        samples: Number of samples of the data.
        seed: Chooses the orders.
        shuffle: Whether samples are shuffled.
        pack: How many neighbours stay together.
        topology: Among whom the samples are shared out.
        epoch: Number of the epoch.
        segments: What was received of it.
        has_begun: Whether an iteration has received a batch since the job came here.
    """

    samples: int
    seed: int
    shuffle: bool
    pack: int
    topology: Topology
    epoch: int = 0
    segments: tuple[Segment, ...] = field(default=())
    has_begun: bool = False

    @property
    def received(self) -> int:
        """How many batches of the cut that is read now each rank has received."""
        return self.segments[-1].batches if self._goes_on else 0

    @property
    def received_before(self) -> int:
        """How many batches of the epoch each rank had received before that cut."""
        return sum(segment.batches for segment in self._before)

    def batches(self) -> list[list[list[int]]]:
        """Return the batches of each rank in the cut, with those that were received."""
        line = EpochLine(self.samples, self.pack, self.seed, self.epoch, shuffle=self.shuffle)
        left = [line[position] for position in range(self.samples)]
        for number, segment in enumerate(self._before):
            left = self._left(left, segment, number)
        ranks = self._positions(len(left), self.topology, len(self._before))
        sizes = _batch_sizes(len(left), self.topology)
        return [
            [
                [left[position % len(left)] for position in batch]
                for batch in _in_turn([iter(share) for share in shares], of_rank)
            ]
            for shares, of_rank in zip(ranks, sizes, strict=True)
        ]

    def with_batch(self) -> ListModel:
        """Return the place after each rank has received one more batch."""
        segment = Segment(self.topology, self.received + 1)
        return replace(self, segments=(*self._before, segment), has_begun=True)

    def at_epoch(self, epoch: int) -> ListModel:
        """Return the beginning of an epoch."""
        return replace(self, epoch=epoch, segments=(), has_begun=False)

    @property
    def _before(self) -> tuple[Segment, ...]:
        return self.segments[:-1] if self._goes_on else self.segments

    @property
    def _goes_on(self) -> bool:
        return bool(self.segments) and self.segments[-1].topology == self.topology

    def _positions(self, count: int, topology: Topology, number: int) -> list[list[list[int]]]:
        """Return which positions of a line each worker of each rank gives out, in its order.

        Positions behind the line's end repeat its beginning.

        Args:
            count: Number of samples of the line.
            topology: Among whom it is shared out.
            number: Number of the segment in its epoch.
        """
        return [
            [
                [
                    position
                    for window, positions in enumerate(_cut(stretch, topology.window))
                    for position in self._mixed(positions, number, slot, window)
                ]
                for slot, stretch in enumerate(stretches, rank * topology.workers)
            ]
            for rank, stretches in enumerate(_stretches(count, topology))
        ]

    def _mixed(self, positions: range, number: int, slot: int, window: int) -> list[int]:
        if not self.shuffle:
            return list(positions)
        order = Permutation(len(positions), self.seed, self.epoch, number, slot, window)
        return [positions[order[index]] for index in range(len(positions))]

    def _left(self, line: list[int], segment: Segment, number: int) -> list[int]:
        """Return what was not received: of windows that were begun, the rest, what was dropped."""
        topology = segment.topology
        shares = list(chain(*self._positions(len(line), topology, number)))
        stretches = list(chain(*_stretches(len(line), topology)))
        sizes = _batch_sizes(len(line), topology)
        begun: list[int] = []
        rests: list[int] = []
        for slot, (share, stretch) in enumerate(zip(shares, stretches, strict=True)):
            rank, worker = divmod(slot, topology.workers)
            given = sum(sizes[rank][worker : segment.batches : topology.workers])
            windows = -(-given // topology.window) * topology.window
            begun += share[given:windows]
            rests += stretch[windows:]
        shared = sum(map(len, stretches))
        left = (*begun, *rests, *range(shared, len(line)))
        return [line[position] for position in left if position < len(line)]


def _batch_sizes(count: int, topology: Topology) -> list[list[int]]:
    """Return how many samples each batch of each rank has."""
    ranks, size = topology.ranks, topology.batch_size
    each, more = divmod(count, ranks)
    if topology.equalize == "none":
        counts = [each + (rank < more) for rank in range(ranks)]
        return [[min(size, all_ - first) for first in range(0, all_, size)] for all_ in counts]
    if topology.equalize == "shrink":
        counts = [each + (rank < more) for rank in range(ranks)]
        return [_dealt(all_, min(all_, -(-counts[0] // size))) for all_ in counts]
    steps, left = divmod(count, ranks * size)
    steps += topology.equalize == "pad" and left > 0
    return [[size] * steps] * ranks


def _dealt(count: int, parts: int) -> list[int]:
    """Return the sizes of so many parts, of which the first are larger by one."""
    return [len(range(part, count, parts)) for part in range(parts)]


def _stretches(count: int, topology: Topology) -> list[list[range]]:
    """Return the stretch of a line that each worker of each rank is given."""
    stretches: list[list[range]] = []
    start = 0
    for sizes in _batch_sizes(count, topology):
        stretches.append([])
        for worker in range(topology.workers):
            stop = start + sum(sizes[worker :: topology.workers])
            stretches[-1].append(range(start, stop))
            start = stop
    return stretches


def _cut(positions: range, size: int) -> list[range]:
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def _in_turn(shares: list[Iterator[int]], sizes: list[int]) -> Iterator[list[int]]:
    """Yield the batches of a rank, of which its workers make one after the other."""
    for number, size in enumerate(sizes):
        yield list(islice(shares[number % len(shares)], size))
