"""Response: an open response of plain http, whose body is read off its connection."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from time import perf_counter
from typing import Protocol

from urllib3.exceptions import ProtocolError

from aisio.transport.filled_bytes import filled_bytes
from aisio.transport.http.buffered_socket import BufferedSocket
from aisio.wire.http1 import (
    MAX_HEAD_BYTES,
    BadResponse,
    ResponseHead,
    is_field,
    parse_chunk_size,
)

__all__ = ["Response"]

_MAX_LINE_BYTES = 8 * 1024
_PIECE_BYTES = 256 * 1024
"""How many bytes of a body of unknown length are read at a time."""


class IdleConnections(Protocol):
    """What keeps a connection for the next request: the pool."""

    def put_back(self, connection: BufferedSocket) -> None:
        """Take back a connection whose response was read to its end."""


class Response:
    """An open response. Reading it to its end gives its connection back to the pool.

    Args:
        pool: What takes the connection back.
        connection: Where the body comes from.
        head: What was read before the body.

    Attributes:
        status: HTTP status.
        headers: By any spelling of their names.
    """

    __slots__ = (
        "_connection",
        "_failure",
        "_is_chunked",
        "_is_reusable",
        "_pool",
        "_remaining",
        "headers",
        "status",
    )

    def __init__(
        self, pool: IdleConnections, connection: BufferedSocket, head: ResponseHead
    ) -> None:
        self._connection: BufferedSocket | None = connection
        self._pool = pool
        self.status = head.status
        self.headers: Mapping[str, str] = head.headers
        self._is_reusable = head.is_reusable
        self._is_chunked = head.is_chunked
        self._failure: OSError | ProtocolError | None = None
        # Bytes of the body, or of the present chunk; None if the body ends with the connection.
        self._remaining = head.size_bytes
        if self._remaining == 0 and not head.is_chunked:
            self._finish()

    def read(self, size: int | None = None, until_s: float = inf) -> bytes:
        """Return `size` bytes, all by default; fewer if the body ends or breaks; b"" at the end.

        Args:
            size: How many bytes to return at most.
            until_s: After this time (perf_counter) return what has come, at least one byte.
                Ignored if size is None.

        Raises:
            ProtocolError: The body is malformed or cut. A body of known length that is cut reads as
                one that has ended, unless all bytes are read.
            OSError: The connection broke or timed out. Earlier reads have returned all bytes that
                came before.
        """
        if size is None:
            return self._read_all()
        if self._remaining is not None and not self._is_chunked:
            size = min(size, self._remaining)
        return filled_bytes(size, lambda view: self.readinto(view, until_s))

    def _read_all(self) -> bytes:
        if self._remaining is None or self._is_chunked:
            return b"".join(iter(lambda: self.read(_PIECE_BYTES), b""))
        expected = self._remaining
        data = self.read(expected)
        if len(data) < expected:
            raise ProtocolError(f"the response was cut after {len(data):,} of {expected:,} bytes")
        return data

    def readinto(self, buffer: memoryview, until_s: float = inf) -> int:
        """Fill a buffer, or a prefix, and return its length, 0 at the end; errors as for `read`."""
        if self._failure is not None:
            try:
                raise self._failure
            finally:
                self._failure = None
        filled, size = 0, len(buffer)
        try:
            while filled < size and (count := self._receive(buffer[filled:] if filled else buffer)):
                filled += count
                if filled < size and perf_counter() > until_s:
                    break
        except BadResponse as error:
            self._fail(ProtocolError(f"the response is malformed: {error}"), filled)
        except (OSError, ProtocolError) as error:
            self._fail(error, filled)
        except BaseException:  # after an interrupt nobody knows how far the body was read
            self.close()
            raise
        return filled

    def _fail(self, error: OSError | ProtocolError, filled: int) -> None:
        """Raise an error; if bytes came before it, return them first and raise at the next read."""
        self.close()
        if not filled:
            raise error
        # Without its traceback, whose frames hold this response and the caller's buffer.
        self._failure = error.with_traceback(None)

    def _receive(self, view: memoryview) -> int:
        connection = self._connection
        if connection is None:
            return 0
        if self._is_chunked and not self._remaining and not self._next_chunk(connection):
            return 0
        remaining = self._remaining
        if remaining is None:
            count = connection.readinto(view)
            if not count:
                self.close()
            return count
        count = connection.readinto(view if len(view) <= remaining else view[:remaining])
        if not count:
            self.close()
            if self._is_chunked:
                raise ProtocolError(
                    f"the response was cut, {remaining:,} bytes before the end of a chunk"
                )
            return 0
        self._remaining = remaining - count
        if count == remaining and not self._is_chunked:
            self._finish()
        return count

    def _next_chunk(self, connection: BufferedSocket) -> bool:
        """Read the line before a chunk; after the last chunk read the trailer, and return False."""
        if self._remaining == 0 and connection.read_until(b"\n", _MAX_LINE_BYTES) != b"\r\n":
            raise BadResponse("a chunk is longer than it said")
        line = connection.read_until(b"\n", _MAX_LINE_BYTES)
        self._remaining = parse_chunk_size(line)
        if self._remaining:
            return True
        self._read_trailer(connection)
        self._finish()
        return False

    def _read_trailer(self, connection: BufferedSocket) -> None:
        trailer_bytes, deadline_s = 0, perf_counter() + connection.slow_s
        while (line := connection.read_until(b"\n", _MAX_LINE_BYTES)) != b"\r\n":
            trailer_bytes += len(line)
            if not is_field(line) or trailer_bytes > MAX_HEAD_BYTES:
                raise BadResponse("no end of the trailer after the last chunk")
            if perf_counter() > deadline_s:
                raise TimeoutError("timed out after the last chunk")

    def _finish(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._is_reusable:
                self._pool.put_back(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close the connection, unless the response was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    release_conn = close

    def __del__(self) -> None:
        if hasattr(self, "_connection"):  # an interrupt may have come before __init__ stored it
            self.close()
