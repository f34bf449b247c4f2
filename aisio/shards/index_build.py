"""Building the index of a shard while a ShardPass reads it from start to end.

Theory of operation. IndexRecorder stands between the shard's stream and the ShardPass. It copies
each piece of the stream (at most the parser's buffer, 1 MiB) and hashes it when the parser asks
for the next one. By then the parser has found the headers in it, so the recorder knows to which
sample each byte belongs. An extension header keeps the bytes behind it from being hashed until its
member is known: up to 1 MiB more. So memory holds no second copy of a large sample.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import closing

from xxhash import xxh3_64

from aisio.errors import ShardError
from aisio.formats.tar import TarMember
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex, one_shard
from aisio.shards.index_pins import pin_of
from aisio.shards.opening import ShardStream
from aisio.shards.reader import ShardPass
from aisio.shards.tar_stream import SOCKET_BUFFER_BYTES
from aisio.transport.body import Body

__all__ = ["IndexRecorder", "OnRead", "build_shard_index"]

OnRead = Callable[[int], None]
"""Called with the number of bytes of each piece that was read; what it raises ends the read."""

_BUFFER_BYTES = SOCKET_BUFFER_BYTES + 1024
"""Enough for a whole buffer of the parser and the header that the one before it has begun."""


class IndexRecorder:
    """The stream of a shard, which is indexed while a ShardPass reads it.

    Pass it to the ShardPass as `stream`, and its `on_member` too, then call `observe`. Once the
    pass has ended without an error, `finish` returns the index.

    Args:
        stream: The shard's bytes; it verifies itself at its end.
        on_read: See `OnRead`.
    """

    def __init__(self, stream: ShardStream, on_read: OnRead | None = None) -> None:
        self._stream = stream
        self._on_read = on_read
        self._pass: ShardPass | None = None
        self._size_bytes = 0
        self._hasher = _SampleHasher()
        self._starts = array("Q")  # first byte of each sample
        self._keys: dict[str, None] = {}
        self._last_key: str | None = None

    def observe(self, shard_pass: ShardPass) -> None:
        """Remember the pass that reads this stream."""
        self._pass = shard_pass

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors of the stream."""
        if self._size_bytes:
            self._hash_settled()
        count = self._stream.readinto(buffer)
        self._hasher.add(buffer[:count])
        self._size_bytes += count
        if self._on_read is not None:
            self._on_read(count)
        return count

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def on_member(self, member: TarMember, key: str) -> None:
        """Note where a sample begins; see ShardPass."""
        if key != self._last_key:
            self._last_key = key
            self._keys[key] = None
            self._starts.append(member.offset)

    @property
    def is_interleaved(self) -> bool:
        """Whether a key came back after other samples."""
        return len(self._starts) != len(self._keys)

    def finish(self, url: str, pin: str) -> ShardIndex:
        """Return the index of the shard, which the pass has read to its end.

        Args:
            url: The shard's URL.
            pin: What tells its version; see `aisio.shards.index_pins`.
        """
        assert self._pass is not None, "observe() was not called"
        spans = None
        if not self._pass.is_compressed and not self.is_interleaved:
            self._hash_settled()
            hashes = self._hasher.finish()
            # What a global header says of a sample is missing in the sample's own bytes.
            if not self._pass.parser.has_global_records:
                spans = (self._starts, self._sizes(self._pass.parser.settled_offset), hashes)
        keys = list(self._keys)
        return one_shard(url, self._size_bytes, pin, spans=spans, samples=len(keys), keys=keys)

    def _sizes(self, end: int) -> array[int]:
        stops = self._starts[1:]
        stops.append(end)
        # Without samples, the one stop has no start.
        return array("Q", (stop - start for start, stop in zip(self._starts, stops, strict=False)))

    def _hash_settled(self) -> None:
        """Hash the bytes of which it is known to which sample they belong."""
        assert self._pass is not None, "observe() was not called"
        parser = self._pass.parser
        if self._pass.is_compressed or self.is_interleaved:
            self._hasher.drop()
            return
        self._hasher.settle(self._starts, parser.settled_offset)
        if parser.end_offset is not None:
            self._hasher.drop()


