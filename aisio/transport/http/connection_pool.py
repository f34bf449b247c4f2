"""ConnectionPool: requests for bytes over plain http, on connections that are kept alive.

urllib3 and http.client prepare and check for each request what has been the same since the first
one, and they parse the headers of a response as those of an e-mail: almost half of the CPU time
that a GET of 100 KB took. So GET, HEAD and PUT to http URLs, if no proxy leads there, use this
pool. All other requests use urllib3. The responses have those attributes of urllib3's that aisio
uses.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from math import inf
from time import perf_counter
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError

from aisio.errors import StorageError
from aisio.records import Timeouts
from aisio.stats import thread_counters
from aisio.transport.http.buffered_socket import BufferedSocket
from aisio.transport.http.request_encoder import RequestEncoder
from aisio.transport.http.response import Response
from aisio.transport.retries import report_failed_try
from aisio.wire.http1 import (
    MAX_HEAD_BYTES,
    BadResponse,
    ResponseHead,
    parse_head,
)

__all__ = [
    "ConnectionPool",
    "IDEMPOTENT_METHODS",
    "RECEIVE_BUFFER_BYTES",
    "Request",
    "RequestState",
]

IDEMPOTENT_METHODS = ("GET", "HEAD", "PUT")
"""What this pool sends: sent once more, as on a connection that broke, they change nothing more."""

RECEIVE_BUFFER_BYTES = 1 << 20
"""How much of a response that nobody reads yet the system keeps, so that the server can go on."""

MAX_IDLE_S = 60.0
"""A connection that was idle for longer is not used again. A firewall or load balancer on the way
may have dropped it, and does not always say so."""

_MAX_INTERIM_RESPONSES = 20
_SUCCESS = b"HTTP/1.1 2"


class RequestState(Enum):
    """What is known of the response to a request, without waiting for it."""

    UNANSWERED = "nothing has come"
    ANSWERED = "a successful response has begun to come"
    FAILED = "another response has begun to come, or the connection has ended"


class _ConnectionBroken(ProtocolError):
    """The connection broke before its response was read: the request may be sent once more."""


class Request:
    """A request that was sent. If its connection turns out to be dead, it is sent once more.

    Args:
        pool: The pool of the connection.
        connection: An idle connection, or a new one whose response will not be read at once.
        method: GET, HEAD or PUT.
        data: The whole request.
    """

    __slots__ = ("_connection", "_data", "_is_sent", "_method", "_pool", "_sent_at")

    def __init__(
        self, pool: ConnectionPool, connection: BufferedSocket, method: str, data: bytes
    ) -> None:
        self._pool = pool
        self._method = method
        self._data = data
        try:
            self._is_sent = _send(connection, data)
        except requests.ReadTimeout:
            pool.close()  # the other idle connections may be as dead
            raise
        self._sent_at = perf_counter()
        self._connection = connection

    @property
    def state(self) -> RequestState:
        """What is known of the response, without waiting for it."""
        start = self._connection.peek(len(_SUCCESS))
        if start is None:
            return RequestState.UNANSWERED
        return RequestState.ANSWERED if start == _SUCCESS else RequestState.FAILED

    def response(self) -> Response:
        """Wait for the head of the response and return the open response; can be called once.

        Raises:
            requests.ReadTimeout: The server sent nothing in time.
            ProtocolError: No response or a malformed one, or none on a second connection either.
        """
        response = self._first_response()
        return self._send_again() if response is None else response

    def _first_response(self) -> Response | None:
        """Wait for the response on the first connection; None if that connection has broken."""
        pool, age_s = self._pool, perf_counter() - self._sent_at
        try:
            if age_s > pool.read_s and self.state is RequestState.UNANSWERED:
                self._connection.close()
                raise requests.ReadTimeout("timed out before anybody waited")
            # A response that came long ago does not show that its connection is alive now.
            may_reuse = self._is_sent and age_s <= pool.max_idle_s
            return pool.read_response(self._connection, self._method, may_reuse)
        except _ConnectionBroken:
            return None
        except requests.ReadTimeout:
            pool.close()  # the other idle connections may be as dead
            raise

    def _send_again(self) -> Response:
        thread_counters().requests += 1
        response = self._pool.send_on_new_connection(self._method, self._data)
        report_failed_try(
            StorageError(
                "a connection broke before its response was read: the request was sent again"
            )
        )
        return response

    def close(self) -> None:
        """Close the connection: nobody wants the response."""
        self._connection.close()


class ConnectionPool:
    """The connections of one process to one host; threads may share it.

    Args:
        url: Any http URL of that host.
        timeouts: To connect, and between bytes.
        max_idle: How many idle connections are kept.
        max_idle_s: How long a connection may be idle and still be used again, in seconds.

    Attributes:
        read_s: How long to wait for bytes, in seconds.
        max_idle_s: As above.
    """

    def __init__(
        self, url: str, timeouts: Timeouts, max_idle: int, max_idle_s: float = MAX_IDLE_S
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._timeouts = timeouts
        self.read_s = inf if timeouts.read_s is None else timeouts.read_s
        self._slow_s = inf if timeouts.least_bytes_per_s is None else timeouts.slow_s
        self._max_idle = max_idle
        self.max_idle_s = max_idle_s
        # Each with the time since when it is idle; the last one was used last.
        self._idle: list[tuple[BufferedSocket, float]] = []
        self._encoder = RequestEncoder(self._host, self._port)

    def open(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Response:
        """Send a request and return its open response.

        The server may close an idle connection just while the request is on its way. The request is
        then sent again at once, on a new connection, which GET, HEAD and PUT allow.

        Raises:
            ConnectTimeoutError: No connection in time.
            NewConnectionError: No connection.
            requests.ReadTimeout: The server sent nothing in time.
            ProtocolError: No response, or a malformed one.
            requests.RequestException: The target or a header cannot be sent.

        Source:
            RFC 9112, section 9.3.1.
        """
        data = self._encoder.encode(method, target, headers, body)
        if headers.get("Connection") == "close":
            return self._send_alone(method, data)
        idle = self._take_idle()
        if idle is not None:
            return Request(self, idle, method, data).response()
        return self.send_on_new_connection(method, data)

    def _send_alone(self, method: str, data: bytes) -> Response:
        """Send a request that is the only one on its connection, whatever the server says.

        It may announce a body that is never sent: the server would take the next request for it.
        """
        connection = self._connect()
        _send(connection, data)
        return self.read_response(connection, method, may_reuse=False)

    def send_ahead(self, method: str, target: str, headers: Mapping[str, str]) -> Request:
        """Send a request whose response is read later.

        Raises:
            ConnectTimeoutError: No connection in time.
            NewConnectionError: No connection.
            requests.RequestException: The target or a header cannot be sent.
        """
        data = self._encoder.encode(method, target, headers, None)
        return Request(self, self._take_idle() or self._connect(), method, data)

    def send_on_new_connection(self, method: str, data: bytes) -> Response:
        """Send the bytes of a request on a new connection and return its open response.

        Raises:
            ConnectTimeoutError: No connection in time.
            NewConnectionError: No connection.
            requests.ReadTimeout: The server sent nothing in time.
            ProtocolError: No response, or a malformed one.
        """
        connection = self._connect()
        return self.read_response(connection, method, _send(connection, data))

    def read_response(self, connection: BufferedSocket, method: str, may_reuse: bool) -> Response:
        """Read the head of a response and return the open response.

        Args:
            connection: Where the response comes from.
            method: The method of the request.
            may_reuse: Whether the connection may serve another request afterwards.

        Raises:
            requests.ReadTimeout: The server sent nothing in time.
            ProtocolError: No response, or a malformed one.
        """
        try:
            head = _read_head(connection, method)
            head.is_reusable = head.is_reusable and may_reuse
            return Response(self, connection, head)
        except TimeoutError as error:
            connection.close()
            raise requests.ReadTimeout(str(error)) from error
        except ConnectionError as error:
            connection.close()
            raise _ConnectionBroken("Connection aborted.", error) from error
        except (OSError, BadResponse) as error:
            connection.close()
            raise ProtocolError("Connection aborted.", error) from error
        except BaseException:  # an interrupt
            connection.close()
            raise

    def put_back(self, connection: BufferedSocket) -> None:
        """Take back a connection whose response was read to its end."""
        now = perf_counter()
        if self._idle and now - self._idle[0][1] > self.max_idle_s:
            self._close_expired(now)
        if len(self._idle) < self._max_idle:
            self._idle.append((connection, now))
        else:
            connection.close()

    def _close_expired(self, now: float) -> None:
        with suppress(IndexError):  # another thread may take connections out meanwhile
            while now - self._idle[0][1] > self.max_idle_s:
                self._idle.pop(0)[0].close()

    def close(self) -> None:
        """Close the idle connections."""
        # No name of this module: at the end of the program, when pools are deleted, they are None.
        while self._idle:
            try:
                connection, _ = self._idle.pop()
            except IndexError:  # another thread was faster
                return
            connection.close()

    def retire(self) -> None:
        """Close the idle connections, and each of the others after its response."""
        self._max_idle = 0
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):
            self.close()

    def _take_idle(self) -> BufferedSocket | None:
        while self._idle:
            try:
                connection, idle_since = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            # Readable without a request: the server has closed it, or sent bytes that would be
            # taken for the next response.
            if perf_counter() - idle_since <= self.max_idle_s and not connection.is_readable:
                return connection
            connection.close()
        return None

    def _connect(self) -> BufferedSocket:
        started = perf_counter()
        try:
            connected = socket.create_connection((self._host, self._port), self._timeouts.connect_s)
        except TimeoutError as error:
            raise ConnectTimeoutError(str(error)) from error
        except (OSError, UnicodeError) as error:
            # urllib3 expects one of its own connections, but uses it for the message only.
            raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]
        finally:
            thread_counters().connect_s += perf_counter() - started
        # macOS refuses if the server has closed already: sending will report that.
        with suppress(OSError):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _enlarge_receive_buffer(connected)
        return BufferedSocket(connected, self._timeouts.read_s, self._slow_s)


def _enlarge_receive_buffer(connected: socket.socket) -> None:
    """Have the system accept RECEIVE_BUFFER_BYTES of a response that nobody reads yet.

    Linux would start with 64 KiB and enlarge the buffer only while somebody reads: over a network
    the server would stop there. Setting the low-water mark enlarges it at once. Unlike SO_RCVBUF it
    lets the buffer grow further.

    Source:
        Linux, tcp_set_rcvlowat in net/ipv4/tcp.c.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, RECEIVE_BUFFER_BYTES)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


def _send(connection: BufferedSocket, data: bytes) -> bool:
    """Send a request; return False if the server stopped reading, perhaps because it has answered.

    Raises:
        requests.ReadTimeout: The server did not take the bytes in time.
    """
    try:
        connection.send(data)
    except ConnectionError:
        return False
    except BaseException as error:
        connection.close()
        if isinstance(error, TimeoutError):
            raise requests.ReadTimeout(str(error)) from error
        raise
    return True


def _read_head(connection: BufferedSocket, method: str) -> ResponseHead:
    """Read the head of the final response; skip interim ones, which only announce it."""
    for _ in range(_MAX_INTERIM_RESPONSES):
        data = connection.read_until(b"\r\n\r\n", MAX_HEAD_BYTES)
        if not data:
            raise ConnectionResetError("the connection was closed without a response")
        head = parse_head(data, method)
        if head.status >= 200:
            return head
        if head.status == 101:
            break
    raise BadResponse("only interim responses, or a switch to a protocol that was not requested")
