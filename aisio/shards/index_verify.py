"""Verifying a shard against its index: which bytes of which samples differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from xxhash import xxh3_64

from aisio.errors import IntegrityError
from aisio.records import ObjectInfo
from aisio.shards.index import IndexedShard, ShardIndex
from aisio.shards.index_build import OnRead
from aisio.shards.index_pins import is_current
from aisio.transport.body import Body

__all__ = ["Difference", "missing_shards", "verify_shard"]

_BUFFER_BYTES = 1 << 20


class Difference(NamedTuple):
    """Something in which a shard differs from its index.

    Attributes:
        url: The shard's URL.
        problem: What differs.
        sample: Number of the sample in its shard; None for the shard as a whole.
        key: Its key; "" for the shard, or without names in the index.
        offset: The first byte of the sample in the shard.
        size_bytes: Its size.
    """

    url: str
    problem: str
    sample: int | None = None
    key: str = ""
    offset: int = 0
    size_bytes: int = 0


def verify_shard(
    open_shard: Callable[[], Body],
    info: ObjectInfo,
    index: ShardIndex,
    number: int,
    *,
    on_read: OnRead = lambda count: None,
) -> Iterator[Difference]:
    """Read a shard whole, and yield what differs from its index.

    The tar is not parsed: the bytes of each sample, as the index has them, are hashed. So a damaged
    header does not hide the samples behind it. Of a shard without hashes only the size, the version
    and the store's own checksum are compared.

    Args:
        open_shard: Opens the shard at its start.
        info: The shard as it is listed now.
        index: The index.
        number: The shard's number in it.
        on_read: Called with the size of each piece that was read.

    Raises:
        StorageError: The shard cannot be read.
    """
    shard = index.shard(number)
    if not is_current(shard, info):
        yield Difference(info.url, "it was replaced since it was indexed")
    reader = _SpanReader(open_shard, on_read)
    with closing(reader):
        if shard.is_ranged:
            yield from _sample_differences(reader, index, shard)
        reader.read_to_end()
        if reader.position != shard.size_bytes:
            problem = f"{shard.size_bytes:,} bytes were indexed, it has {reader.position:,}"
            yield Difference(info.url, problem)
        if reader.error is not None:
            yield Difference(info.url, str(reader.error))


def missing_shards(index: ShardIndex, listed: Iterable[ObjectInfo]) -> Iterator[Difference]:
    """Yield the shards of an index that are not in the listing of what was indexed."""
    urls = {info.url for info in listed}
    for shard in index.shards:
        if shard.url not in urls:
            yield Difference(shard.url, "it was indexed, and is not there")


def _sample_differences(
    reader: _SpanReader, index: ShardIndex, shard: IndexedShard
) -> Iterator[Difference]:
    for number in range(shard.samples):
        sample = shard.first_sample + number
        _, offset, size_bytes, expected = index.span(sample)
        xxh3 = reader.hash_span(offset, size_bytes)
        if expected in (None, xxh3) and xxh3 is not None:
            continue
        key = index.key(sample) if index.has_names else ""
        problem = f"bytes {offset} to {offset + size_bytes - 1} differ"
        if xxh3 is None:
            problem = f"bytes {offset} to {offset + size_bytes - 1}: the shard ends before them"
        yield Difference(shard.url, problem, number, key, offset, size_bytes)


class _SpanReader:
    """Reads a stream once, and hashes spans of it in their order.

    Attributes:
        position: How many bytes were read.
        error: That the bytes are not what the store promised, which shows at the end.
    """

    def __init__(self, open_shard: Callable[[], Body], on_read: OnRead) -> None:
        self._body = open_shard()
        self._on_read = on_read
        self._view = memoryview(bytearray(_BUFFER_BYTES))
        self._rest = self._view[:0]  # read, and not hashed yet
        self.position = 0
        self.error: IntegrityError | None = None

    def close(self) -> None:
        """Close the stream."""
        self._body.close()

    def hash_span(self, offset: int, size_bytes: int) -> int | None:
        """Return XXH3-64 of some bytes; None if the stream ends before them."""
        self._skip_to(offset)
        hasher = xxh3_64()
        while size_bytes and self._fill():
            piece = self._rest[:size_bytes]
            hasher.update(piece)
            self._rest = self._rest[len(piece) :]
            size_bytes -= len(piece)
        return None if size_bytes else hasher.intdigest()

    def read_to_end(self) -> None:
        """Read the rest, with which the stream verifies itself."""
        self._rest = self._rest[:0]
        while self._fill():
            self._rest = self._rest[:0]

    def _skip_to(self, offset: int) -> None:
        while self._fill():
            start = self.position - len(self._rest)
            self._rest = self._rest[max(0, offset - start) :]
            if self._rest or offset <= start:
                return

    def _fill(self) -> bool:
        """Read a piece if none is left; return whether there is one."""
        if not self._rest and self.error is None:
            try:
                count = self._body.readinto(self._view)
            except IntegrityError as error:
                # A wrong checksum shows with the last bytes, which are in the buffer by then.
                self.error, count = error, self._body.got_bytes - self.position
            self._rest = self._view[:count]
            self.position += count
            self._on_read(count)
        return bool(self._rest)
