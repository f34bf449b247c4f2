"""Bytes on their way out of a store: Body reads on and verifies, ObjectReader seeks.

Neither knows a client or a store. A Body is given an open reply; an ObjectReader is given a
function that opens one at an offset.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol, TypeVar

from aisio.checksums import new_hasher
from aisio.errors import (
    IntegrityError,
    StorageError,
    StoreTimeoutError,
    TruncatedError,
    UnavailableError,
)
from aisio.records import Checksum, ObjectInfo
from aisio.stats import here

A = TypeVar("A")
R = TypeVar("R")

SKIPPED_RATHER_THAN_REOPENED_BYTES = 256 * 1024
"""A forward seek of up to this many bytes reads on: a request costs about as much as they do."""

READ_AHEAD_BYTES = 256 * 1024

ONE_READ_BYTES = 128 * 1024
"""Up to so many bytes come by one read, which costs a few us less than pieces. A connection that
breaks within them takes them all along: http.client drops what it has of a read that fails."""

READ_PIECE_BYTES = 1024 * 1024
"""Most bytes of one `readinto`: they are hashed while the processor's cache still has them, and a
stall loses no more than these."""


class RawReply(Protocol):
    """An open reply: what urllib3's responses and binary files have in common."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; b"" at the end."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end."""

    def close(self) -> None:
        """Let go of the connection or file."""


class Parts(Protocol):
    """Opens any part of a body anew, from any thread."""

    def open(self, start: int, stop: int, stopped: Callable[[], bool]) -> Body:
        """Open bytes [start, stop), counted from the body's first, of the same version.

        Args:
            start: First byte.
            stop: One past the last byte.
            stopped: Tells whether the bytes are still wanted: if not, a cut is not mended.

        Raises:
            IntegrityError: The object was replaced since.
        """

    def leave(self) -> None:
        """Let go of the calling thread's connections."""


