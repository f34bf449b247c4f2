"""Bytes on their way out of a store: Body reads on and verifies.

It knows no client or store; it is given an open reply.
"""

from __future__ import annotations

import io
import os
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
from aisio.formats.checksums import new_hasher
from aisio.records import Checksum, ObjectInfo
from aisio.stats import thread_counters
from aisio.transport.filled_bytes import filled_bytes
from aisio.transport.low_speed import LowSpeedLimit

A = TypeVar("A")
R = TypeVar("R", bytes, int)

READ_AHEAD_BYTES = 256 * 1024

ONE_READ_BYTES = 128 * 1024
"""Up to so many bytes come by one read, which costs a few us less than pieces. Over https a
connection that breaks within them takes them all along: http.client drops what it has."""

READ_PIECE_BYTES = 1024 * 1024
"""Most bytes of one `readinto`: they are hashed while the processor's cache still has them, and
over https a stall loses no more than these."""

UNHASHED_PIECE_BYTES = 16 * READ_PIECE_BYTES
"""The same where nothing is hashed, as for a part of an object: four connections at once spend an
eighth less processor time than by pieces of 1 MiB."""

_forks = 0
"""How many forks lie between the process that loaded this and the present one."""


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


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

    A reply that is cut, goes silent or is too slow is continued behind its last good byte.

    It belongs to the process that opened it: a forked child, which shares the connection, can only
    close it.

    Args:
        raw: The open reply.
        info: What the store said of the whole object.
        size_bytes: Bytes that this body must have; None if the store did not say.
        checksum: Of exactly these bytes; None if there is none, as for a range.
        resume: Opens a reply that goes on behind so many bytes, or raises what it was given: the
            error that ended the last one. None: a cut body stays cut.
        parts: Opens parts of this body by requests of their own; None where that cannot be done.
        low_speed: What a reply must give while it is waited for; None for anything.
    """

    def __init__(
        self,
        raw: RawReply,
        info: ObjectInfo,
        size_bytes: int | None,
        checksum: Checksum | None = None,
        resume: Callable[[int, StorageError], RawReply] | None = None,
        parts: Parts | None = None,
        low_speed: LowSpeedLimit | None = None,
    ) -> None:
        super().__init__()
        self._raw = raw
        self._least_rate = low_speed
        self._resume = resume
        self.parts = parts
        self.info = info
        self._url = info.url
        self.size_bytes = size_bytes
        self._checksum = checksum
        self._hasher = new_hasher(checksum)
        self._got = 0
        self._ended = False
        self._opened_after_forks = _forks

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

    def drain_and_release(self) -> None:
        """Give up the reply, but not the check: what follows comes by `accept`."""
        self._check_open()
        self._raw.close()

    def accept(self, data: memoryview) -> None:
        """Check the next bytes, which came another way and were counted there.

        Raises:
            IntegrityError: As for `read`.
        """
        self._take(data, len(data))

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, all that is left by default; b"" at the end.

        They are fewer only at the end, or where the store did not say how many there are.

        Raises:
            TruncatedError: The body ended before its promised length.
            IntegrityError: The checksum differs.
            StorageError: It was opened before a fork, in another process.
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
                short = size - len(data)
                if not short or self._ended or self.size_bytes is None:
                    return data
                return data + self._read_by_pieces(short)

    def readall(self) -> bytes:
        """Return all that is left; errors as for `read`."""
        if self.size_bytes is not None:
            # One exact read: the bytes need no joining afterwards.
            first = self.read(self.size_bytes - self._got)
            if self._ended:
                return first
            return first + self._read_rest()
        return self._read_rest()

    def _read_by_pieces(self, size: int) -> bytes:
        """Read so many bytes, which the body has; after a break, on behind the last piece."""

        def fill(view: memoryview) -> int:
            position = 0
            while position < size:
                position += self.readinto(view[position:])
            return position

        return filled_bytes(size, fill, self._url)

    def _read_rest(self) -> bytes:
        return b"".join(iter(lambda: self.read(READ_AHEAD_BYTES), b""))

    def read_out(self) -> bytes:
        """Return all that is left, so that the connection can be kept; b"" if it breaks meanwhile.

        Raises:
            IntegrityError: The checksum differs.
        """
        self._resume = None
        try:
            return self.readall()
        except (TruncatedError, UnavailableError, StoreTimeoutError):
            return b""

    def readinto(self, buffer: Any, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""
        self._check_open()
        most = UNHASHED_PIECE_BYTES if self._hasher is None else READ_PIECE_BYTES
        view = memoryview(buffer).cast("B")[:most]
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
        low_speed = self._least_rate
        now = perf_counter if low_speed is None else low_speed.now
        if low_speed is not None and low_speed.is_missed():
            raise low_speed.error(f"GET {self._url}", self._url)
        counters = thread_counters()
        counters.blocked_since = started = now()
        counters.blocked_on = self._url
        try:
            taken = read(argument)
        except StorageError:
            raise
        except BaseException:  # an interrupt: nobody knows how far the reply was read
            self.close()
            raise
        finally:
            counters.blocked_on = ""
            waited_s = now() - started
            counters.read_s += waited_s
        count = taken if isinstance(taken, int) else len(taken)
        counters.bytes_read += count
        if low_speed is not None:
            low_speed.add(count, waited_s)
        return taken

    def _at_most(self, size: int) -> int:
        # A reply ends where the body does; a file goes on behind a range.
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
            thread_counters().resumes += 1
            if self._least_rate is not None:
                self._least_rate.begin()
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
        if self._opened_after_forks != _forks:
            raise StorageError(
                f"GET {self._url}: it was opened before the fork; open it again in this process",
                url=self._url,
            )

    def close(self) -> None:
        """Let go of the connection; what was not read is not verified."""
        if not self.closed:
            self._raw.close()
        super().close()
