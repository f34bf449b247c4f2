"""A server whose response bodies never end."""

from __future__ import annotations

from contextlib import suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

PIECE = bytes(65536)


class Endless(ThreadingTCPServer):
    """Answers each request with a body that never ends, until the client closes the connection.

    Args:
        status: The status of the responses. Their Location is the server itself.

    Attributes:
        answered: How many responses clients have closed; complete once the server has stopped.
    """

    daemon_threads = False  # `__exit__` waits for all

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.status = status
        self.answered = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Endless:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Conversation(StreamRequestHandler):
    server: Endless

    def handle(self) -> None:
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        head = f"HTTP/1.1 {self.server.status} X\r\nLocation: /x\r\n\r\n"
        with suppress(ConnectionError):
            self.wfile.write(head.encode())
            while True:
                self.wfile.write(PIECE)
        self.server.answered += 1
