"""The server's connections: how many there may be, and how long each may stay idle.

A connection needs one file descriptor, and the request on it usually a second one. A client that
opens many connections and sends nothing, with or without a token, must not lock other clients out.
So the number of connections stays well below the process's limit of open files. When it is reached,
the server closes the connection that has been idle longest and accepts the new one. asyncio's own
accept loop has no such bound: when descriptors run out, it logs a traceback a thousand times a
second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from aisio.gateway.logs import RateLimitedLog

MAX_CONNECTIONS: Final = 4096
IDLE_S: Final = 75.0
"""How long a connection may wait for the head of its next request, in seconds. Aisio's clients keep
an idle connection for one minute, so that the client closes it first."""

BACKLOG: Final = 1024
HANDSHAKE_S: Final = 10.0
STALL_S: Final = 600.0
"""How long a client may accept no byte of a response that is ready, in seconds: the same time as
for an upload without progress (request_body.STALL_S)."""

_FILES_PER_CONNECTION = 2
_RESERVED_FILES = 32
_MIN_CONNECTIONS = 4
_ACCEPT_RETRY_S = 1.0
_SERVICE_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n\r\ntoo many connections\n"
)
_HTTPS_ONLY_TEXT = b"this server speaks https: write https:// in place of http://\n"
_HTTPS_ONLY = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_HTTPS_ONLY_TEXT), _HTTPS_ONLY_TEXT)
)
_TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS connection. Source: RFC 8446, section 5.1, ContentType."""

_DISCARDED_BYTES = 64 * 1024
_log = logging.getLogger(__name__)


