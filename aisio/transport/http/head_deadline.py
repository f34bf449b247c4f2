"""HeadDeadlineAdapter: limits how long the head of a response may take, for requests and urllib3.

http.client waits anew for each byte of a head: a server that sends one byte now and then would hold
a request for ever. So the head as a whole has a deadline, which starts with its first byte.

Nor does http.client return from a read before the whole buffer is full: the reader of a slow body
would not notice for hours how slow it is. So a read of a body of known length returns early with
what has come; see `aisio.transport.low_speed`.

This is for requests by way of requests and urllib3: control calls, https and proxies. For all
others see `aisio.transport.http.connection_pool`.
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

__all__ = ["HeadDeadlineAdapter", "head_limit_s"]

_BUFFER_BYTES = 8 * 1024
"""The deadline is checked after each piece of this size; Python 3.14 would read 128 KiB at once."""


def head_limit_s(timeouts: Timeouts) -> float:
    """Return how long the head of a response may take from its first byte on, in seconds."""
    return inf if timeouts.least_bytes_per_s is None else timeouts.slow_s


class HeadDeadlineAdapter(HTTPAdapter):
    """An adapter whose connections give up on a head that takes too long.

    Args:
        pool_size: How many idle connections to one host are kept.
        head_s: How long a head may take from its first byte on, in seconds.
    """

    def __init__(self, pool_size: int, head_s: float) -> None:
        self._head_s = head_s
        super().__init__(pool_maxsize=pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of the pools of hosts."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self._head_s)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> PoolManager:
        """Return the manager of the pools of a proxy."""
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        if not str(proxy).lower().startswith("socks"):  # these have connections of their own kind
            manager.pool_classes_by_scheme = _pool_classes(self._head_s)
        return manager


@lru_cache(maxsize=16)
def _pool_classes(head_s: float) -> dict[str, type[HTTPConnectionPool]]:
    class Response(_DeadlineResponse):
        head_limit_s = head_s

    class Connection(HTTPConnection):
        response_class = Response

    class SecureConnection(HTTPSConnection):
        response_class = Response

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


class _DeadlineResponse(HTTPResponse):
    head_limit_s = inf

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._deadline_reader = DeadlineReader(self.fp.detach(), self.head_limit_s)
        self.fp = io.BufferedReader(self._deadline_reader, _BUFFER_BYTES)

    def begin(self) -> None:
        """Read the head. urllib3 treats a TimeoutError here as one of the socket."""
        super().begin()
        self._deadline_reader.limit_s = inf

    def read(self, amt: int | None = None) -> bytes:
        """Return at most `amt` bytes; exactly that many of a chunked body, all of them for None."""
        if amt is None or self.chunked:
            return super().read(amt)
        with self._deadline_reader.flushing_slow_data():
            return super().read(amt)

    def readinto(self, buffer: Any) -> int:
        """Fill a prefix of the buffer, all of it from a chunked body, and return its length."""
        if self.chunked:
            return super().readinto(buffer)
        with self._deadline_reader.flushing_slow_data():
            return super().readinto(buffer)


class DeadlineReader(io.RawIOBase):
    """A socket's bytes, all of which must come within a time limit from the first one on.

    Args:
        raw: The socket's own reader.
        limit_s: The limit in seconds; inf for none.
        now: A clock that never goes back, in seconds.

    Attributes:
        limit_s: As above; it can be lifted once the head was read.
    """

    def __init__(
        self, raw: io.RawIOBase, limit_s: float, now: Callable[[], float] = perf_counter
    ) -> None:
        super().__init__()
        self._raw = raw
        self._deadline_s = inf
        self._flush_at_s = inf
        self._has_data_to_flush = False
        self._now = now
        self.limit_s = limit_s

    @contextmanager
    def flushing_slow_data(self) -> Iterator[None]:
        """Make a read within this block return early with what it has, if the bytes come slowly.

        io.BufferedReader reads from here until its caller's buffer is full, or until it gets None.
        """
        self._has_data_to_flush = False
        self._flush_at_s = self._now() + FLUSH_SLOW_DATA_AFTER_S
        try:
            yield
        finally:
            self._flush_at_s = inf

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Fill a prefix of the buffer and return its length; None to end the present read early.

        Raises:
            TimeoutError: The limit was exceeded.
        """
        if self._has_data_to_flush and self._now() > self._flush_at_s:
            return None
        count = self._raw.readinto(buffer)
        self._has_data_to_flush = True
        if self.limit_s != inf:
            now = self._now()
            self._deadline_s = min(self._deadline_s, now + self.limit_s)
            if now > self._deadline_s:
                raise TimeoutError("timed out within the head of a response")
        return count

    def close(self) -> None:
        """Close the socket's reader."""
        self._raw.close()
        super().close()