class Body(io.RawIOBase):
    """The bytes of an object or of a range of it, read once from start to end and verified.

    The check comes with the last byte: the read that reaches the end raises if the length or the
    checksum is not what the store promised. Closing earlier checks nothing and cuts the connection.

    A reply that is cut, or goes silent, is continued behind its last good byte.

    Args:
        raw: The open reply.
        info: What the store said of the whole object.
        size_bytes: Bytes that this body must have; None if the store did not say.
        checksum: Of exactly these bytes; None if there is none, as for a range.
        resume: Opens a reply that goes on behind so many bytes, or raises what it was given: the
            error that ended the last one. None: a cut body stays cut.
        parts: Opens parts of this body by requests of their own; None where that cannot be done.
    """

    def __init__(
        self,
        raw: RawReply,
        info: ObjectInfo,
        size_bytes: int | None,
        checksum: Checksum | None = None,
        resume: Callable[[int, StorageError], RawReply] | None = None,
        parts: Parts | None = None,
    ) -> None:
        super().__init__()
        self._raw = raw
        self._resume = resume
        self.parts = parts
        self.info = info
        self._url = info.url
        self.size_bytes = size_bytes
        self._checksum = checksum
        self._hasher = new_hasher(checksum)
        self._got = 0
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    @property
    def got_bytes(self) -> int:
        """How many bytes have been read so far."""
        return self._got

    @property
    def left_bytes(self) -> int | None:
        """How many bytes are still to come; None where the store did not say."""
        return None if self.size_bytes is None else self.size_bytes - self._got

    def let_go(self) -> None:
        """Give up the reply, but not the check: what follows comes by `accept`."""
        self._check_open()
        self._raw.close()

    def accept(self, data: memoryview) -> None:
        """Count and check the next bytes, which came another way; errors as for `read`."""
        self._take(data, len(data))

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all that is left by default; b"" at the end.

        Raises:
            TruncatedError: The body ended before its promised length.
            IntegrityError: The checksum differs.
        """
        self._check_open()
        if size < 0:
            return self.readall()
        if self._ended or size == 0:
            return b""
        size = self._at_most(size)
        if size > ONE_READ_BYTES and self.size_bytes is not None:
            return self._read_by_pieces(size)
        while True:
            try:
                data = self._timed(self._raw.read, self._at_most(size))
                self._take(data, len(data))
            except (TruncatedError, UnavailableError, StoreTimeoutError) as error:
                self._continue(error)
            else:
                return data

    def readall(self) -> bytes:
        """Return all that is left; errors as for `read`."""
        self._check_open()
        if self.size_bytes is not None:
            # One exact read: the bytes need no joining afterwards.
            first = self.read(self.size_bytes - self._got)
            if self._ended:
                return first
            return first + self._read_rest()
        return self._read_rest()

    def _read_by_pieces(self, size: int) -> bytes:
        """Read exactly so many bytes, which the body has; after a break, on behind the last piece.

        A BytesIO made of bytes shares their memory, and gives the same memory back as bytes.
        """
        memory = io.BytesIO(bytes(size))
        with memory.getbuffer() as view:
            position = 0
            while position < size:
                position += self.readinto(view[position:])
        return memory.getvalue()

    def _read_rest(self) -> bytes:
        return b"".join(iter(lambda: self.read(READ_AHEAD_BYTES), b""))

    def readinto(self, buffer: Any, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""
        self._check_open()
        view = memoryview(buffer).cast("B")[:READ_PIECE_BYTES]
        if self._ended or not view:
            return 0
        while True:
            try:
                count = self._timed(self._raw.readinto, view[: self._at_most(len(view))])
                self._take(view[:count], count)
            except (TruncatedError, UnavailableError, StoreTimeoutError) as error:
                self._continue(error)
            else:
                return count

    def _timed(self, read: Callable[[A], R], argument: A) -> R:
        counters = here()
        counters.blocked_since = started = perf_counter()
        counters.blocked_on = self._url
        try:
            return read(argument)
        finally:
            counters.blocked_on = ""
            counters.read_s += perf_counter() - started

    def _at_most(self, size: int) -> int:
        # A reply ends where the body does; a file goes on behind a range.
        return size if self.size_bytes is None else min(size, self.size_bytes - self._got)

    def _take(self, data: bytes | memoryview, count: int) -> None:
        self._got += count
        counters = here()
        counters.bytes_read += count
        if count and self._hasher is not None:
            started = perf_counter()
            self._hasher.update(data)
            counters.verify_s += perf_counter() - started
        if not count or self._got == self.size_bytes:
            self._end()

    def _end(self) -> None:
        self._raw.close()
        error = self._wrong_length()
        if error is not None:
            raise error
        self._ended = True
        error = self._wrong_checksum()
        if error is not None:
            self.close()
            raise error

    def _continue(self, error: StorageError) -> None:
        """Go on behind the last good byte, or end this body with the error."""
        self._raw.close()
        if self._resume is not None:
            try:
                self._raw = self._resume(self._got, error)
            except StorageError:
                self.close()
                raise
            here().resumes += 1
            return
        self.close()
        raise error

    def _wrong_length(self) -> IntegrityError | None:
        if self.size_bytes is None or self._got == self.size_bytes:
            return None
        url = self.info.url
        return TruncatedError(
            f"GET {url}: cut short: expected {self.size_bytes:,} bytes, got {self._got:,}", url=url
        )

    def _wrong_checksum(self) -> IntegrityError | None:
        got = self._hasher.hexdigest() if self._hasher is not None else None
        if self._checksum is None or got is None or got == self._checksum.value.lower():
            return None
        url = self.info.url
        return IntegrityError(
            f"GET {url}: wrong {self._checksum.kind} checksum over {self._got:,} bytes: expected "
            f"{self._checksum.value}, got {got}; the stored object or the way to it is damaged",
            url=url,
        )

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.info.url}: read of a closed body")

    def close(self) -> None:
        """Let go of the connection; what was not read is not verified."""
        if not self.closed:
            self._raw.close()
        super().close()


class ObjectReader(io.RawIOBase):
    """An object as a seekable binary file.

    Reading on from where the last read stopped goes on in the same reply; a seek elsewhere opens a
    new one. All replies must be of one version of the object.

    Args:
        info: The object; its size must be known.
        open_at: Opens the object's bytes from an offset to its end.
        read_rest: Reads a body out at once.
    """

    def __init__(
        self,
        info: ObjectInfo,
        open_at: Callable[[int], Body],
        read_rest: Callable[[Body], bytes] = Body.readall,
    ) -> None:
        super().__init__()
        self.info = info
        self._open_at = open_at
        self._read_rest = read_rest
        self._size = info.size_bytes or 0
        self._position = 0
        self._body: Body | None = None
        self._body_position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the offset of the next read; no bytes move until then.

        Raises:
            ValueError: The offset would be negative, or whence is unknown.
        """
        if self.closed:
            raise ValueError(f"{self.info.url}: seek in a closed file")
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        if whence not in bases:
            raise ValueError(f"{self.info.url}: whence must be 0, 1 or 2, not {whence}")
        if bases[whence] + offset < 0:
            raise ValueError(f"{self.info.url}: seek to {bases[whence] + offset}, before the start")
        self._position = bases[whence] + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end.

        Raises:
            IntegrityError: The bytes are not as promised, or the object was replaced meanwhile.
        """
        if self.closed:
            raise ValueError(f"{self.info.url}: read of a closed file")
        view = memoryview(buffer).cast("B")
        if not view or self._position >= self._size:
            return 0
        count = self._body_here().readinto(view)
        if not count:
            raise self._cut(self._position)
        self._position += count
        self._body_position += count
        return count

    def readall(self) -> bytes:
        """Return all that is left, in one request or few; errors as for `readinto`."""
        if self.closed:
            raise ValueError(f"{self.info.url}: read of a closed file")
        if self._position >= self._size:
            return b""
        data = self._read_rest(self._body_here())
        self._body_position += len(data)
        if self._body_position < self._size:
            raise self._cut(self._body_position)
        self._position = self._body_position
        return data

    def _cut(self, got: int) -> TruncatedError:
        return TruncatedError(
            f"GET {self.info.url}: cut short: expected {self._size:,} bytes, got {got:,}",
            url=self.info.url,
        )

    def _body_here(self) -> Body:
        gap = self._position - self._body_position
        body = self._body
        near = 0 <= gap <= SKIPPED_RATHER_THAN_REOPENED_BYTES
        if body is not None and not body.closed and near:
            self._skip(body, gap)
            return body
        self._drop_body()
        body = self._open_at(self._position)
        if not same_version(self.info, body.info):
            body.close()
            raise IntegrityError(
                f"GET {self.info.url}: the object was replaced while it was open; open it again",
                url=self.info.url,
            )
        self._body, self._body_position = body, self._position
        return body

    def _skip(self, body: Body, gap: int) -> None:
        while gap and (data := body.read(gap)):
            gap -= len(data)
            self._body_position += len(data)

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        """Let go of the connection."""
        self._drop_body()
        super().close()


def same_version(first: ObjectInfo, second: ObjectInfo) -> bool:
    """Tell whether two answers can be about the same bytes, by all that both of them say.

    Where the first identifies its bytes by more than their number, the second must say something of
    that kind as well.
    """
    if _identifies(first) and not _identifies(second):
        return False
    pairs = (
        (first.size_bytes, second.size_bytes),
        (first.checksum, second.checksum),
        (first.version, second.version),
        (first.etag, second.etag),
    )
    unsaid = (None, "")
    return all(one in unsaid or other in unsaid or one == other for one, other in pairs)


def _identifies(info: ObjectInfo) -> bool:
    return bool(info.checksum or info.version or info.etag)


def open_seekable(
    info: ObjectInfo,
    open_at: Callable[[int], Body],
    read_rest: Callable[[Body], bytes] = Body.readall,
) -> io.BufferedReader:
    """Return an object as a buffered, seekable binary file; arguments as for ObjectReader."""
    return io.BufferedReader(ObjectReader(info, open_at, read_rest), READ_AHEAD_BYTES)
