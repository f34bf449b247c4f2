"""A pool with one connection, whose other end a test controls byte by byte."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from aisio.records import Timeouts
from aisio.transport.http.buffered_socket import BufferedSocket
from aisio.transport.http.connection_pool import ConnectionPool
from aisio.transport.http.response import Response


class RawConnection:
    """A pool with one idle connection, whose other end the test writes to."""

    def __init__(self, *, timeout_s: float = 5.0) -> None:
        self.there, here = socket.socketpair()
        self.answering: list[threading.Thread] = []
        self.pool = ConnectionPool("http://localhost:9", Timeouts(5, timeout_s), 10)
        self.pool.put_back(BufferedSocket(here, timeout_s))

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.there.shutdown(socket.SHUT_RDWR)  # ends a send that nobody reads
        for thread in self.answering:
            thread.join()
        self.there.close()
        self.pool.close()

    def get(self, answer: bytes, *, piece: int = 1 << 20, method: str = "GET") -> Response:
        """Send a request that a thread answers in pieces."""
        self.answering.append(threading.Thread(target=self._answer, args=(answer, piece)))
        self.answering[-1].start()
        return self.pool.open(method, "/a", {})

    def hang_up_after(self, answer: bytes) -> None:
        """Answer a request, and close the connection."""
        self._answer(answer, len(answer))
        self.there.shutdown(socket.SHUT_WR)

    def _answer(self, answer: bytes, piece: int) -> None:
        assert self.there.recv(65536).endswith(b"\r\n\r\n")
        with suppress(ConnectionError):  # a response that is refused is not read to its end
            for start in range(0, len(answer), piece):
                self.there.sendall(answer[start : start + piece])


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    """Return a whole response in chunks."""
    body = b"".join(b"%x; x=y\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (body, trailer)


def sized(body: bytes, head: bytes = b"") -> bytes:
    """Return a whole response with a length."""
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
