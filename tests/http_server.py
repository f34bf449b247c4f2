"""A scripted HTTP server on loopback: sends the replies of a script, and records the requests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.client import responses
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        status: HTTP status; 0 hangs up without an answer.
        body: What is sent. If the headers have another Content-Length, or a Transfer-Encoding, the
            connection is closed after it.
        headers: Besides Content-Length; "{server}" stands for the server's own base URL.
        unread: Answer without reading the request's body, and hang up.
        only_for: The reply is for a request whose target ends so; "" for the next request. Requests
            of several connections come in any order.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    unread: bool = False
    only_for: str = ""


class Request(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: Message
    body: bytes


class Server(ThreadingTCPServer):
    """Answers the n-th request with the n-th reply, and any further one with 500.

    Attributes:
        requests: All requests so far.
        connections: How many connections were accepted.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128  # beyond it, a connection takes a second

    def __init__(self, *replies: Reply, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Conversation)
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.connections = 0
        self._peers: list[object] = []
        self._ended = 0
        self.url = f"http://{host}:{self.server_address[1]}"
        self._lock = threading.Condition()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection, and count it."""
        accepted = super().get_request()
        with self._lock:
            self.connections += 1
            self._peers.append(accepted[1])
            self._lock.notify_all()
        return accepted

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and wake threads that wait for that."""
        super().shutdown_request(request)
        with self._lock:
            self._ended += 1
            self._lock.notify_all()

    def wait_for_ends(self) -> None:
        """Wait until all connections have ended.

        This makes one more connection: once it is accepted, all earlier ones have been accepted.
        """
        host, port = self.server_address[:2]
        with socket.create_connection((str(host), port)) as last:
            name = last.getsockname()
        with self._lock:
            self._lock.wait_for(lambda: name in self._peers)
            self._lock.wait_for(lambda: self._ended == self.connections)

    def record(self, request: Request) -> None:
        """Record a request, and wake threads that wait for it."""
        with self._lock:
            self.requests.append(request)
            self._lock.notify_all()

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have come in all."""
        with self._lock:
            self._lock.wait_for(lambda: len(self.requests) >= count)

    def next_reply(self, target: str) -> Reply:
        """Return the next reply of the script to a request for a target."""
        with self._lock:
            for number, reply in enumerate(self.replies):
                if target.endswith(reply.only_for):
                    return self.replies.pop(number)
        return Reply(500, b"not in the script")


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        reply = self.server.next_reply(self.path)
        length = 0 if reply.unread else int(self.headers.get("Content-Length", 0))
        # Recorded before the reply is sent: a client that has the reply finds its request here.
        body = self.rfile.read(length)
        self.server.record(Request(self.command, self.path, self.headers, body))
        self.close_connection = not self._send(reply) or reply.unread
        if reply.unread:
            self._linger()

    def _linger(self) -> None:
        """End the reply, and wait until the client closes: closing first could discard it."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(65536):
                pass

    def _send(self, reply: Reply) -> bool:
        if not reply.status:
            return False
        whole = str(len(reply.body))
        headers = {"Content-Length": whole} | dict(reply.headers)
        if reply.unread:
            headers["Connection"] = "close"  # else the next request may meet the end of this one
        if "Transfer-Encoding" in headers:
            del headers["Content-Length"]
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {reply.status} {responses[reply.status]}", *lines, "", ""])
        head = head.replace("{server}", self.server.url)
        body = b"" if self.command == "HEAD" else reply.body
        self.wfile.write(head.encode("latin-1") + body)
        return headers.get("Content-Length") == whole

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
