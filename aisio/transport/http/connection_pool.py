"""Plain http without what a socket to a storage node does not need: requests, and a pool.

urllib3 and http.client ask and check for each request what has been the same since the first, and
read the headers of a reply as those of a mail: almost half of the CPU that a GET of 100 KB took.
So reads from http URLs, through no proxy, go this way; all else goes by urllib3. The replies have
what aisio uses of urllib3's.
"""

from __future__ import annotations

import re
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
from aisio.transport.http.response import Response
from aisio.transport.retries import tell
from aisio.wire.http1 import (
    LONGEST_HEAD_BYTES,
    BadReply,
    Head,
    parse_head,
)

__all__ = ["ConnectionPool", "ROOM_BYTES", "Request", "RequestState"]

ROOM_BYTES = 1 << 20
"""What the system keeps of an answer that nobody reads yet, so that the server need not wait."""

_MOST_INTERIM_REPLIES = 20
_MOST_IDLE_S = 60.0
"""What was not used for longer is not used again: what stands between may have dropped it, and does
not always say so."""
_SUCCESS = b"HTTP/1.1 2"
_NOT_IN_A_TARGET = re.compile(r"[^\x21-\x7e]")
_NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


class RequestState(Enum):
    """What is known of the answer to a request, without waiting for it."""

    UNANSWERED = "nothing has come"
    ANSWERED = "a success has begun to come"
    FAILED = "another answer, or the connection's end"


class Request:
    """A request that was sent, on a connection that may be found dead: then it is sent once more.

    Args:
        pool: Of the connection.
        connection: One that was kept, or whose reply is left lying for a while.
        method: GET or HEAD.
        data: The request's bytes.
    """

    __slots__ = ("_connection", "_data", "_is_sent", "_method", "_pool", "_sent_at")

    def __init__(
        self, pool: ConnectionPool, connection: BufferedSocket, method: str, data: bytes
    ) -> None:
        self._pool = pool
        self._method = method
        self._data = data
        self._is_sent = _sent(connection, data)
        self._sent_at = perf_counter()
        self._connection = connection

    @property
    def state(self) -> RequestState:
        """What is known of the answer, without waiting for it."""
        begin = self._connection.peek(len(_SUCCESS))
        if begin is None:
            return RequestState.UNANSWERED
        return RequestState.ANSWERED if begin == _SUCCESS else RequestState.FAILED

    def reply(self) -> Response:
        """Wait for the answer and return its open reply; once.

        Raises:
            requests.ReadTimeout: No answer in time.
            ProtocolError: No or no sound answer, or none on a second connection.
        """
        age_s = perf_counter() - self._sent_at
        try:
            if age_s > self._pool.read_s and self.state is RequestState.UNANSWERED:
                self._connection.close()
                raise requests.ReadTimeout("timed out before anybody waited")
            # What lay here for long says nothing of its connection's health now.
            keeps = self._is_sent and age_s <= _MOST_IDLE_S
            return self._pool.answer(self._connection, self._method, keeps)
        except ProtocolError as error:
            if not isinstance(error.__cause__, ConnectionError):
                raise
        except requests.ReadTimeout:
            self._pool.close()  # what was kept beside it may be as dead
            raise
        thread_counters().requests += 1
        reply = self._pool.exchange(self._method, self._data)
        tell(StorageError("a connection broke before its answer was read: it was asked for again"))
        return reply

    def close(self) -> None:
        """Cut the connection, whose reply nobody wants."""
        self._connection.close()


