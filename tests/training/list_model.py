"""What a Loader should give, by lists: slow, plain, and independent of its arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from aisio.training.order.epoch_line import EpochLine


@dataclass(frozen=True)
class Segment:
    """A stretch of an epoch on some ranks.

    Attributes:
        ranks: Number of ranks.
        batch_size: Number of samples of a batch.
        received: How many batches each rank received.
    """

    ranks: int
    batch_size: int
    received: int


@dataclass(frozen=True)
class ListModel:
    """Where a job stands, as lists of samples.

    Attributes:
        samples: Number of samples of the data.
        seed: Chooses the orders.
        shuffle: Whether samples are shuffled.
        equalize: See `aisio.Loader`.
        ranks: Number of ranks.
        batch_size: Number of samples of a batch.
        epoch: Number of the epoch.
        segments: What was received of it.
        has_begun: Whether an iteration has received a batch since the job came here.
    """

    samples: int
    seed: int
    shuffle: bool
    equalize: str
    ranks: int
    batch_size: int
    epoch: int = 0
    segments: tuple[Segment, ...] = field(default=())
    has_begun: bool = False

    @property
    def received(self) -> int:
        """How many batches of the cut that is read now each rank has received."""
        return self.segments[-1].received if self._goes_on else 0

    @property
    def received_before(self) -> int:
        """How many batches of the epoch each rank had received before that cut."""
        return sum(segment.received for segment in self._before)

    def batches(self) -> list[list[list[int]]]:
        """Return the batches of each rank in the cut, with those that were received."""
        line = self._epoch_line()
        for segment in self._before:
            line = self._left(line, segment)
        return self._batches(line, self.ranks, self.batch_size)

    def with_batch(self) -> ListModel:
        """Return the place after each rank has received one more batch."""
        segment = Segment(self.ranks, self.batch_size, self.received + 1)
        return replace(self, segments=(*self._before, segment), has_begun=True)

    def at_epoch(self, epoch: int) -> ListModel:
        """Return the beginning of an epoch."""
        return replace(self, epoch=epoch, segments=(), has_begun=False)

    @property
    def _before(self) -> tuple[Segment, ...]:
        return self.segments[:-1] if self._goes_on else self.segments

    @property
    def _goes_on(self) -> bool:
        last = self.segments[-1] if self.segments else None
        return last is not None and (last.ranks, last.batch_size) == (self.ranks, self.batch_size)

    def _epoch_line(self) -> list[int]:
        line = EpochLine(self.samples, 1, self.seed, self.epoch, shuffle=self.shuffle)
        return [line[position] for position in range(self.samples)]

    def _shares(self, line: list[int], ranks: int, batch_size: int) -> list[list[int]]:
        each, more = divmod(len(line), ranks)
        sizes = [each + (rank < more) for rank in range(ranks)]
        if self.equalize not in ("none", "shrink"):
            steps, left = divmod(len(line), ranks * batch_size)
            steps += self.equalize == "pad" and left > 0
            sizes = [steps * batch_size] * ranks
        starts = [sum(sizes[:rank]) for rank in range(ranks)]
        return [
            [line[position % len(line)] for position in range(start, start + size)]
            for start, size in zip(starts, sizes, strict=True)
        ]

    def _batches(self, line: list[int], ranks: int, batch_size: int) -> list[list[list[int]]]:
        shares = self._shares(line, ranks, batch_size)
        full = [
            [share[start : start + batch_size] for start in range(0, len(share), batch_size)]
            for share in shares
        ]
        if self.equalize != "shrink":
            return full
        most = len(full[0])
        return [[*map(list, _dealt(share, min(most, len(share))))] for share in shares]

    def _left(self, line: list[int], segment: Segment) -> list[int]:
        """Return what was not received, in the order of ranks, then what was dropped."""
        left: list[int] = []
        shared = 0
        for batches in self._batches(line, segment.ranks, segment.batch_size):
            share = [sample for batch in batches for sample in batch]
            own = share[: max(0, len(line) - shared)]  # what lies behind only repeats
            left += own[sum(map(len, batches[: segment.received])) :]
            shared += len(share)
        return left + line[shared:]


def _dealt(samples: list[int], parts: int) -> Iterator[list[int]]:
    """Yield neighbouring samples in so many parts, of which the first are larger by one."""
    rest = list(samples)
    for left in range(parts, 0, -1):
        size = -(-len(rest) // left)
        yield rest[:size]
        del rest[:size]
