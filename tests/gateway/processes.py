"""Servers in processes of their own, and connections to them."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]


@contextmanager
def run_code(text: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Run Python code in a separate process; yield it and its stdout."""
    command = [sys.executable, "-c", text, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        yield process, process.stdout


def wait_until_refused(endpoint: str) -> None:
    """Return when nobody accepts connections any more; the test's timeout is the limit."""
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            # The server may accept a connection just before it stops, and reset it.
            with contextlib.suppress(ConnectionResetError):
                connect(endpoint).close()


def connect(endpoint: str) -> socket.socket:
    """Open a connection that gives up after some seconds."""
    parts = urlsplit(endpoint)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)
