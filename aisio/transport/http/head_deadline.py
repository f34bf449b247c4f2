"""TimedAdapter: requests' adapter, whose replies must have a head in time, and show slow bodies.

http.client waits anew for each byte of a head: a server that sends one now and then would hold a
request for ever. So the head as a whole has a limit, from its first byte on. Nor does it return
from a read before the whole buffer is full: who reads a body that trickles would not notice for
hours. So a read of a body of known length hands over what has come; see
`aisio.transport.low_speed`.

It is for requests that go by requests and urllib3: control calls, https and proxies; see
`aisio.transport.http.connection_pool` for the others.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.client import HTTPResponse
from math import inf
from time import perf_counter
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from aisio.records import Timeouts
from aisio.transport.low_speed import FLUSH_SLOW_DATA_AFTER_S

__all__ = ["HeadDeadlineAdapter", "slowest_head_s"]

_BUFFER_BYTES = 8 * 1024
"""A head is looked at in pieces of this size; Python 3.14 would read 128 KiB at once."""


def slowest_head_s(timeouts: Timeouts) -> float:
    """Return how long a reply's head may take from its first byte on, in seconds."""
    return inf if timeouts.least_bytes_per_s is None else timeouts.slow_s


class HeadDeadlineAdapter(HTTPAdapter):
    """An adapter whose connections give up on a head that takes too long.

    Args:
        pool_size: Connections kept to one host that are not in use.
        head_s: How long a head may take from its first byte on, in seconds.
    """

    def __init__(self, pool_size: int, head_s: float) -> None:
        self._head_s = head_s
        super().__init__(pool_maxsize=pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of hosts."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self._head_s)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> PoolManager:
        """Return the pools of a proxy."""
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        if not str(proxy).lower().startswith("socks"):  # those have connections of their own kind
            manager.pool_classes_by_scheme = _pool_classes(self._head_s)
        return manager


@lru_cache(maxsize=16)
def _pool_classes(head_s: float) -> dict[str, type[HTTPConnectionPool]]:
    class Response(_TimedResponse):
        limit_s = head_s

    class Connection(HTTPConnection):
        response_class = Response

    class SecureConnection(HTTPSConnection):
        response_class = Response

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


class _TimedResponse(HTTPResponse):
    limit_s = inf

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._timed = _TimedReader(self.fp.detach(), self.limit_s)
        self.fp = io.BufferedReader(self._timed, _BUFFER_BYTES)

    def begin(self) -> None:
        """Read the head; urllib3 takes the error for one of the socket."""
        super().begin()
        self._timed.limit_s = inf

    def read(self, amt: int | None = None) -> bytes:
        """Return at most so many bytes; all of them where none is given, or a chunked body."""
        if amt is None or self.chunked:
            return super().read(amt)
        with self._timed.bit_by_bit():
            return super().read(amt)

    def readinto(self, buffer: Any) -> int:
        """Fill a prefix of the buffer and return its length; all of it where a body is chunked."""
        if self.chunked:
            return super().readinto(buffer)
        with self._timed.bit_by_bit():
            return super().readinto(buffer)


class _TimedReader(io.RawIOBase):
    """A socket's bytes, all of which must come within a time from the first on.

    Args:
        raw: The socket's own reader.
        limit_s: The time; inf for none.
        now: A clock that never goes back, in seconds.
    """

    def __init__(
        self, raw: io.RawIOBase, limit_s: float, now: Callable[[], float] = perf_counter
    ) -> None:
        super().__init__()
        self._raw = raw
        self._until_s = inf
        self._handed_over_s = inf
        self._has_given = False
        self._now = now
        self.limit_s = limit_s

    @contextmanager
    def bit_by_bit(self) -> Iterator[None]:
        """Have a read within this block end early, with what it has, where the bytes come slowly.

        io.BufferedReader, which reads here until its caller's buffer is full, stops at a None.
        """
        self._has_given, self._handed_over_s = False, self._now() + FLUSH_SLOW_DATA_AFTER_S
        try:
            yield
        finally:
            self._handed_over_s = inf

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Fill a prefix of the buffer and return its length; None: no more for this read.

        Raises:
            TimeoutError: The time is over.
        """
        if self._has_given and self._now() > self._handed_over_s:
            return None
        count = self._raw.readinto(buffer)
        self._has_given = True
        if self.limit_s != inf:
            now = self._now()
            self._until_s = min(self._until_s, now + self.limit_s)
            if now > self._until_s:
                raise TimeoutError("timed out within the head of a reply")
        return count

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()