def max_connections() -> int:
    """Return how many connections the process's limit of open files allows.

    The soft limit is first raised as far as the server can use it and the hard limit allows.
    """
    wanted = MAX_CONNECTIONS * _FILES_PER_CONNECTION + _RESERVED_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_CONNECTIONS
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS allows less than its hard limit says
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return max(_MIN_CONNECTIONS, (soft - _RESERVED_FILES) // _FILES_PER_CONNECTION)


class BoundedServer(web.Server):
    """aiohttp's server, with a limit on its connections and on their idle time.

    Args:
        app: Handles a request, and sends the whole response before it returns.
        limit: How many connections there may be.
        idle_s: How long a connection may wait for the head of a request, in seconds.
        stall_s: How long a client may accept no byte of its response, in seconds; on Linux only.
        clock: Returns the time in seconds.
        options: For aiohttp's RequestHandler.
    """

    def __init__(
        self,
        app: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        limit: int = MAX_CONNECTIONS,
        idle_s: float = IDLE_S,
        stall_s: float = STALL_S,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        # In some versions aiohttp's own timer does not cover the first head of a connection.
        super().__init__(self._handle, keepalive_timeout=idle_s, **options)
        self._app = app
        self._limit = limit
        self._idle_s = idle_s
        self._stall_ms = int(stall_s * 1000)
        self._clock = clock
        self._transports: dict[RequestHandler, asyncio.Transport] = {}
        self._idle_since: dict[RequestHandler, float] = {}  # the longest idle is first
        self._starting: set[asyncio.Task[None]] = set()
        self._warnings = _Warnings(limit, clock)

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """Register a new connection."""
        super().connection_made(handler, transport)
        self._transports[handler] = transport
        self._idle_since[handler] = self._clock()

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Unregister a connection."""
        self._unregister(handler)
        super().connection_lost(handler, exc)

    async def accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except ConnectionError:  # the client closed it while it waited to be accepted
                continue
            except OSError as error:
                self._warnings.cannot_accept(error)
                await asyncio.sleep(_ACCEPT_RETRY_S)
                continue
            if not self._admit():
                _refuse(accepted, tls)
                continue
            task = loop.create_task(self._start(accepted, tls))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)
            # Without TLS this is quick, and afterwards the connection counts as idle: _admit() may
            # close it in favour of the next one.
            if tls is None:
                await task

    def close_idle(self) -> None:
        """Close the connections that have been idle for too long."""
        now_s = self._clock()
        for handler, since_s in list(self._idle_since.items()):
            if now_s - since_s < self._idle_s:
                return
            self._abort(handler)

    @property
    def open_connections(self) -> int:
        """How many connections there are, including those in their TLS handshake."""
        return len(self._transports) + len(self._starting)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = request.protocol
        self._idle_since.pop(handler, None)
        try:
            return await self._app(request)
        finally:
            if handler in self._transports:
                self._idle_since[handler] = self._clock()

    async def _start(self, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Make a connection of an accepted socket, after the TLS handshake if there is one."""
        try:
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                # This also covers a client that is alive and keeps its window closed: tcp(7).
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._stall_ms)
            if tls is not None and not await _begins_tls(accepted):
                _answer_http(accepted)
                return
            await asyncio.get_running_loop().connect_accepted_socket(
                self, accepted, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S if tls else None
            )
        except (OSError, asyncio.TimeoutError) as error:
            _log.info("a connection ended before it began: %s", error)
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise
        except Exception:  # accept() awaits this task: an exception would end it
            _log.exception("a connection cannot begin")
            accepted.close()

    def _admit(self) -> bool:
        """Say whether the server can take one more connection; close an idle one if it has to."""
        if self.open_connections < self._limit:
            return True
        longest_idle = next(iter(self._idle_since), None)
        if longest_idle is None:
            self._warnings.all_busy()
            return False
        self._warnings.idle_closed()
        self._abort(longest_idle)
        return True

    def _abort(self, handler: RequestHandler) -> None:
        # Not close(): it waits until the client has accepted the rest of a response.
        transport = self._transports[handler]
        self._unregister(handler)
        transport.abort()

    def _unregister(self, handler: Any) -> None:
        self._idle_since.pop(handler, None)
        self._transports.pop(handler, None)


async def _begins_tls(accepted: socket.socket) -> bool:
    """Tell whether the first byte that a client sends is that of TLS.

    Raises:
        TimeoutError: It sends none in time.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(accepted, readable.set)
    try:
        await asyncio.wait_for(readable.wait(), HANDSHAKE_S)
    finally:
        loop.remove_reader(accepted)
    return accepted.recv(1, socket.MSG_PEEK) in (_TLS_HANDSHAKE, b"")


def _answer_http(accepted: socket.socket) -> None:
    """Tell a client that speaks plain http what to do, and close the connection."""
    _log.info("a client speaks plain http: it was told to use https")
    # Closed with unread bytes, the system would reset the connection and drop the answer.
    with contextlib.closing(accepted):
        accepted.recv(_DISCARDED_BYTES)
        accepted.send(_HTTPS_ONLY)


class _Warnings:
    """What a BoundedServer logs about its limit. Each kind is logged at most once a minute.

    Args:
        limit: How many connections there may be.
        clock: Returns the time in seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = f"{limit:,}"
        # More open files do not raise the limit above MAX_CONNECTIONS.
        self._advice = (
            "; raise the limit of open files (ulimit -n)" if limit < MAX_CONNECTIONS else ""
        )
        self._cannot_accept = RateLimitedLog(_log, clock=clock)
        self._all_busy = RateLimitedLog(_log, clock=clock)
        self._idle_closed = RateLimitedLog(_log, clock=clock)

    def cannot_accept(self, error: OSError) -> None:
        """Say that the system call failed."""
        self._cannot_accept.warning(f"connections cannot be accepted: {error.strerror}")

    def all_busy(self) -> None:
        """Say that a connection was refused."""
        self._all_busy.warning(
            f"all {self._limit} connections are busy: new ones get 503{self._advice}"
        )

    def idle_closed(self) -> None:
        """Say that an idle connection was closed in favour of a new one."""
        self._idle_closed.warning(
            f"{self._limit} connections are open, which is the limit: the one that has been idle "
            f"longest is closed for each new one{self._advice}"
        )


def _refuse(accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
    with accepted, contextlib.suppress(OSError):
        if tls is None:
            accepted.send(_SERVICE_UNAVAILABLE)
