"""A server of tasks that is killed in the middle of requests, and started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"


class KilledServer:
    """`aisio tasks serve` behind a port of its own, which stays when the server is killed.

    A request in whose middle it is killed gets no answer; the next one waits until it runs again.

    Args:
        home: The server's home folder.
        kills: Requests, as in "POST /api/train_task/add": the server is killed with SIGKILL at the
            first one of each. With "half " before it, it is killed when half of the request has
            come; else when it has answered, and the client does not get the answer.

    Attributes:
        url: The URL for clients.
        left: Requests that have not come yet.
    """

    def __init__(self, home: Path, kills: Sequence[str]) -> None:
        self._home = home
        self.left = list(kills)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._server: subprocess.Popen[str] | None = None
        self._port = 0

    def __enter__(self) -> KilledServer:
        self._run()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._kill()

    def _run(self) -> None:
        command = [sys.executable, "-m", "aisio", "tasks", "serve", "--home", str(self._home)]
        settings = {"AISIO_TASKS_USER": "ada", "AISIO_TASKS_PASSWORD": "secret"}
        self._server = subprocess.Popen(
            [*command, "--port", "0", "--public-url", self.url],
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout is not None
        self._port = urlsplit(self._server.stdout.readline().strip()).port or 0

    def _kill(self) -> None:
        assert self._server is not None
        assert self._server.stdout is not None
        self._server.kill()
        self._server.wait()
        self._server.stdout.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=[client], daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        """Pass one request on: connections are closed behind it."""
        with client:
            head, body = _read_request(client)
            if not head:
                return
            with self._lock:
                kill = self._kill_at(head)
                port = self._port
            with socket.create_connection(("127.0.0.1", port)) as server:
                if kill == "half":
                    server.sendall((head + body)[: (len(head) + len(body)) // 2])
                    self._start_again()
                    return
                server.sendall(head + body)
                answer = server.recv(65536)
                if kill:
                    self._start_again()
                    return
                while answer:
                    client.sendall(answer)
                    answer = server.recv(65536)

    def _kill_at(self, head: bytes) -> str:
        method, path, _ = head.split(b" ", 2)
        name = f"{method.decode()} {path.decode().partition('?')[0]}"
        for kind in ("half", "answer"):
            wanted = f"half {name}" if kind == "half" else name
            found = next((one for one in self.left if _matches(one, wanted)), None)
            if found:
                self.left.remove(found)
                return kind
        return ""

    def _start_again(self) -> None:
        with self._lock:
            self._kill()
            self._run()


def _matches(pattern: str, name: str) -> bool:
    """Tell whether a name is that of a pattern, which may have one "*"."""
    first, star, last = pattern.partition("*")
    return name.startswith(first) and name.endswith(last) if star else name == pattern


def _read_request(client: socket.socket) -> tuple[bytes, bytes]:
    """Return head and body of a request, which says that it is the last one of its connection."""
    data = b""
    while _HEAD_END not in data:
        received = client.recv(65536)
        if not received:
            return b"", b""
        data += received
    head, _, body = data.partition(_HEAD_END)
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
    size = int(fields.get(b"content-length", b"0"))
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        raise NotImplementedError("clients of these tests send requests with their size")
    while len(body) < size:
        body += client.recv(65536)
    return b"\r\n".join([*lines, b"Connection: close"]) + _HEAD_END, body
