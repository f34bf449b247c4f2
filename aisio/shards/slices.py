"""ShardSlice: neighbouring samples of a shard, read by a range, as an archive of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xxhash import xxh3_64

from aisio.errors import IntegrityError
from aisio.escapes import one_line
from aisio.formats.tar_write import END_OF_ARCHIVE
from aisio.shards.index import SampleSpan
from aisio.shards.opening import ShardStream

__all__ = ["ShardSlice"]


class ShardSlice:
    """The bytes of neighbouring samples, each compared with the hash that the index has of it.

    A store has no checksum of a range. So the bytes are hashed on their way, and those of a wrong
    sample, with what came together with them, are not given. Behind the last sample comes the end
    of an archive, as the pass over a shard expects it.

    Args:
        stream: The range, from the first sample's first byte to the last one's end.
        spans: The samples, with their hashes.
        url: The shard's URL.
    """

    def __init__(self, stream: ShardStream, spans: Iterable[SampleSpan], url: str) -> None:
        self._stream = stream
        self._spans = iter(spans)
        self._url = url
        self._end = memoryview(END_OF_ARCHIVE)
        self._span = next(self._spans)
        self._left = self._span.size_bytes
        self._hash = xxh3_64()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end.

        Raises:
            IntegrityError: The bytes of a sample are not those that were indexed.
        """
        count = self._stream.readinto(buffer)
        if count:
            self._compare(buffer[:count])
            return count
        if self._left:
            raise self._error("its bytes ended too early")
        count = min(len(buffer), len(self._end))
        buffer[:count] = self._end[:count]
        self._end = self._end[count:]
        return count

    def close(self) -> None:
        """Release the connection."""
        self._stream.close()

    def _compare(self, received: memoryview) -> None:
        for piece in self._by_sample(received):
            self._hash.update(piece)
            self._left -= len(piece)
            if not self._left:
                self._end_sample()

    def _by_sample(self, received: memoryview) -> Iterator[memoryview]:
        while received:
            if not self._left:
                raise self._error("more bytes came than were asked for")
            piece, received = received[: self._left], received[self._left :]
            yield piece

    def _end_sample(self) -> None:
        if self._hash.intdigest() != self._span.xxh3:
            raise self._error("its bytes are not those that were indexed")
        following = next(self._spans, None)
        if following is not None:
            self._span, self._left = following, following.size_bytes
            self._hash.reset()

    def _error(self, why: str) -> IntegrityError:
        span = self._span
        return IntegrityError(
            f"{one_line(self._url)}: the sample at bytes {span.offset} to"
            f" {span.offset + span.size_bytes} is damaged: {why}; `aisio verify` tells whether the"
            " shard or the way is at fault",
            url=self._url,
        )
