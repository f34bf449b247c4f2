"""ObjectReader: an object as a seekable file that makes few requests and wastes few bytes.

    reading on from byte 0         one response, open to the object's end, as a stream
    a read elsewhere               a block of 64 KiB, read to its end at once and remembered
    reading on behind that         four times as many bytes each time, up to 8 MiB
    a small object                 the whole of it, verified by its checksum

A response that is read to its end leaves its connection for the next request, so that a reader that
seeks back and forth stays on one connection. For the same reason the rest of a response is read
when a seek comes and little is left of it. Bytes beyond those that the caller wanted are
remembered, up to `REMEMBERED_BYTES`: formats with an index (zip, Parquet, torch's files) read their
last bytes, and the same few bytes again and again.

Like a `Body`, a reader knows no client or store; it gets a function that opens ranges.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeAlias, TypeVar

from aisio.errors import RangeError, TruncatedError
from aisio.forks import this_process
from aisio.records import ByteRange, ObjectInfo, same_version
from aisio.transport.body import Body, replaced_while_open
from aisio.transport.positioned import PositionedReader
from aisio.transport.retries import RETRYABLE, Attempts

P = ParamSpec("P")
T = TypeVar("T")

OpenRange: TypeAlias = Callable[[ByteRange | None], Body]
"""Opens a range of the object; None is the whole of it, with its checksum."""

BUFFER_BYTES = 256 * 1024
"""The buffer of the `io.BufferedReader` around a reader; with 64 KiB a stream took a quarter more
CPU time."""

FIRST_WINDOW_BYTES = 64 * 1024
WINDOW_GROWTH = 4
MAX_WINDOW_BYTES = 8 * 1024 * 1024

BLOCK_BYTES = 256 * 1024
"""A range of up to this many bytes is read at once; an object that is no larger is read whole."""

MAX_SKIP_BYTES = 256 * 1024
"""After a forward seek of up to this many bytes the open response is read on: a request costs about
as much."""

MAX_DRAIN_BYTES = 256 * 1024
"""A response with at most this many bytes left is read to its end, to keep its connection."""

REMEMBERED_BYTES = 1024 * 1024


class Span(NamedTuple):
    """What a request covers.

    Attributes:
        start: First byte.
        stop: One past the last byte.
        window: How many bytes to request where little is wanted; None before the first seek.
    """

    start: int
    stop: int
    window: int | None


def next_span(position: int, wanted: int, last: Span, size_bytes: int) -> Span:
    """Decide what to request for a read.

    Args:
        position: The first byte of the read.
        wanted: The number of bytes that it wants.
        last: The request before; at first Span(0, 0, None).
        size_bytes: The object's size.
    """
    if size_bytes <= BLOCK_BYTES:
        return Span(0, size_bytes, last.window)
    if position == last.stop and last.window is None:
        return Span(position, size_bytes, None)
    reads_on = 0 <= position - last.stop <= MAX_SKIP_BYTES
    if reads_on and last.window is not None:
        window = min(WINDOW_GROWTH * last.window, MAX_WINDOW_BYTES)
    else:
        window = FIRST_WINDOW_BYTES
    # BufferedReader passes most of a large read here directly and gets the rest by filling its
    # buffer: request that much more.
    large = wanted + BUFFER_BYTES if wanted > BUFFER_BYTES else 0
    start, stop = position, position + max(window, large)
    if stop >= size_bytes - FIRST_WINDOW_BYTES:
        stop = size_bytes
    if not reads_on:
        # Who reads the last bytes will want those before them: indices stand there.
        start = min(start, max(0, size_bytes - FIRST_WINDOW_BYTES))
    return Span(start, stop, window)


class _OpenResponse:
    """An open body, which part of the object it is, and how far it has been read."""

    __slots__ = ("body", "position", "process", "stop")

    def __init__(self, body: Body, span: Span) -> None:
        self.body = body
        self.position = span.start
        self.stop = span.stop
        self.process = this_process()


class ObjectReader(PositionedReader):
    """An object as a seekable binary file; `open_seekable` makes it and buffers it.

    All responses must be of one version of the object. After a fork the child opens responses of
    its own; each process reads on from where the reader was.

    Args:
        info: The object; its size must be known.
        open_range: Opens a part of it, with retries of its own.
        read_rest: Reads a body to its end at once.
        attempts: The retry budget for responses that break off, where bodies do not resume by
            themselves; None where they do.
        is_same: Tells whether two responses are of one version of the object.

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
        # First: Python also closes what failed to be made.
        self._response: _OpenResponse | None = None
        self._remembered = Remembered(REMEMBERED_BYTES)
        super().__init__(info)
        self._open_range = open_range
        self._read_rest = read_rest
        self._attempts = attempts
        self._is_same = is_same
        self._last = Span(0, 0, None)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end.

        Raises:
            IntegrityError: The bytes are not as promised, or the object was replaced meanwhile.
        """
        self._check_open("read")
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        if not view:
            return 0
        count = self._with_retries(self._read_some, view)
        self._position += count
        return count

    def readall(self) -> bytes:
        """Return all that is left, by one request or a few; errors as for `readinto`."""
        self._check_open("read")
        if self._position >= self._size:
            return b""
        if self._size <= BLOCK_BYTES or self._size - self._position <= FIRST_WINDOW_BYTES:
            return b"".join(iter(lambda: self.read(BLOCK_BYTES), b""))
        data = self._with_retries(self._read_to_the_end)
        self._position = self._size
        return data

    def _with_retries(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        while True:
            try:
                result = read(*args, **kwargs)
            except BaseException as error:
                # After an interrupt, too, nobody knows how far the response was read.
                self._cut_response()
                if self._attempts is None or not isinstance(error, RETRYABLE):
                    raise
                self._attempts.failed(error)
            else:
                if self._attempts is not None:
                    self._attempts.renew()
                return result

    def _read_to_the_end(self) -> bytes:
        response = self._response_to_the_end()
        data = self._read_rest(response.body)
        response.position += len(data)
        self._check_whole(response.position, self._size)
        return data

    def _read_some(self, view: memoryview) -> int:
        if not self._response_is_here():
            known = self._remembered.at(self._position)
            if known is None and not self._skips_to_here():
                known = self._request(len(view))
            if known is not None:
                count = min(len(view), len(known))
                view[:count] = known[:count]
                return count
        return self._read_from_response(view)

    def _read_from_response(self, view: memoryview) -> int:
        response = self._response
        assert response is not None
        count = response.body.readinto(view[: response.stop - response.position])
        if not count:
            self._check_whole(response.position, response.stop)
        if response.position < FIRST_WINDOW_BYTES and count <= BUFFER_BYTES:
            # Readers tell a format by the first bytes, and then read these again.
            self._remembered.keep(response.position, bytes(view[:count]))
        response.position += count
        return count

    def _response_is_here(self) -> bool:
        """Tell whether the next byte of the open response is the one to be read."""
        response = self._response
        if response is None:
            return False
        if not response.process.is_current:
            # The parent process reads it: two readers of one socket would both get nonsense.
            self._cut_response()
            return False
        return response.position == self._position < response.stop

    def _skips_to_here(self) -> bool:
        """Read the open response on to the position, if that is near; tell whether it got there."""
        response = self._response
        if response is None or self._position >= response.stop:
            return False
        gap = self._position - response.position
        if not 0 < gap <= MAX_SKIP_BYTES:
            return False
        while gap and (data := response.body.read(gap)):
            self._remembered.keep(response.position, data)
            response.position += len(data)
            gap -= len(data)
        return not gap

    def _request(self, wanted: int) -> memoryview | None:
        """Request the bytes at the position; return them, or None if the open response has them."""
        self._release_body()
        span = next_span(self._position, wanted, self._last, self._size)
        response = self._open(span)
        if span.stop - span.start > BLOCK_BYTES:
            return None
        data = response.body.readall()
        self._response = None
        self._check_whole(span.start + len(data), span.stop)
        self._remembered.keep(span.start, data)
        return memoryview(data)[self._position - span.start :]

    def _response_to_the_end(self) -> _OpenResponse:
        is_here = self._response_is_here() or self._skips_to_here()
        if is_here and self._response is not None and self._response.stop == self._size:
            return self._response
        self._release_body()
        return self._open(Span(self._position, self._size, self._last.window))

    def _open(self, span: Span) -> _OpenResponse:
        is_rest = span.stop == self._size
        whole = is_rest and not span.start
        byte_range = None if whole else ByteRange(span.start, None if is_rest else span.stop)
        try:
            body = self._open_range(byte_range)
        except RETRYABLE as error:
            error.given_up = True
            raise
        except RangeError as error:  # it is smaller now
            raise replaced_while_open(self.info) from error
        if not self._is_same(self.info, body.info):
            body.close()
            raise replaced_while_open(self.info)
        self._response, self._last = _OpenResponse(body, span), span
        return self._response

    def _check_whole(self, got: int, expected: int) -> None:
        if got != expected:
            raise TruncatedError(
                f"GET {self.info.url}: cut short: expected {expected:,} bytes, got {got:,}",
                url=self.info.url,
            )

    def _release_body(self) -> None:
        """Close the open response; keep its connection where that costs little."""
        response, self._response = self._response, None
        if response is None:
            return
        with response.body as body:
            if 0 < response.stop - response.position <= MAX_DRAIN_BYTES:
                self._remembered.keep(response.position, body.drain())

    def _cut_response(self) -> None:
        """Cut the open response; the next request continues where it was."""
        if self._response is not None:
            self._last = self._last._replace(stop=self._response.position)
            self._close_body()

    def _close_body(self) -> None:
        if self._response is not None:
            self._response.body.close()
            self._response = None

    def close(self) -> None:
        """Release the connection."""
        self._close_body()
        self._remembered.forget()
        super().close()


class Remembered:
    """The pieces of a file that were used last, up to a number of bytes.

    Args:
        max_bytes: The size of all pieces together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._pieces: list[tuple[int, bytes]] = []

    def keep(self, start: int, data: bytes) -> None:
        """Remember bytes that begin at an offset; forget the least recently used ones for them."""
        self._pieces.append((start, data))
        self._bytes += len(data)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._pieces.pop(0)[1])

    def at(self, position: int) -> memoryview | None:
        """Return the remembered bytes from an offset on; None if there are none."""
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
