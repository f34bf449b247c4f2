"""A scripted HTTP server on loopback: gives the replies it is told to, and keeps the requests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.client import responses
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import NamedTuple


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        status: HTTP status; 0 hangs up without an answer.
        body: What is sent. Where the headers give another Content-Length, or a Transfer-Encoding,
            the connection is cut behind it.
        headers: Besides Content-Length; "{server}" stands for the server's own base URL.
        unread: Answer without reading the request's body, and hang up.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    unread: bool = False


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
        self.url = f"http://{host}:{self.server_address[1]}"
        self._lock = threading.Lock()
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

    def count_connection(self) -> None:
        """Remember that there is one more."""
        with self._lock:
            self.connections += 1

    def next_reply(self) -> Reply:
        """Return what the script says now."""
        with self._lock:
            return self.replies.pop(0) if self.replies else Reply(500, b"not in the script")


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.count_connection()

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        reply = self.server.next_reply()
        length = 0 if reply.unread else int(self.headers.get("Content-Length", 0))
        # On record before the answer, so that who has the answer finds the request.
        body = self.rfile.read(length)
        self.server.requests.append(Request(self.command, self.path, self.headers, body))
        self.close_connection = not self._send(reply) or reply.unread

    def _send(self, reply: Reply) -> bool:
        if not reply.status:
            return False
        whole = str(len(reply.body))
        headers = {"Content-Length": whole} | dict(reply.headers)
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