class _SampleHasher:
    """Hashes the bytes of each sample of a stream, whose borders become known later."""

    def __init__(self) -> None:
        # One buffer, used again: to make one for each piece costs more than to hash it.
        self._unhashed = memoryview(bytearray(_BUFFER_BYTES))
        self._length = 0  # how many bytes of the buffer are in use
        self._base = 0  # byte of the stream that stands at the buffer's start
        self._hasher = xxh3_64()  # of the sample that has begun and not ended
        self._begun = 0  # how many samples have begun
        self._hashes = array("Q")  # of the samples that have ended

    def add(self, data: memoryview) -> None:
        """Take in the next bytes."""
        stop = self._length + len(data)
        if stop > len(self._unhashed):
            grown = memoryview(bytearray(2 * stop))
            grown[: self._length] = self._unhashed[: self._length]
            self._unhashed = grown
        self._unhashed[self._length : stop] = data
        self._length = stop

    def settle(self, starts: array[int], stop: int) -> None:
        """Hash the bytes before `stop`; all samples that begin there are among `starts`."""
        view, base = self._unhashed, self._base
        position = base
        stop = max(base, stop)  # the bytes behind the end of the archive were dropped
        for start in starts[self._begun :]:
            if self._begun:
                self._hasher.update(view[position - base : start - base])
                self._hashes.append(self._hasher.intdigest())
                self._hasher.reset()
            self._begun += 1
            position = start
        if self._begun:
            self._hasher.update(view[position - base : stop - base])
        rest = view[stop - base : self._length].tobytes()
        view[: len(rest)] = rest
        self._length = len(rest)
        self._base = stop

    def drop(self) -> None:
        """Forget the bytes that are not hashed yet: they belong to no sample."""
        self._base += self._length
        self._length = 0

    def finish(self) -> array[int]:
        """Return the hashes of all samples."""
        if self._begun:
            self._hashes.append(self._hasher.intdigest())
        return self._hashes


def build_shard_index(
    open_shard: Callable[[], Body], info: ObjectInfo, *, on_read: OnRead | None = None
) -> ShardIndex:
    """Read a shard whole, verified as any read of it, and return its index.

    A shard that is compressed, or in which the members of a sample are not adjacent, or that has a
    global PAX header, is not ranged: the index knows the number and the names of its samples. One
    that is not adjacent is read twice.

    Args:
        open_shard: Opens the shard at its start.
        info: The shard as it was listed.
        on_read: See `OnRead`.

    Raises:
        ShardError: The shard is cut, damaged or not a tar, or has files and no sample.
        StorageError: It cannot be read, or its bytes are not those that the store promised.
    """
    index = _build(open_shard, info, on_read, interleaved=False)
    if index is None:
        index = _build(open_shard, info, on_read, interleaved=True)
    assert index is not None
    return index


def _build(
    open_shard: Callable[[], Body], info: ObjectInfo, on_read: OnRead | None, *, interleaved: bool
) -> ShardIndex | None:
    """Return the index of a shard; None if it turns out to be interleaved, and must not be."""
    with closing(open_shard()) as body:
        recorder = IndexRecorder(body, on_read)
        # No field is wanted: whether a field is a link or unreadable is up to its readers.
        shard_pass = ShardPass(
            recorder,
            url=info.url,
            keys=(),
            interleaved=interleaved,
            on_member=recorder.on_member,
        )
        recorder.observe(shard_pass)
        try:
            for _ in shard_pass.samples():
                pass
        except ShardError:
            if interleaved or not recorder.is_interleaved:
                raise
            return None
        return recorder.finish(info.url, pin_of(info) or pin_of(body.info))
