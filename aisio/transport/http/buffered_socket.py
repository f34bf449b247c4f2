"""BufferedSocket: a connection read up to a mark, or into memory; what came too early is kept."""

from __future__ import annotations

import select
import signal
import socket
import struct
from math import inf
from time import perf_counter

from aisio.wire.http1 import BadReply

__all__ = ["BufferedSocket"]

_PIECE_BYTES = 16 * 1024
"""Holds a head, and the whole of a tiny object; more goes straight to where it belongs."""

_TIMEVAL = struct.Struct("@ll")

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
"""Of this process; profilers have them send a signal again and again."""


class BufferedSocket:
    """A connected socket, and what was read from it in advance.

    Args:
        inner: The socket; it is closed with this.
        timeout_s: How long to wait for bytes, in seconds; None for ever.
        slow_s: How long what ends with a mark may take to come, from its first byte, in seconds.
    """

    __slots__ = ("_at", "_early", "_poll", "_socket", "slow_s")

    def __init__(self, inner: socket.socket, timeout_s: float | None, slow_s: float = inf) -> None:
        self._socket = inner
        self.slow_s = slow_s
        self._early = b""
        self._at = 0
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(inner, select.POLLIN)
        _limit_waits(inner, timeout_s)

    @property
    def has_early_bytes(self) -> bool:
        """Whether something came that nobody has asked for, as far as it was read."""
        return self._at < len(self._early)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came that nobody has asked for; that the server closed is something."""
        if self.has_early_bytes:
            return False
        if self._poll is None:
            return not select.select([self._socket], [], [], 0)[0]
        return not self._poll.poll(0)

    def peek(self, size: int) -> bytes | None:
        """Return what has come, up to so many bytes, and keep it; without waiting.

        b"" where the connection has ended; None where nothing has come.
        """
        if self.has_early_bytes:
            return self._early[self._at : self._at + size]
        if self.is_quiet:
            return None
        try:
            return self._socket.recv(size, socket.MSG_PEEK)
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        """Send it all.

        Raises:
            OSError: The connection broke or timed out.
        """
        try:
            self._socket.sendall(data)
        except BlockingIOError as error:
            raise TimeoutError("timed out") from error

    def take_through(self, mark: bytes, longest: int) -> bytes:
        """Return the next bytes up to and including a mark; b"" where the connection ends instead.

        Raises:
            BadReply: It ends behind the first of them, or they are more than `longest`.
            OSError: The connection broke or timed out, or they came too slowly.
        """
        looked, until_s = self._at, 0.0
        while (found := self._early.find(mark, looked)) < 0:
            had = len(self._early) - self._at
            if had > longest:
                raise BadReply(f"more than {longest:,} bytes without {mark!r}")
            if had and not until_s:
                until_s = perf_counter() + self.slow_s
            elif had and perf_counter() > until_s:
                raise TimeoutError("timed out within a line")
            more = self._receive()
            if not more:
                if had:
                    raise BadReply(f"the connection ended within a line, after {had:,} bytes")
                return b""
            self._early, self._at = self._early[self._at :] + more, 0
            looked = max(0, had - len(mark) + 1)
        begin, self._at = self._at, found + len(mark)
        return self._early[begin : self._at]

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_PIECE_BYTES)
        except BlockingIOError as error:
            raise TimeoutError("timed out") from error

    def readinto(self, view: memoryview) -> int:
        """Fill a prefix of a view, which is not empty, and return its length; 0 at the end.

        Raises:
            OSError: The connection broke or timed out.
        """
        if self._at < len(self._early):
            data = self._early[self._at : self._at + len(view)]
            self._at += len(data)
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
        if hasattr(self, "_socket"):  # else an interrupt came before it had one
            self.close()


def _limit_waits(inner: socket.socket, timeout_s: float | None) -> None:
    """Have the system time reads and writes out.

    By Python's own timeout each of them is two system calls, and two turns for the interpreter's
    lock, which other threads want. But each signal begins the system's limit anew.
    """
    inner.settimeout(None)
    if timeout_s is None:
        return
    if any(signal.getitimer(timer)[1] for timer in _TIMERS):
        inner.settimeout(timeout_s)
        return
    whole = int(timeout_s)
    limit = _TIMEVAL.pack(whole, max(0 if whole else 1, int((timeout_s - whole) * 1e6)))
    try:
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    except (AttributeError, OSError):
        inner.settimeout(timeout_s)
