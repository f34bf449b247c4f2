"""HTTP over a plain socket, for tests of what clients' libraries do not do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.gateway.conftest import Served


@contextmanager
def connected(bucket: Served) -> Iterator[socket.socket]:
    """Open a connection to the gateway that gives up after some seconds."""
    parts = urlsplit(bucket.endpoint)
    with socket.create_connection(
        (parts.hostname or "", parts.port or 0), timeout=20
    ) as connection:
        yield connection


def head_of(connection: socket.socket) -> tuple[int, dict[str, str]]:
    """Read the status and headers of one response."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"the connection ended within {head!r}"
        head += byte
    status, *fields = head.decode().strip().split("\r\n")
    return int(status.split()[1]), dict(field.split(": ", 1) for field in fields)


def request(bucket: Served, method: str, name: str, *fields: str) -> bytes:
    """Return the head of a request, in bytes."""
    lines = [f"{method} /v1/objects/{bucket.name}/{name} HTTP/1.1", "Host: test", *fields]
    return "\r\n".join([*lines, "", ""]).encode()
