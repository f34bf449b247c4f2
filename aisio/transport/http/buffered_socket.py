"""BufferedSocket: a connection that is read up to a separator, or into the caller's memory.

A read up to a separator receives more than it returns. The rest stays in a buffer, from which the
next read takes it.
"""

from __future__ import annotations

import select
import signal
import socket
import struct
from math import inf
from time import perf_counter

from aisio.wire.http1 import BadResponse

__all__ = ["BufferedSocket"]

_RECEIVE_BYTES = 16 * 1024
"""Holds the head of a response and the whole of a tiny object. Larger bodies bypass the buffer."""

_TIMEVAL = struct.Struct("@ll")

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
"""The interval timers of this process. Profilers use them to send a signal again and again."""


class BufferedSocket:
    """A connected socket, and the bytes that were received from it in advance.

    Args:
        connected: The socket. Closing this object closes it.
        timeout_s: How long to wait for bytes, in seconds; None for ever.
        slow_s: How long a read up to a separator may take from its first byte on, in seconds.
    """

    __slots__ = ("_buffer", "_poll", "_position", "_socket", "slow_s")

    def __init__(
        self, connected: socket.socket, timeout_s: float | None, slow_s: float = inf
    ) -> None:
        self._socket = connected
        self.slow_s = slow_s
        self._buffer = b""
        self._position = 0
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(connected, select.POLLIN)
        _set_timeouts(connected, timeout_s)

    @property
    def has_buffered_bytes(self) -> bool:
        """Whether bytes were received that no read has returned yet."""
        return self._position < len(self._buffer)

    @property
    def is_readable(self) -> bool:
        """Whether a read would return at once: with bytes, with an error or at the stream's end."""
        if self.has_buffered_bytes:
            return True
        if self._poll is None:
            return bool(select.select([self._socket], [], [], 0)[0])
        return bool(self._poll.poll(0))

    def peek(self, size: int) -> bytes | None:
        """Return up to `size` bytes that have come, without waiting, and leave them to be read.

        Returns:
            The bytes; b"" if the connection has ended, None if nothing has come.
        """
        if self.has_buffered_bytes:
            return self._buffer[self._position : self._position + size]
        if not self.is_readable:
            return None
        try:
            return self._socket.recv(size, socket.MSG_PEEK)
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        """Send all of the data.

        Raises:
            OSError: The connection broke or timed out.
        """
        try:
            self._socket.sendall(data)
        except BlockingIOError as error:
            raise TimeoutError("timed out") from error

    def read_until(self, separator: bytes, max_bytes: int) -> bytes:
        """Return the next bytes up to and including a separator.

        Returns:
            The bytes; b"" if the connection ends before the first of them.

        Raises:
            BadResponse: The connection ends after the first of them, or more than `max_bytes` come.
            OSError: The connection broke or timed out, or the bytes came too slowly.
        """
        search_from, deadline_s = self._position, 0.0
        while (found_at := self._buffer.find(separator, search_from)) < 0:
            pending = len(self._buffer) - self._position
            if pending > max_bytes:
                raise BadResponse(f"more than {max_bytes:,} bytes without {separator!r}")
            if pending and not deadline_s:
                deadline_s = perf_counter() + self.slow_s
            elif pending and perf_counter() > deadline_s:
                raise TimeoutError("timed out within a line")
            received = self._receive()
            if not received:
                if pending:
                    raise BadResponse(
                        f"the connection ended within a line, after {pending:,} bytes"
                    )
                return b""
            self._buffer, self._position = self._buffer[self._position :] + received, 0
            search_from = max(0, pending - len(separator) + 1)
        start, self._position = self._position, found_at + len(separator)
        return self._buffer[start : self._position]

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError as error:
            raise TimeoutError("timed out") from error

    def readinto(self, view: memoryview) -> int:
        """Fill a prefix of a view, which is not empty, and return its length; 0 at the end.

        Raises:
            OSError: The connection broke or timed out.
        """
        if self._position < len(self._buffer):
            data = self._buffer[self._position : self._position + len(view)]
            self._position += len(data)
            view[: len(data)] = data
            return len(data)
        try:
            return self._socket.recv_into(view)
        except BlockingIOError as error:
            raise TimeoutError("timed out") from error

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __del__(self) -> None:
        if hasattr(self, "_socket"):  # an interrupt may have come before __init__ stored it
            self.close()


def _set_timeouts(connected: socket.socket, timeout_s: float | None) -> None:
    """Have the operating system limit how long a read or a write waits.

    Python's own timeout costs two system calls for each read, and between them the thread gives up
    the interpreter's lock, which other threads want. But the system starts its limit anew after
    each signal: a process that sends itself signals by a timer gets Python's timeout.
    """
    connected.settimeout(None)
    if timeout_s is None:
        return
    if any(signal.getitimer(timer)[1] for timer in _TIMERS):
        connected.settimeout(timeout_s)
        return
    seconds = int(timeout_s)
    limit = _TIMEVAL.pack(seconds, max(0 if seconds else 1, int((timeout_s - seconds) * 1e6)))
    try:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    except (AttributeError, OSError):
        connected.settimeout(timeout_s)
