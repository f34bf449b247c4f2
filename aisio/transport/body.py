"""Body: the bytes of an object, verified, and read on after a break.

A body knows no client or store; it gets an open response, and a function that opens another one.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol, TypeVar

from aisio.errors import (
    IntegrityError,
    StorageError,
    StoreTimeoutError,
    TruncatedError,
    UnavailableError,
)
from aisio.forks import this_process
from aisio.formats.checksums import new_hasher
from aisio.records import Checksum, ObjectInfo
from aisio.stats import thread_counters, waiting
from aisio.transport.filled_bytes import filled_bytes
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.retries import Attempts

A = TypeVar("A")
R = TypeVar("R", bytes, int)
T = TypeVar("T")

READ_AHEAD_BYTES = 256 * 1024

ONE_READ_BYTES = 128 * 1024
"""A read of up to this many bytes is one read of the response, which costs a few us less than
pieces. Over https, all of them are lost if the connection breaks meanwhile: http.client drops what
it has."""

READ_PIECE_BYTES = 1024 * 1024
"""The most bytes of one `readinto`: they are hashed while the processor's cache still has them, and
a stall over https loses no more than these."""

UNHASHED_PIECE_BYTES = 16 * READ_PIECE_BYTES
"""The same where nothing is hashed, as for a part of an object: four connections at once spend an
eighth less processor time than with pieces of 1 MiB."""

BROKEN_OFF = (TruncatedError, UnavailableError, StoreTimeoutError)
"""The errors of a body that breaks off, and may be read from another response."""


class RawResponse(Protocol):
    """An open response or file: what urllib3's responses and binary files have in common."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; b"" at the end."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end."""

    def close(self) -> None:
        """Release the connection or file."""


class Parts(Protocol):
    """Opens any part of a body by a request of its own, from any thread."""

    def open(self, start: int, stop: int, stopped: Callable[[], bool]) -> Body:
        """Open bytes [start, stop), counted from the body's first, of the same version.

        Args:
            start: First byte.
            stop: One past the last byte.
            stopped: Tells whether nobody wants the bytes any more: then a part that breaks off is
                not continued.

        Raises:
            IntegrityError: The object was replaced since.
        """

    def close_thread_connections(self) -> None:
        """Close the connections that only the calling thread has."""


