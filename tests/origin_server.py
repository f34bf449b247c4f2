"""An origin server behind the fault proxy, and a client that records what it receives."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

BODY = bytes(range(256)) * 1200  # several pieces
STATUS_CODES = {"/204": 204, "/304": 304, "/404": 404}


class Origin(BaseHTTPRequestHandler):
    """A server with a special response for some paths; for all others it is BODY."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/chunked":
            self.reply(200, None, {"Transfer-Encoding": "chunked"})
            self.wfile.write(b"5\r\nhello\r\n6; x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n")
        elif path == "/endless":
            self.reply(200, None, {"Connection": "close"})
            self.wfile.write(BODY)
        elif path == "/cut":
            self.reply(200, None, {"Content-Length": "9"})
            self.wfile.write(b"four")
            self.close_connection = True
        elif path == "/moved":
            self.reply(301, b"", {"Location": f"{self.server.peer}/there?a=%2F"})
        elif path == "/v1/daemon":
            self.reply(200, json.dumps(self.server.map).encode())
        elif path in STATUS_CODES:
            self.reply(STATUS_CODES[path], b"why" if path == "/404" else b"")
        elif path.startswith("/name/"):
            self.reply(200, path.encode())
        else:
            request = json.dumps([self.command, self.path, self.headers.items()])
            self.reply(200, BODY, {"X-Request": request, "X-Twice": "1", "x-twice": "2"})

    do_HEAD = do_DELETE = do_GET

    def do_PUT(self) -> None:
        if self.path == "/early":
            self.reply(307, b"", {"Location": f"{self.server.peer}/early", "Connection": "close"})
        elif self.headers["Transfer-Encoding"] == "chunked":
            size = int(self.rfile.readline(), 16)
            self.reply(200, self.rfile.read(size + 7)[:size])
        else:
            self.reply(200, self.rfile.read(int(self.headers["Content-Length"])))

    do_POST = do_PATCH = do_PUT

    def reply(self, status: int, body: bytes | None, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def serving(peer: str = "") -> Iterator[str]:
    """Run an Origin whose redirects name a peer; yield its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Origin) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        server.daemon_threads = True
        vars(server).update(peer=peer or url, map=cluster_map(url, peer or url))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


def cluster_map(proxy: str, target: str) -> dict[str, Any]:
    """Return a cluster map of one proxy and one target."""

    def node(url: str) -> dict[str, Any]:
        net = {"direct_url": url, "node_ip_addr": "127.0.0.1", "daemon_port": url[-5:]}
        return {"daemon_id": "n", "id_digest": 7, "public_net": net}

    return {"pmap": {"p": node(proxy)}, "tmap": {"t": node(target)}, "proxy_si": node(proxy)}


class Visitor:
    """Opens connections, and closes them all at the end of a `with` block."""

    def __init__(self) -> None:
        self._connections: list[http.client.HTTPConnection] = []

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        while self._connections:
            self._connections.pop().close()

    def __call__(self, endpoint: str) -> http.client.HTTPConnection:
        """Return a new connection with a long timeout."""
        host = endpoint.removeprefix("http://")
        self._connections.append(http.client.HTTPConnection(host, timeout=30))
        return self._connections[-1]


class Result(NamedTuple):
    """What the client received: the body up to its end, and the error that ended it, if any."""

    status: int
    body: bytes
    error: str
    headers: http.client.HTTPMessage


def send(
    connection: http.client.HTTPConnection,
    path: str = "/x",
    method: str = "GET",
    **options: Any,
) -> Result:
    """Send a request and read the response up to its end or an error."""
    body, response = bytearray(), None
    error = ""
    try:
        connection.request(method, path, **options)
        response = connection.getresponse()
        while piece := response.read1(4096):
            body += piece
        error = "cut" if response.length else ""
    except (OSError, http.client.HTTPException) as failure:
        error = type(failure).__name__
    if response is None:
        return Result(0, b"", error, http.client.HTTPMessage())
    response.close()
    return Result(response.status, bytes(body), error, response.headers)
