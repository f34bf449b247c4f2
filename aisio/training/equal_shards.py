"""EqualShards: the line of all samples of indexed shards, cut into equal stretches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.records import ByteRange
from aisio.shards.index import IndexedShard, ShardIndex
from aisio.shards.prefetch import Shard, ShardPart, ShardStream
from aisio.shards.slices import ShardSlice
from aisio.training.order.cut import Equalize
from aisio.training.reader_index import ReaderIndex
from aisio.training.split import Partition
from aisio.training.split_dataset import ListedObject
from aisio.training.stretches import ShardPiece, shard_pieces, stretch_of

__all__ = ["EqualShards", "check_equalize"]


def check_equalize(equalize: Equalize, **are_against: bool) -> None:
    """Refuse arguments of a reader with which its ranks could not have as many samples.

    Args:
        equalize: The argument of the reader.
        are_against: Other arguments by name, and whether they have such a value.

    Raises:
        ConfigError: One has.
    """
    against = [f"{name}=" for name, is_against in are_against.items() if is_against]
    if equalize != "none" and against:
        raise ConfigError(
            f"equalize={equalize!r} cuts the line of all samples by the index of the shards, which"
            f" {' and '.join(against)} does not allow: leave one of them out"
        )


class EqualShards:
    """Finds which samples of which shards a rank and worker read.

    A stretch that begins or ends within a shard reads it by a range. A shard that cannot be read by
    ranges is read whole by each worker that has a part of it.

    Args:
        index: The reader's index.
        equalize: "drop" or "pad".
        reader: Name of the class that reads, for errors.
    """

    def __init__(self, index: ReaderIndex, equalize: Equalize, reader: str) -> None:
        self._index = index
        self._equalize = equalize
        self._reader = reader

    def count(self, listed: Iterable[ListedObject], partition: Partition) -> int:
        """Return how many samples a partition reads; errors as for `shards`."""
        samples = sum(index.shard(number).samples for _, index, number in self._find(listed))
        return len(stretch_of(partition, samples, self._equalize))

    def shards(self, listed: Iterable[ListedObject], partition: Partition) -> Iterator[Shard]:
        """Yield what a partition reads.

        Args:
            listed: All shards.
            partition: Rank and worker.

        Raises:
            ConfigError: No index has a shard, or there are fewer samples than ranks.
        """
        found = list(self._find(listed))
        samples = [index.shard(number).samples for _, index, number in found]
        positions = stretch_of(partition, sum(samples), self._equalize)
        for piece in shard_pieces(samples, positions):
            yield _shard(*found[piece.shard], piece)

    def _find(
        self, listed: Iterable[ListedObject]
    ) -> Iterator[tuple[ListedObject, ShardIndex, int]]:
        for one in listed:
            found = self._index.find(*one)
            if found is None:
                raise ConfigError(
                    f"<{self._reader}> equalize={self._equalize!r}: {one_line(one[1].url)} has no"
                    " index, which says how many samples it has: `aisio index` makes one"
                )
            yield one, *found


def _shard(listed: ListedObject, index: ShardIndex, number: int, piece: ShardPiece) -> Shard:
    source, info = listed
    indexed = index.shard(number)
    is_whole = piece.stop - piece.start == indexed.samples
    if not is_whole and indexed.is_ranged and index.has_hashes:
        return Shard(info, partial(_open_slice, listed, index, indexed, piece))
    part = ShardPart(piece.start, piece.stop, indexed.samples)
    return Shard(info, partial(source.get, info), part)


def _open_slice(
    listed: ListedObject, index: ShardIndex, indexed: IndexedShard, piece: ShardPiece
) -> ShardStream:
    source, info = listed
    first = indexed.first_sample
    start, end = index.span(first + piece.start), index.span(first + piece.stop - 1)
    byte_range = ByteRange(start.offset, end.offset + end.size_bytes)
    spans = map(index.span, range(first + piece.start, first + piece.stop))
    return ShardSlice(source.get(info, byte_range=byte_range), spans, info.url)