class Body(io.RawIOBase):
    """The bytes of an object or of a range of it, read once from start to end and verified.

    The read that reaches the end raises if the length or the checksum is not what the store
    promised. Closing the body earlier checks nothing and cuts the connection.

    A response that is cut, goes silent or is too slow is continued behind its last good byte.

    A body belongs to the process that opened it: a forked child, which shares the connection, can
    only close it.

    More than 10 attributes: each read uses most of them, and a nested object would cost a lookup.

    Args:
        raw: The open response.
        info: What the store said of the whole object.
        size_bytes: The number of bytes that this body must have; None if the store did not say.
        checksum: The checksum of exactly these bytes; None if there is none, as for a range.
        resume: Opens a response that continues behind so many bytes, or raises the error that it is
            called with: the one that ended the last response. None: a body that breaks off is an
            error.
        parts: Opens parts of this body by requests of their own; None where that cannot be done.
        low_speed: The speed below which a response is given up; None for no limit.
    """

    def __init__(
        self,
        raw: RawResponse,
        info: ObjectInfo,
        size_bytes: int | None,
        checksum: Checksum | None = None,
        resume: Callable[[int, StorageError], RawResponse] | None = None,
        parts: Parts | None = None,
        low_speed: LowSpeedLimit | None = None,
    ) -> None:
        super().__init__()
        self._raw = raw
        self._low_speed = low_speed
        self._resume = resume
        self.parts = parts
        self.info = info
        self._url = info.url
        self.size_bytes = size_bytes
        self._checksum = checksum
        self._hasher = new_hasher(checksum)
        self._got = 0
        self._ended = False
        self._process = this_process()

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

    def detach(self) -> None:
        """Close the response and go on checking: the bytes that follow come by `accept`."""
        self._check_open()
        self._raw.close()

    def accept(self, data: memoryview) -> None:
        """Check the next bytes, which were read, and counted in the statistics, elsewhere.

        Raises:
            IntegrityError: As for `read`.
        """
        self._take(data, len(data))

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, by default all that are left; b"" at the end.

        They are fewer only at the end, or where the store did not say how many there are.

        Raises:
            TruncatedError: The body ended before its promised length.
            IntegrityError: The checksum differs.
            StorageError: The body was opened before a fork, in another process.
        """
        self._check_open()
        if size < 0:
            return self.readall()
        if self._ended or size == 0:
            return b""
        size = self._at_most(size)
        if size > ONE_READ_BYTES and self.size_bytes is not None:
            return self._read_by_pieces(size)
        data = self._with_resume(self._read_once, size)
        short = size - len(data)
        if not short or self._ended or self.size_bytes is None:
            return data
        return data + self._read_by_pieces(short)

    def readall(self) -> bytes:
        """Return all that is left; errors as for `read`."""
        if self.size_bytes is None:
            return self._read_to_the_end()
        # One exact read: its bytes need not be joined.
        data = self.read(self.size_bytes - self._got)
        return data if self._ended else data + self._read_to_the_end()

    def _read_by_pieces(self, size: int) -> bytes:
        """Read so many bytes, which the body has; a break loses no more than one piece."""

        def fill(view: memoryview) -> int:
            position = 0
            while position < size:
                position += self.readinto(view[position:])
            return position

        return filled_bytes(size, fill, self._url)

    def _read_to_the_end(self) -> bytes:
        return b"".join(iter(lambda: self.read(READ_AHEAD_BYTES), b""))

    def drain(self) -> bytes:
        """Return all that is left, so that the connection can be kept; b"" if it breaks off.

        Raises:
            IntegrityError: The checksum differs.
        """
        self._resume = None
        try:
            return self.readall()
        except BROKEN_OFF:
            return b""

    def readinto(self, buffer: Any, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""
        self._check_open()
        most = UNHASHED_PIECE_BYTES if self._hasher is None else READ_PIECE_BYTES
        view = memoryview(buffer).cast("B")[:most]
        if self._ended or not view:
            return 0
        return self._with_resume(self._readinto_once, view[: self._at_most(len(view))])

    def _with_resume(self, read: Callable[[A], R], argument: A) -> R:
        """Call one of the two functions below, on another response where one breaks off."""
        while True:
            try:
                return read(argument)
            except BROKEN_OFF as error:
                self._continue(error)

    def _read_once(self, size: int) -> bytes:
        data = self._timed(self._raw.read, size)
        self._take(data, len(data))
        return data

    def _readinto_once(self, view: memoryview) -> int:
        count = self._timed(self._raw.readinto, view)
        self._take(view[:count], count)
        return count

    def _timed(self, read: Callable[[A], R], argument: A) -> R:
        low_speed = self._low_speed
        if low_speed is not None and low_speed.is_missed():
            raise low_speed.error(f"GET {self._url}", self._url)
        now = perf_counter if low_speed is None else low_speed.now
        wait = waiting(self._url, "read_s", now)
        try:
            with wait as counters:
                result = read(argument)
        except StorageError:
            raise
        except BaseException:  # an interrupt: nobody knows how far the response was read
            self.close()
            raise
        count = result if isinstance(result, int) else len(result)
        counters.bytes_read += count
        if low_speed is not None:
            low_speed.add(count, wait.waited_s)
        return result

    def _at_most(self, size: int) -> int:
        # A response ends where the body does; a file goes on behind a range.
        return size if self.size_bytes is None else min(size, self.size_bytes - self._got)

    def _take(self, data: bytes | memoryview, count: int) -> None:
        self._got += count
        if count and self._hasher is not None:
            started = perf_counter()
            self._hasher.update(data)
            thread_counters().verify_s += perf_counter() - started
        if not count or self._got == self.size_bytes:
            self._end()

    def _end(self) -> None:
        self._raw.close()
        if self.size_bytes is not None and self._got != self.size_bytes:
            raise self._wrong_length()
        self._ended = True
        if self._hasher is not None and self._checksum is not None:
            got = self._hasher.hexdigest()
            if got != self._checksum.value.lower():
                self.close()
                raise self._wrong_checksum(self._checksum, got)

    def _continue(self, error: StorageError) -> None:
        """Open a response behind the last good byte, or end this body with the error."""
        self._raw.close()
        if self._resume is None:
            self.close()
            raise error
        try:
            self._raw = self._resume(self._got, error)
        except StorageError:
            self.close()
            raise
        thread_counters().resumes += 1
        if self._low_speed is not None:
            self._low_speed.begin_connection()

    def _wrong_length(self) -> IntegrityError:
        url = self.info.url
        return TruncatedError(
            f"GET {url}: cut short: expected {self.size_bytes:,} bytes, got {self._got:,}", url=url
        )

    def _wrong_checksum(self, expected: Checksum, got: str) -> IntegrityError:
        url = self.info.url
        return IntegrityError(
            f"GET {url}: wrong {expected.kind} checksum over {self._got:,} bytes: expected "
            f"{expected.value}, got {got}; the stored object or the way to it is damaged",
            url=url,
        )

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.info.url}: read of a closed body")
        if not self._process.is_current:
            raise StorageError(
                f"GET {self._url}: it was opened before the fork; open it again in this process",
                url=self._url,
            )

    def close(self) -> None:
        """Release the connection; what was not read is not verified."""
        if not self.closed:
            self._raw.close()
        super().close()


def read_with_retries(
    open_body: Callable[[], Body], read: Callable[[Body], T], attempts: Attempts
) -> T:
    """Open a body and read it; where it breaks off, open another one, until the budget is spent.

    Args:
        open_body: Opens it. Its errors are raised as they are: it has retried them itself.
        read: Reads what is wanted of it.
        attempts: The retry budget.

    Raises:
        StorageError: As for `Attempts.failed`.
    """
    while True:
        body = open_body()
        try:
            with body:
                return read(body)
        except BROKEN_OFF as error:
            attempts.failed(error)


def replaced_while_open(info: ObjectInfo) -> IntegrityError:
    """Return the error of a file whose object is another one than when it was opened."""
    return IntegrityError(
        f"GET {info.url}: the object was replaced while it was open; open it again", url=info.url
    )
