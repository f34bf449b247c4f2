"""EqualShards: the line of all samples of indexed shards, cut into equal stretches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from itertools import chain, islice

from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.records import ByteRange, ObjectInfo
from aisio.shards.index import IndexedShard, ShardIndex
from aisio.shards.linked_files import LinkedFiles
from aisio.shards.prefetch import Shard, ShardPart, ShardStream, require_same_sample
from aisio.shards.slices import ShardSlice
from aisio.sources.base import Source
from aisio.training.order.cut import Equalize
from aisio.training.reader_index import ReaderIndex
from aisio.training.shard_iteration import ShardPlace
from aisio.training.shard_links import linked_shard, links_of, opened
from aisio.training.split import Partition
from aisio.training.split_dataset import ListedObject
from aisio.training.stretches import ShardPiece, shard_pieces, stretch_of

__all__ = ["EqualShards", "check_equalize", "shards_from"]


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

    def shards(
        self, listed: Iterable[ListedObject], partition: Partition, start: ShardPlace
    ) -> Iterator[Shard]:
        """Yield what a partition reads.

        Args:
            listed: All shards.
            partition: Rank and worker.
            start: Where to begin.

        Raises:
            ConfigError: No index has a shard, there are fewer samples than ranks, or the shard to
                begin with is another one.
        """
        found = list(self._find(listed))
        samples = [index.shard(number).samples for _, index, number in found]
        positions = stretch_of(partition, sum(samples), self._equalize)
        pieces: Iterator[ShardPiece] = islice(shard_pieces(samples, positions), start.shard, None)
        if start.name:
            first = next(pieces, None)
            start.check(
                None if first is None else found[first.shard][0][1].name,
                None if first is None else first.stop - first.start,
            )
            assert first is not None, "it was checked"
            (_, info), index, number = found[first.shard]
            _require_last(info, index, number, first.start + start.samples, start)
            pieces = chain([first._replace(start=first.start + start.samples)], pieces)
        for piece in pieces:
            yield _piece_of(*found[piece.shard], piece)

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


def shards_from(
    share: Iterator[ListedObject],
    start: ShardPlace,
    shard_of: Callable[[Source, ObjectInfo], Shard],
    find: Callable[[Source, ObjectInfo], tuple[ShardIndex, int] | None] | None,
) -> Iterator[Shard]:
    """Yield whole shards, from where an iteration goes on.

    Args:
        share: What a rank and worker read, from its beginning.
        start: Where to begin.
        shard_of: Returns a shard that was listed.
        find: Finds it in an index; None reads the first one from its beginning.

    Raises:
        ConfigError: The shard to begin with is another one.
    """
    rest = islice(share, start.shard, None)
    if start.name:
        first = next(rest, None)
        start.check(first[1].name if first is not None else None)
        assert first is not None, "it was checked"
        yield _rest_of(shard_of(*first), first, find(*first) if find is not None else None, start)
    for source, info in rest:
        yield shard_of(source, info)


def _rest_of(
    shard: Shard, listed: ListedObject, found: tuple[ShardIndex, int] | None, start: ShardPlace
) -> Shard:
    """Return what is left of a shard that an iteration goes on in.

    Args:
        shard: The whole shard.
        listed: The same, as it was listed.
        found: An index that has it, and its number there; without one it is read from its
            beginning.
        start: Where the iteration stood.

    Raises:
        ConfigError: It has fewer samples than were read of it, or others.
    """
    if found is None or not start.samples:
        return shard._replace(part=ShardPart(start.samples, before=start.last))
    index, number = found
    samples = index.shard(number).samples
    start.check(listed[1].name, samples)
    _require_last(listed[1], index, number, start.samples, start)
    return _piece_of(listed, index, number, ShardPiece(0, start.samples, samples))


def _require_last(
    info: ObjectInfo, index: ShardIndex, number: int, behind: int, start: ShardPlace
) -> None:
    """Compare the last sample that was read of a shard with the one that is there by its index.

    Args:
        info: The shard.
        index: Has it.
        number: Number of the shard in the index.
        behind: Of its samples, how many are in front of those to come.
        start: Where the iteration stood.

    Raises:
        ConfigError: It is another one.
    """
    if start.samples and index.has_names:
        now = index.key(index.shard(number).first_sample + behind - 1)
        require_same_sample(info.url, behind, start.last, now)


def _piece_of(listed: ListedObject, index: ShardIndex, number: int, piece: ShardPiece) -> Shard:
    """Return a piece of a shard: by a range if that can be verified, or of the whole shard.

    Args:
        listed: The shard.
        index: Has it.
        number: Number of the shard in the index.
        piece: The piece; if it is empty, nothing is read.
    """
    source, info = listed
    indexed = index.shard(number)
    part = ShardPart(piece.start, piece.stop, indexed.samples)
    if part.is_empty:
        return Shard(info, BytesIO, part)
    is_whole = piece.stop - piece.start == indexed.samples
    if not is_whole and indexed.is_ranged and index.has_hashes:
        links = links_of(source, info)
        open_slice = partial(_open_slice, listed, index, indexed, piece, links)
        return Shard(info, open_slice, links=links)
    return linked_shard(source, info)._replace(part=part)


def _open_slice(
    listed: ListedObject,
    index: ShardIndex,
    indexed: IndexedShard,
    piece: ShardPiece,
    links: LinkedFiles | None,
) -> ShardStream:
    source, info = listed
    first = indexed.first_sample
    start, end = index.span(first + piece.start), index.span(first + piece.stop - 1)
    byte_range = ByteRange(start.offset, end.offset + end.size_bytes)
    spans = map(index.span, range(first + piece.start, first + piece.stop))
    body = opened(links, partial(source.get, info, byte_range=byte_range))
    return ShardSlice(body, spans, info.url)
