"""PlainReply: the body of a reply that came by plain http, read off its connection."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from time import perf_counter
from typing import Protocol

from urllib3.exceptions import ProtocolError

from aisio.transport.filled_bytes import filled_bytes
from aisio.transport.http.buffered_socket import BufferedSocket
from aisio.wire.http1 import (
    LONGEST_HEAD_BYTES,
    BadReply,
    Head,
    is_field,
    parse_chunk_size,
)

__all__ = ["Response"]

_LONGEST_LINE_BYTES = 8 * 1024
_UNKNOWN_PIECE_BYTES = 256 * 1024


class Keeper(Protocol):
    """What takes a connection back."""

    def keep(self, connection: BufferedSocket) -> None:
        """Take a connection back that nobody reads from any more."""


class Response:
    """An open reply; read out, it gives its connection back by itself.

    Attributes:
        status: HTTP status.
        headers: By any spelling of their names.
    """

    __slots__ = (
        "_connection",
        "_failure",
        "_in_chunks",
        "_keeps",
        "_left",
        "_pool",
        "headers",
        "status",
    )

    def __init__(self, pool: Keeper, connection: BufferedSocket, head: Head) -> None:
        self._connection: BufferedSocket | None = connection
        self._pool = pool
        self.status = head.status
        self.headers: Mapping[str, str] = head.headers
        self._keeps = head.keeps
        self._in_chunks = head.in_chunks
        self._failure: OSError | ProtocolError | None = None
        # Bytes of the body, or of a chunk of it; None where the connection's end ends it.
        self._left = head.size_bytes
        if self._left == 0 and not head.in_chunks:
            self._end()

    def read(self, size: int | None = None, until_s: float = inf) -> bytes:
        """Return `size` bytes, all by default; fewer where the body ends or breaks; b"" at the end.

        Args:
            size: Most bytes.
            until_s: Of `perf_counter`: when less will do, but for nothing; not where all is read.

        Raises:
            ProtocolError: The body is malformed, or cut: where its length is known, that is an end
                like any other, unless all was asked for.
            OSError: The connection broke or timed out. What came before was returned.
        """
        if size is None:
            return self._read_all()
        if self._left is not None and not self._in_chunks:
            size = min(size, self._left)
        return filled_bytes(size, lambda view: self.readinto(view, until_s))

    def _read_all(self) -> bytes:
        if self._left is None or self._in_chunks:
            return b"".join(iter(lambda: self.read(_UNKNOWN_PIECE_BYTES), b""))
        wanted = self._left
        data = self.read(wanted)
        if len(data) < wanted:
            raise ProtocolError(f"the reply was cut after {len(data):,} of {wanted:,} bytes")
        return data

    def readinto(self, buffer: memoryview, until_s: float = inf) -> int:
        """Fill a buffer, or a prefix, and return its length, 0 at the end; errors as for `read`."""
        if self._failure is not None:
            try:
                raise self._failure
            finally:
                self._failure = None
        got, size = 0, len(buffer)
        try:
            while got < size and (count := self._receive(buffer[got:] if got else buffer)):
                got += count
                if got < size and perf_counter() > until_s:
                    break
        except BadReply as error:
            self._fail(ProtocolError(f"the reply is malformed: {error}"), got)
        except (OSError, ProtocolError) as error:
            self._fail(error, got)
        except BaseException:  # an interrupt: nobody knows how far it was read
            self.close()
            raise
        return got

    def _fail(self, error: OSError | ProtocolError, got: int) -> None:
        """Raise an error, but not before the bytes that came first are handed over."""
        self.close()
        if not got:
            raise error
        self._failure = error

    def _receive(self, view: memoryview) -> int:
        connection = self._connection
        if connection is None:
            return 0
        if self._in_chunks and not self._left and not self._next_chunk(connection):
            return 0
        left = self._left
        if left is None:
            count = connection.readinto(view)
            if not count:
                self.close()
            return count
        count = connection.readinto(view if len(view) <= left else view[:left])
        if not count:
            self.close()
            if self._in_chunks:
                raise ProtocolError(f"the reply was cut, {left:,} bytes before the end of a chunk")
            return 0
        self._left = left - count
        if count == left and not self._in_chunks:
            self._end()
        return count

    def _next_chunk(self, connection: BufferedSocket) -> bool:
        """Read the line before a chunk; behind the last one, read the reply out."""
        if self._left == 0 and connection.take_through(b"\n", _LONGEST_LINE_BYTES) != b"\r\n":
            raise BadReply("a chunk is longer than it said")
        line = connection.take_through(b"\n", _LONGEST_LINE_BYTES)
        self._left = parse_chunk_size(line)
        if self._left:
            return True
        read, until_s = 0, perf_counter() + connection.slow_s
        while (line := connection.take_through(b"\n", _LONGEST_LINE_BYTES)) != b"\r\n":
            read += len(line)
            if not is_field(line) or read > LONGEST_HEAD_BYTES:
                raise BadReply("no end behind the last chunk")
            if perf_counter() > until_s:
                raise TimeoutError("timed out behind the last chunk")
        self._end()
        return False

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._keeps:
                self._pool.keep(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Cut the connection, unless the reply is read out."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    release_conn = close

    def __del__(self) -> None:
        if hasattr(self, "_connection"):  # else an interrupt came before it had one
            self.close()
