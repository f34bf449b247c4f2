"""Servers that take seconds to start: a process starts few of them, and its tests take turns."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests

_idle: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)


@contextmanager
def reused_server(command: tuple[str, ...], reset: str) -> Iterator[str]:
    """Give the endpoint of an empty server that nobody else uses.

    Args:
        command: Arguments for Python that start a server, by `serve`.
        reset: A path. A POST to it empties the server.
    """
    endpoint = _idle[command].pop() if _idle[command] else _start(command)
    yield endpoint
    # A server whose test failed is not used again: it may still be busy.
    requests.post(f"{endpoint}{reset}", timeout=60).raise_for_status()
    _idle[command].append(endpoint)


def _start(command: tuple[str, ...]) -> str:
    server = subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    with server.stdout:
        endpoint = server.stdout.readline().strip()
    assert endpoint, f"{command} did not start"
    # Closes stdin, which ends the server, and waits for it.
    atexit.register(server.communicate)
    return endpoint


def serve(app: Callable[..., Any]) -> None:
    """Serve a WSGI application until stdin is closed, as it is when the process at its end dies."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    server.serve_forever()


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)
