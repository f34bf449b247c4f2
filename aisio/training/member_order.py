"""MemberOrder: in which order the files of a tar come, and which of them a worker reads.

Each worker reads neighbours in the tar, as many as the others: they come by few large requests. So
the line of all files is cut into stretches, one for each worker. It is that of the tar, or it has
chunks of the tar in a random order.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from itertools import chain

from aisio.sources.listing_table import ListingTable
from aisio.training.chunk_shuffle import ChunkShuffle
from aisio.training.shared_epoch import SharedEpoch
from aisio.training.split import Partition
from aisio.training.split_dataset import ListedObject
from aisio.training.split_options import Equalize
from aisio.training.stretches import stretch_of

__all__ = ["MemberOrder", "positions_of"]


class MemberOrder:
    """The order of a tar's files in an epoch.

    Args:
        shuffle: Shuffles them; None for the order of the tar.

    Attributes:
        epoch: Number of the epoch, for the shuffled order.
    """

    def __init__(self, shuffle: ChunkShuffle | None = None) -> None:
        self._shuffle = shuffle
        self.epoch = SharedEpoch()

    @property
    def is_shuffled(self) -> bool:
        """Whether it is another one than that of the tar."""
        return self._shuffle is not None

    def at_epoch(self, epoch: int) -> MemberOrder:
        """Return the order as one that stands at an epoch, whatever epoch this one is set to."""
        other = copy(self)
        other.epoch = SharedEpoch(epoch)
        return other

    def describe(self, epoch: int) -> str:
        """Return what the order of an epoch depends on, in words; "" if it is that of the tar."""
        return "" if self._shuffle is None else f"{self._shuffle}, epoch {epoch}"

    def share(
        self, files: ListingTable, partition: Partition, equalize: Equalize, epoch: int
    ) -> Iterator[ListedObject]:
        """Return the files that a partition reads in an epoch.

        Raises:
            ConfigError: "drop" would leave out all there is.
        """
        count = len(files)
        ranges: Iterator[range] = iter(positions_of(partition, count, equalize))
        if (shuffle := self._shuffle) is not None:
            pieces = (shuffle.pieces(count, epoch, positions) for positions in ranges)
            ranges = chain.from_iterable(pieces)
        return map(files.__getitem__, chain.from_iterable(ranges))


def positions_of(partition: Partition, count: int, equalize: Equalize) -> list[range]:
    """Return the positions of a partition in a line of so many items.

    Positions beyond the end, which "pad" needs, are those from the start on.

    Raises:
        ConfigError: "drop" would leave out all there is.
    """
    if equalize == "none":
        of_rank = _portion(range(count), partition.rank, partition.ranks)
        return [_portion(of_rank, partition.worker, partition.workers)]
    found, stretch = [], stretch_of(partition, count, equalize)
    while stretch:
        start = stretch.start % count
        part = range(start, min(count, start + len(stretch)))
        found.append(part)
        stretch = stretch[len(part) :]
    return found


def _portion(line: range, number: int, portions: int) -> range:
    """Return one of so many neighbouring portions of a line, whose sizes differ by one at most."""
    return line[len(line) * number // portions : len(line) * (number + 1) // portions]
