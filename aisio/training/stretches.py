"""Equal stretches of the line of all samples, for the workers of all ranks. Pure arithmetic."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from aisio.errors import ConfigError
from aisio.training.order.cut import Equalize
from aisio.training.split import Partition

__all__ = ["ShardPiece", "shard_pieces", "stretch_of"]


class ShardPiece(NamedTuple):
    """Neighbouring samples of a shard.

    Attributes:
        shard: Number of the shard.
        start: Its first sample, counted from 0 in the shard.
        stop: One past its last sample.
    """

    shard: int
    start: int
    stop: int


def stretch_of(partition: Partition, samples: int, equalize: Equalize) -> range:
    """Return the positions of a partition in the line of all samples.

    Worker w of each rank has as many as worker w of all others.

    Args:
        partition: Rank and worker.
        samples: Number of all samples.
        equalize: "drop" leaves out fewer samples than there are ranks, at the end. "pad" goes
            beyond it, by as few: position N is the first sample again.

    Raises:
        ConfigError: "drop" would leave out all there is.
    """
    each, more = divmod(samples, partition.ranks)
    if equalize == "pad" and more:
        each += 1
    elif not each and samples:
        raise ConfigError(
            f"too few samples, {samples} for {partition.ranks} ranks, of which none would be left:"
            " use equalize='pad'"
        )
    first = partition.rank * each
    start = each * partition.worker // partition.workers
    stop = each * (partition.worker + 1) // partition.workers
    return range(first + start, first + stop)


def shard_pieces(samples: Sequence[int], positions: range) -> Iterator[ShardPiece]:
    """Yield where the samples at some positions are, shard for shard.

    Args:
        samples: How many samples each shard has.
        positions: Neighbouring positions in the line of all samples, perhaps beyond its end.
    """
    ends = list(accumulate(samples))
    position = positions.start
    while position < positions.stop:
        place = position % ends[-1]
        shard = bisect_right(ends, place)
        start = place - (ends[shard] - samples[shard])
        count = min(samples[shard] - start, positions.stop - position)
        yield ShardPiece(shard, start, start + count)
        position += count
