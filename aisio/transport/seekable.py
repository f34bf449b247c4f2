"""ObjectReader: an object as a seekable file that asks for few bytes in vain, and seldom.

    reading on from byte 0         one reply, open to the object's end, as a stream
    a read elsewhere               a block of 64 KiB, read out at once and remembered
    reading on behind that         four times as many each time, up to 8 MiB
    a small object                 the whole of it, verified by its checksum

A reply that is read out leaves its connection for the next request, so that a reader that jumps
about stays on one; a reply of which little is left when a jump comes is read out for that reason.
What was read beyond what was asked for is remembered, within `REMEMBERED_BYTES`: formats with an
index (zip, Parquet, torch's files) read their last bytes, and the same few bytes again and again.

Like a `Body`, a reader knows no client or store; it is given a function that opens ranges.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

from aisio.errors import IntegrityError, TruncatedError
from aisio.records import ByteRange, ObjectInfo, same_version
from aisio.transport.body import Body
from aisio.transport.retries import RETRYABLE, Attempts

P = ParamSpec("P")
T = TypeVar("T")

OpenRange: TypeAlias = Callable[[ByteRange | None], Body]
"""Opens a range of the object; None is the whole of it, with its checksum."""

BUFFER_BYTES = 256 * 1024
"""Of the `io.BufferedReader` around a reader; with 64 KiB a stream took a quarter more CPU."""

FIRST_WINDOW_BYTES = 64 * 1024
WINDOW_GROWTH = 4
LARGEST_WINDOW_BYTES = 8 * 1024 * 1024

BLOCK_BYTES = 256 * 1024
"""Up to so many bytes are read out at once; an object that is no larger is read whole."""

SKIPPED_RATHER_THAN_REOPENED_BYTES = 256 * 1024
"""A forward seek of up to this many bytes reads on: a request costs about as much as they do."""

READ_OUT_RATHER_THAN_CUT_BYTES = 256 * 1024
"""So many bytes may be left of a reply that is read out to keep its connection."""

REMEMBERED_BYTES = 1024 * 1024


class ObjectReader(io.RawIOBase):
    """An object as a seekable binary file; made by `open_seekable`, which buffers it.

    All replies must be of one version of the object. After a fork the child opens replies of its
    own; each process goes on where the reader stood.

    Args:
        info: The object; its size must be known.
        open_range: Opens a part of it, and has tried that as often as it makes sense.
        read_rest: Reads a body out at once.
        attempts: The budget for replies that break, where bodies do not go on by themselves.
        is_same: Tells whether two answers are about one version of the object.

    Raises:
        IntegrityError: The object's size is not known.
    """

    def __init__(
        self,
        info: ObjectInfo,
        open_range: OpenRange,
        read_rest: Callable[[Body], bytes] = Body.readall,
        attempts: Attempts | None = None,
        is_same: Callable[[ObjectInfo, ObjectInfo], bool] = same_version,
    ) -> None:
        super().__init__()
        self._body: Body | None = None  # first: an object that was not made is closed, too
        self._remembered = Remembered(REMEMBERED_BYTES)
        if info.size_bytes is None:
            raise IntegrityError(
                f"GET {info.url}: the store does not say how many bytes it has: read it from start "
                f"to end, by get() or stream()",
                url=info.url,
            )
        self.info = info
        self._open_range = open_range
        self._read_rest = read_rest
        self._attempts = attempts
        self._is_same = is_same
        self._size = info.size_bytes
        self._position = 0
        self._body_position = 0
        self._body_stop = 0
        self._asked_up_to = 0
        self._window: int | None = None
        self._pid = os.getpid()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset of the next read."""
        self._check_open("tell")
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the offset of the next read; no bytes move until then.

        Raises:
            ValueError: The offset would be negative, or whence is unknown.
        """
        self._check_open("seek")
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
        self._check_open("read")
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        if not view:
            return 0
        count = self._tried(self._take, view)
        self._position += count
        return count

    def readall(self) -> bytes:
        """Return all that is left, in one request or few; errors as for `readinto`."""
        self._check_open("read")
        if self._position >= self._size:
            return b""
        if self._size <= BLOCK_BYTES or self._size - self._position <= FIRST_WINDOW_BYTES:
            return b"".join(iter(lambda: self.read(BLOCK_BYTES), b""))
        data = self._tried(self._take_rest)
        self._position = self._size
        return data

    def _tried(self, take: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        while True:
            try:
                taken = take(*args, **kwargs)
            except BaseException as error:
                # An interrupt, too, leaves the reply somewhere that nobody knows.
                self._give_up()
                if self._attempts is None or not isinstance(error, RETRYABLE):
                    raise
                self._attempts.failed(error)
            else:
                if self._attempts is not None:
                    self._attempts.renew()
                return taken

    def _take_rest(self) -> bytes:
        data = self._read_rest(self._body_to_the_end())
        self._body_position += len(data)
        self._check_whole(self._body_position, self._size)
        return data

    def _take(self, view: memoryview) -> int:
        if os.getpid() != self._pid:
            self._leave_to_parent()
        if not self._body_is_here():
            known = self._remembered.at(self._position)
            if known is None and not self._reads_on_to_here():
                known = self._ask(len(view))
            if known is not None:
                count = min(len(view), len(known))
                view[:count] = known[:count]
                return count
        return self._take_from_body(view)

    def _take_from_body(self, view: memoryview) -> int:
        assert self._body is not None
        count = self._body.readinto(view[: self._body_stop - self._body_position])
        if not count:
            self._check_whole(self._body_position, self._body_stop)
        if self._body_position < FIRST_WINDOW_BYTES and count <= BUFFER_BYTES:
            # Formats are told by their first bytes, which are read again when that is done.
            self._remembered.keep(self._body_position, bytes(view[:count]))
        self._body_position += count
        return count

    def _body_is_here(self) -> bool:
        return self._body is not None and self._body_position == self._position < self._body_stop

    def _reads_on_to_here(self) -> bool:
        """Read the open reply on to where the reader stands, if that is near."""
        body, gap = self._body, self._position - self._body_position
        if body is None or self._position >= self._body_stop:
            return False
        if not 0 < gap <= SKIPPED_RATHER_THAN_REOPENED_BYTES:
            return False
        while gap and (data := body.read(gap)):
            self._remembered.keep(self._body_position, data)
            self._body_position += len(data)
            gap -= len(data)
        return not gap

    def _ask(self, wanted: int) -> memoryview | None:
        """Ask for the bytes here: return them, or leave them to the open reply."""
        self._let_go()
        start, stop = self._next_span(wanted)
        if stop - start > BLOCK_BYTES:
            self._open(start, stop)
            return None
        body = self._open(start, stop)
        data = body.readall()
        self._body = None
        self._check_whole(start + len(data), stop)
        self._remembered.keep(start, data)
        return memoryview(data)[self._position - start :]

    def _next_span(self, wanted: int) -> tuple[int, int]:
        """Return first byte and end of what to ask for."""
        if self._size <= BLOCK_BYTES:
            return 0, self._size
        start, gap = self._position, self._position - self._asked_up_to
        reads_on = 0 <= gap <= SKIPPED_RATHER_THAN_REOPENED_BYTES
        if not gap and self._window is None:
            return start, self._size
        if not reads_on or self._window is None:
            self._window = FIRST_WINDOW_BYTES
        else:
            self._window = min(WINDOW_GROWTH * self._window, LARGEST_WINDOW_BYTES)
        # More than a buffer's fill is a large read, most of it; its end will come by a fill.
        large = wanted + BUFFER_BYTES if wanted > BUFFER_BYTES else 0
        stop = start + max(self._window, large)
        if stop >= self._size - FIRST_WINDOW_BYTES:
            stop = self._size
        if not reads_on:
            # Who reads the last bytes will want those before them: indices stand there.
            start = min(start, max(0, self._size - FIRST_WINDOW_BYTES))
        return start, stop

    def _body_to_the_end(self) -> Body:
        if os.getpid() != self._pid:
            self._leave_to_parent()
        here = self._body_is_here() or self._reads_on_to_here()
        if here and self._body is not None and self._body_stop == self._size:
            return self._body
        self._let_go()
        return self._open(self._position, self._size)

    def _open(self, start: int, stop: int) -> Body:
        is_rest = stop == self._size
        byte_range = ByteRange(start, None if is_rest else stop) if start or not is_rest else None
        try:
            body = self._open_range(byte_range)
        except RETRYABLE as error:
            error.given_up = True
            raise
        if not self._is_same(self.info, body.info):
            body.close()
            raise IntegrityError(
                f"GET {self.info.url}: the object was replaced while it was open; open it again",
                url=self.info.url,
            )
        self._body, self._body_position, self._body_stop = body, start, stop
        self._asked_up_to = stop
        return body

    def _check_whole(self, got: int, expected: int) -> None:
        if got != expected:
            raise TruncatedError(
                f"GET {self.info.url}: cut short: expected {expected:,} bytes, got {got:,}",
                url=self.info.url,
            )

    def _let_go(self) -> None:
        """Give up the open reply, and keep its connection where that costs little."""
        body, self._body = self._body, None
        if body is None:
            return
        with body:
            if 0 < self._body_stop - self._body_position <= READ_OUT_RATHER_THAN_CUT_BYTES:
                self._remembered.keep(self._body_position, body.read_out())

    def _leave_to_parent(self) -> None:
        """Give up the reply that the parent reads: two readers of one socket both read nonsense."""
        self._pid = os.getpid()
        self._give_up()

    def _give_up(self) -> None:
        """Cut the open reply; what follows goes on where it stood."""
        if self._body is not None:
            self._asked_up_to = self._body_position
            self._drop_body()

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def _check_open(self, what: str) -> None:
        if self.closed:
            raise ValueError(f"{self.info.url}: {what} of a closed file")

    def close(self) -> None:
        """Let go of the connection."""
        self._drop_body()
        self._remembered.forget()
        super().close()


class Remembered:
    """Pieces of a file, the ones used last, within a bound.

    Args:
        most_bytes: Their size together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._pieces: list[tuple[int, bytes]] = []

    def keep(self, start: int, data: bytes) -> None:
        """Remember bytes that begin at an offset; the longest unused go for them."""
        self._pieces.append((start, data))
        self._bytes += len(data)
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._pieces.pop(0)[1])

    def at(self, position: int) -> memoryview | None:
        """Return what is known from an offset on; None for nothing."""
        for index in range(len(self._pieces) - 1, -1, -1):
            start, data = self._pieces[index]
            if start <= position < start + len(data):
                self._pieces.append(self._pieces.pop(index))
                return memoryview(data)[position - start :]
        return None

    def forget(self) -> None:
        """Remember nothing."""
        self._pieces.clear()
        self._bytes = 0


def open_seekable(
    info: ObjectInfo,
    open_range: OpenRange,
    read_rest: Callable[[Body], bytes] = Body.readall,
    attempts: Attempts | None = None,
    is_same: Callable[[ObjectInfo, ObjectInfo], bool] = same_version,
) -> io.BufferedReader:
    """Return an object as a buffered, seekable binary file; arguments as for ObjectReader."""
    reader = ObjectReader(info, open_range, read_rest, attempts, is_same)
    return io.BufferedReader(reader, BUFFER_BYTES)
