"""The gateway's connections: how many there may be, and how long one may wait for a request.

A connection costs a file descriptor, and its request mostly a second one. Who holds connections and
sends nothing, with or without a token, must not take them from others: their number is bounded well
below the process's limit, and where it is reached a new connection takes the place of the one that
has been idle longest. asyncio's own way to accept has no bound, and where descriptors run out it
writes a traceback for each of a thousand tries a second.
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

from aisio.gateway.logs import SeldomLog

MOST_CONNECTIONS: Final = 4096
IDLE_S: Final = 75.0
"""How long a connection may take to bring the head of its next request, in seconds: longer than
aisio's clients keep an idle one, which is a minute."""

BACKLOG: Final = 1024
HANDSHAKE_S: Final = 10.0
STALL_S: Final = 600.0
"""How long a client may take nothing of a reply that is there for it, in seconds: as long as the
gateway waits for an upload that stands still (exchange.STALL_S)."""

_FILES_EACH = 2
_RESERVED_FILES = 32
_LEAST_CONNECTIONS = 4
_PAUSE_S = 1.0
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n\r\ntoo many connections\n"
)
_log = logging.getLogger(__name__)


def most_connections() -> int:
    """Return how many connections the process's limit of open files leaves room for.

    The soft limit is raised as far as is of use here and the hard limit allows.
    """
    wanted = MOST_CONNECTIONS * _FILES_EACH + _RESERVED_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST_CONNECTIONS
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS allows less than its hard limit says
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return max(_LEAST_CONNECTIONS, (soft - _RESERVED_FILES) // _FILES_EACH)


class BoundedServer(web.Server):
    """aiohttp's server, with a bound on its connections and an end of idle ones.

    Args:
        app: Answers a request, and sends the whole reply before it returns.
        most: How many connections there may be.
        idle_s: How long one may wait for the head of a request, in seconds.
        stall_s: How long one may take nothing of its reply, in seconds; on Linux only.
        clock: Tells the time in seconds.
        options: For aiohttp's RequestHandler.
    """

    def __init__(
        self,
        app: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        most: int = MOST_CONNECTIONS,
        idle_s: float = IDLE_S,
        stall_s: float = STALL_S,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        # aiohttp's own timer does not see the first head of a connection in all its versions.
        super().__init__(self._serve, keepalive_timeout=idle_s, **options)
        self._app = app
        self._most = most
        self._idle_s = idle_s
        self._stall_ms = int(stall_s * 1000)
        self._clock = clock
        self._transports: dict[RequestHandler, asyncio.Transport] = {}
        self._idle: dict[RequestHandler, float] = {}  # since when; the longest idle is first
        self._beginning: set[asyncio.Task[None]] = set()
        self._full, self._busy, self._failing = (SeldomLog(_log, clock=clock) for _ in range(3))
        # The constant is the most whatever the limit of open files.
        self._cure = "; raise the limit of open files (ulimit -n)" * (most < MOST_CONNECTIONS)

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """Note a new connection."""
        super().connection_made(handler, transport)
        self._transports[handler] = transport
        self._idle[handler] = self._clock()

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        self._forget(handler)
        super().connection_lost(handler, exc)

    async def accept(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except ConnectionError:  # the client has gone before its turn
                continue
            except OSError as error:
                self._failing.warning(f"connections cannot be accepted: {error.strerror}")
                await asyncio.sleep(_PAUSE_S)
                continue
            if not self._make_room():
                _refuse(accepted, tls)
                continue
            task = loop.create_task(self._begin(accepted, tls))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)
            if tls is None:  # it takes no time, and then the connection can make way for the next
                await task

    def end_idle(self) -> None:
        """End the connections that have been idle for too long."""
        now_s = self._clock()
        for handler, since_s in list(self._idle.items()):
            if now_s - since_s < self._idle_s:
                return
            self._end(handler)

    @property
    def open_connections(self) -> int:
        """How many connections there are, those that still shake hands included."""
        return len(self._transports) + len(self._beginning)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = request.protocol
        self._idle.pop(handler, None)
        try:
            return await self._app(request)
        finally:
            if handler in self._transports:
                self._idle[handler] = self._clock()

    async def _begin(self, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        try:
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                # Also of a client that is there, and whose window stays closed: tcp(7).
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._stall_ms)
            await asyncio.get_running_loop().connect_accepted_socket(
                self, accepted, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S if tls else None
            )
        except OSError as error:  # a client that speaks no TLS, too
            _log.info("a connection ended before it began: %s", error)
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise
        except Exception:  # else nobody would accept any more
            _log.exception("a connection cannot begin")
            accepted.close()

    def _make_room(self) -> bool:
        """Say whether there may be one more connection; an idle one makes way for it."""
        if self.open_connections < self._most:
            return True
        oldest = next(iter(self._idle), None)
        if oldest is None:
            self._busy.warning(
                f"all {self._most:,} connections are busy: further ones get 503{self._cure}"
            )
            return False
        self._full.warning(
            f"{self._most:,} connections are open, and there are no more: those that have been "
            f"idle longest make way for new ones{self._cure}"
        )
        self._end(oldest)
        return True

    def _end(self, handler: RequestHandler) -> None:
        # Not close(), which waits until the client has taken what is left of a reply.
        transport = self._transports[handler]
        self._forget(handler)
        transport.abort()

    def _forget(self, handler: Any) -> None:
        self._idle.pop(handler, None)
        self._transports.pop(handler, None)


def _refuse(accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
    with accepted, contextlib.suppress(OSError):
        if tls is None:
            accepted.send(_BUSY)
