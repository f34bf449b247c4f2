"""Plain http without what a socket to a storage node does not need: http.client, and a pool.

A GET of 1 KB costs 245 us of CPU by urllib3 and 175 this way (CPython 3.11, 2026-11): urllib3
copies the headers of a reply once more, and asks and checks for each request what has been the same
since the first. So reads from http URLs, through no proxy, go this way; all else goes by urllib3.
The replies have what aisio uses of urllib3's.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from time import perf_counter
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError
from urllib3.util.wait import wait_for_read

from aisio.records import Timeouts
from aisio.stats import here

__all__ = ["PlainPool", "PlainReply", "ReplyHeaders"]


class ReplyHeaders(dict[str, str]):
    """Headers of a reply by any spelling of their names; repeated ones are joined by ", ".

    Source:
        RFC 9110, sections 5.1 and 5.3.
    """

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in headers:
            key = name.lower()
            before = self.setdefault(key, value)
            if before is not value:
                super().__setitem__(key, f"{before}, {value}")

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return a header's value."""
        return super().get(name.lower(), default)


class PlainReply:
    """An open reply.

    Attributes:
        status: HTTP status.
        headers: By any spelling of their names.
    """

    def __init__(
        self,
        pool: PlainPool,
        connection: http.client.HTTPConnection,
        reply: http.client.HTTPResponse,
    ) -> None:
        self.status = reply.status
        self.headers: Mapping[str, str] = ReplyHeaders(reply.getheaders())
        self.inner = reply
        self._pool = pool
        self._connection: http.client.HTTPConnection | None = connection

    def read(self, size: int | None = None) -> bytes:
        """Return at most `size` bytes, all by default; b"" at the end.

        Raises:
            ProtocolError: The body is cut or malformed, and not merely short.
            OSError: The connection broke or timed out.
        """
        try:
            return self.inner.read(size)
        except http.client.IncompleteRead as error:
            raise ProtocolError(f"the reply was cut: {error}") from error
        except http.client.HTTPException as error:
            raise ProtocolError(f"the reply is malformed: {error!r}") from error

    def drain_conn(self) -> None:
        """Read the reply out."""
        try:
            self.inner.read()
        except (OSError, http.client.HTTPException):
            self.close()

    def release_conn(self) -> None:
        """Give the connection back, if the reply is read out; any other is cut."""
        if not self.inner.length and not self.inner.chunked and not self.inner.will_close:
            self.inner.close()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.inner.isclosed() and not self.inner.will_close:
            self._pool.keep(connection)
        else:
            connection.close()
            self.inner.close()

    close = release_conn

    def __del__(self) -> None:
        self.close()


class PlainPool:
    """The connections of one thread to one host, for GET and HEAD.

    Args:
        url: Any http URL of that host.
        timeouts: To connect, and between bytes.
        size: How many are kept.
    """

    def __init__(self, url: str, timeouts: Timeouts, size: int) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._timeouts = timeouts
        self._size = size
        self._kept: list[http.client.HTTPConnection] = []

    def urlopen(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> PlainReply:
        """Send a request and return its open reply.

        A kept connection may be closed by the server just as the request is on its way. It is then
        sent again at once, on a new one, which GET and HEAD allow.

        Raises:
            ConnectTimeoutError: No connection in time.
            NewConnectionError: No connection.
            requests.ReadTimeout: No answer in time.
            ProtocolError: No or no sound answer.

        Source:
            RFC 9112, section 9.3.1.
        """
        kept = self._take()
        if kept is not None:
            try:
                return self._send(kept, method, target, headers, body)
            except ProtocolError as error:
                if not isinstance(error.__cause__, ConnectionError):
                    raise
            here().requests += 1
        return self._send(self._connect(), method, target, headers, body)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> PlainReply:
        try:
            connection.request(method, target, body, dict(headers))
            return PlainReply(self, connection, connection.getresponse())
        except TimeoutError as error:
            connection.close()
            raise requests.ReadTimeout(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ProtocolError("Connection aborted.", error) from error
        except BaseException:  # an interrupt
            connection.close()
            raise

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """Take a connection back that nobody reads from any more."""
        if len(self._kept) < self._size:
            self._kept.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._kept:
            self._kept.pop().close()

    def __del__(self) -> None:
        self.close()

    def _take(self) -> http.client.HTTPConnection | None:
        while self._kept:
            connection = self._kept.pop()
            # Readable without a request: the server has closed it.
            if connection.sock is not None and not wait_for_read(connection.sock, 0.0):
                return connection
            connection.close()
        return None

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(
            self._host, self._port, timeout=self._timeouts.connect_s
        )
        started = perf_counter()
        try:
            connection.connect()
        except TimeoutError as error:
            raise ConnectTimeoutError(str(error)) from error
        except OSError as error:
            # urllib3 wants a connection of its own, but only for its text.
            raise NewConnectionError(connection, str(error)) from error  # type: ignore[arg-type]
        finally:
            here().connect_s += perf_counter() - started
        connection.sock.settimeout(self._timeouts.read_s)
        return connection
