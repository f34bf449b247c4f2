"""A server of real git repositories over smart HTTP, on loopback: `git http-backend` behind it.

It wants a user and a password (HTTP Basic), and records the requests.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def backend() -> Path:
    """Return the program `git http-backend`, or skip the test."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    program = Path(folder.stdout.strip(), "git-http-backend")
    if not program.exists():
        pytest.skip(f"git http-backend is not installed at {program}")
    return program


class Seen(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    authorization: str | None


@dataclass
class GitServer:
    """Serves the bare repositories in a folder.

    Attributes:
        folder: The repositories.
        user, password: What clients must send; an empty user lets everybody in.
        requests: All requests so far.
        answers: Statuses to answer the next requests with, instead of what they ask for; 0 hangs
            up, -1 keeps the client waiting until the server is closed, None does what is asked for.
        redirect_to: Base URL that all requests are sent to.
        host: "127.0.0.1:port".
        waiting: Set when a client is kept waiting.
    """

    folder: Path
    user: str = "ada"
    password: str = "secret"
    requests: list[Seen] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)
    redirect_to: str = ""
    host: str = ""
    waiting: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def url(self, name: str) -> str:
        """Return the URL of a repository, without credentials."""
        return f"http://{self.host}/{name}"

    def writes(self) -> list[Seen]:
        """Return the requests that push."""
        return [one for one in self.requests if one.target.endswith("/git-receive-pack")]

    def lets_in(self, authorization: str | None) -> bool:
        """Tell whether a request has the right user and password."""
        sent = f"{self.user}:{self.password}".encode()
        return not self.user or authorization == f"Basic {base64.b64encode(sent).decode()}"


@contextmanager
def serve(server: GitServer) -> Iterator[GitServer]:
    """Run a server until the block ends."""
    program = backend()

    class Handler(_Handler):
        state = server
        backend = program

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server.host = f"127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.closed.set()
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: GitServer
    backend: Path
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two wait 40 ms for an acknowledgement

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: tests look at what was recorded."""

    def _answer(self) -> None:
        authorization = self.headers["Authorization"]
        self.state.requests.append(Seen(self.command, self.path, authorization))
        body = self._body()
        status = self.state.answers.pop(0) if self.state.answers else None
        if status == -1:
            self.state.waiting.set()
            self.state.closed.wait(60)
        if status in (0, -1):
            self.close_connection = True
        elif status is not None:
            self._reply(status, {})
        elif self.state.redirect_to:
            self._reply(302, {"Location": self.state.redirect_to + self.path})
        elif not self.state.lets_in(authorization):
            self._reply(401, {"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self._run_backend(body)

    def _reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        with suppress(ConnectionError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _run_backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        variables = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.state.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": self.state.user,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run([self.backend], input=body, env=variables, capture_output=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self._reply(int(headers.pop("Status", "200 OK").split()[0]), headers, content)