class ConnectionPool:
    """The connections of one process to one host, for GET and HEAD; threads may share it.

    Args:
        url: Any http URL of that host.
        timeouts: To connect, and between bytes.
        size: How many are kept that are not in use.

    Attributes:
        read_s: How long to wait for bytes, in seconds.
    """

    def __init__(self, url: str, timeouts: Timeouts, size: int) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._timeouts = timeouts
        self.read_s = inf if timeouts.read_s is None else timeouts.read_s
        self._slow_s = inf if timeouts.least_bytes_per_s is None else timeouts.slow_s
        self._size = size
        self._kept: list[tuple[BufferedSocket, float]] = []  # and since when; the newest is last
        self._name = _host_header(self._host, self._port)
        # Together, as another thread may put its own in their place.
        self._last: tuple[Mapping[str, str], bytes] = ({}, _header_lines(self._name, {}))

    def urlopen(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Response:
        """Send a request and return its open reply.

        A kept connection may be closed by the server just as the request is on its way. It is then
        sent again at once, on a new one, which GET and HEAD allow.

        Raises:
            ConnectTimeoutError: No connection in time.
            NewConnectionError: No connection.
            requests.ReadTimeout: No answer in time.
            ProtocolError: No or no sound answer.
            requests.RequestException: The target or a header cannot be sent.

        Source:
            RFC 9112, section 9.3.1.
        """
        data = self._data(method, target, headers, body)
        kept = self._take()
        if kept is not None:
            return Request(self, kept, method, data).reply()
        return self.exchange(method, data)

    def send(self, method: str, target: str, headers: Mapping[str, str]) -> Request:
        """Send a request whose reply is wanted later.

        Raises:
            ConnectTimeoutError: No connection in time.
            NewConnectionError: No connection.
            requests.RequestException: The target or a header cannot be sent.
        """
        data = self._data(method, target, headers, None)
        return Request(self, self._take() or self._connect(), method, data)

    def exchange(self, method: str, data: bytes) -> Response:
        """Send the bytes of a request on a new connection and return its open reply.

        Raises:
            requests.ReadTimeout: No answer in time.
            ProtocolError: No or no sound answer.
        """
        connection = self._connect()
        return self.answer(connection, method, _sent(connection, data))

    def _data(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> bytes:
        if _NOT_IN_A_TARGET.search(target):
            raise requests.exceptions.InvalidURL(f"{target!r} cannot stand in a request")
        last, lines = self._last
        if headers != last:
            lines = _header_lines(self._name, headers)
            self._last = (dict(headers), lines)
        line = f"{method} {target} HTTP/1.1\r\n".encode("ascii")
        if body is None:
            return line + lines + b"\r\n"
        return b"%sContent-Length: %d\r\n\r\n%s" % (line + lines, len(body), body)

    def answer(self, connection: BufferedSocket, method: str, keeps: bool) -> Response:
        """Read the head of an answer and return its open reply; errors as for `exchange`.

        Args:
            connection: Where it comes.
            method: Of the request.
            keeps: The connection may be used again.
        """
        try:
            head = _next_head(connection, method)
            head.keeps = head.keeps and keeps
            return Response(self, connection, head)
        except TimeoutError as error:
            connection.close()
            raise requests.ReadTimeout(str(error)) from error
        except (OSError, BadReply) as error:
            connection.close()
            raise ProtocolError("Connection aborted.", error) from error
        except BaseException:  # an interrupt
            connection.close()
            raise

    def keep(self, connection: BufferedSocket) -> None:
        """Take a connection back that nobody reads from any more."""
        now = perf_counter()
        if self._kept and now - self._kept[0][1] > _MOST_IDLE_S:
            self._close_oldest(now)
        if len(self._kept) < self._size:
            self._kept.append((connection, now))
        else:
            connection.close()

    def _close_oldest(self, now: float) -> None:
        with suppress(IndexError):  # another thread may be at it too
            while now - self._kept[0][1] > _MOST_IDLE_S:
                self._kept.pop(0)[0].close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        with suppress(IndexError):
            while True:
                self._kept.pop()[0].close()

    def retire(self) -> None:
        """Close the connections that are not in use, and each of the others after its reply."""
        self._size = 0
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_kept"):
            self.close()

    def _take(self) -> BufferedSocket | None:
        while self._kept:
            try:
                connection, since = self._kept.pop()
            except IndexError:  # another thread was faster
                break
            # Bytes without a request: the server has closed it, or they are nobody's answer.
            if perf_counter() - since <= _MOST_IDLE_S and connection.is_quiet:
                return connection
            connection.close()
        return None

    def _connect(self) -> BufferedSocket:
        started = perf_counter()
        try:
            inner = socket.create_connection((self._host, self._port), self._timeouts.connect_s)
        except TimeoutError as error:
            raise ConnectTimeoutError(str(error)) from error
        except (OSError, UnicodeError) as error:
            # urllib3 wants a connection of its own, but only for its text.
            raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]
        finally:
            thread_counters().connect_s += perf_counter() - started
        with suppress(OSError):  # macOS refuses where the other end has closed: sending will tell
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _make_room(inner)
        return BufferedSocket(inner, self._timeouts.read_s, self._slow_s)


def _make_room(inner: socket.socket) -> None:
    """Have the system keep ROOM_BYTES of an answer that nobody reads yet.

    It would begin with 64 KiB, and make more room only while somebody reads: over a network the
    other end stops there. A mark makes room at once, and unlike SO_RCVBUF lets it grow further.

    Source:
        Linux, tcp_set_rcvlowat in net/ipv4/tcp.c.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, ROOM_BYTES)
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


def _sent(connection: BufferedSocket, data: bytes) -> bool:
    """Tell whether all was sent; what stops it may be an answer, given before all was read."""
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


def _next_head(connection: BufferedSocket, method: str) -> Head:
    """Read the head of the answer; those that only say that it will come are skipped."""
    for _ in range(_MOST_INTERIM_REPLIES):
        data = connection.take_through(b"\r\n\r\n", LONGEST_HEAD_BYTES)
        if not data:
            raise ConnectionResetError("the connection was closed without an answer")
        head = parse_head(data, method)
        if head.status >= 200:
            return head
        if head.status == 101:
            break
    raise BadReply("nothing but interim answers, or one to a question that was not put")


def _host_header(host: str, port: int) -> str:
    try:
        name = host.encode("ascii").decode()
    except UnicodeError:
        name = host.encode("idna").decode()
    name = f"[{name}]" if ":" in name else name
    return name if port == 80 else f"{name}:{port}"


def _header_lines(host: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"Host: {host}\r\n", "Accept-Encoding: identity\r\n"]
    for name, value in headers.items():
        if _NOT_IN_A_VALUE.search(value):
            # Without the value: it may be a token.
            raise requests.exceptions.InvalidHeader(f"the value of {name} cannot stand in a header")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")
