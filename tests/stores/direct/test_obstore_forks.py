"""obstore in workers: fork, spawn and forkserver, after the parent has read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aisio
from aisio.errors import MissingExtraError
from tests.http_server import Reply, Server

pytest.importorskip("obstore")

FOUND = Reply(200, b"hello", {"Last-Modified": "Fri, 20 Nov 2026 22:00:00 GMT", "ETag": '"v"'})

# The aisio that is under test, also where it is not installed.
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(aisio.__file__).parents[1])}
SCRIPT = Path(__file__).with_name("read_in_workers.py")


def run(*arguments: str) -> str:
    """Run the script in a process of its own: a fork of this one would have pytest's threads."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=250,
        env=ENVIRON,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_read_after_the_parent_has(method):
    """A used store goes to a worker, to the worker's own worker, and the parent reads on."""
    with Server(*[FOUND] * 4) as server:
        told = run("store", method, server.url)
    assert told.split() == ["hello"] * 4


def test_a_body_is_not_read_after_a_fork():
    """The connection is the parent's; reading it in the child would wait for ever."""
    body = Reply(200, bytes(1 << 20), FOUND.headers)
    with Server(body) as server:
        told = run("body", "fork", server.url)
    assert told.split() == ["opened-before-the-fork", str(1 << 20)]


def test_memory_belongs_to_one_process():
    """A forked child starts with an empty one, as a spawned child does."""
    assert run("memory", "fork").split() == ["missing", "1"]


def test_a_missing_obstore_says_how_to_install_it():
    """The error holds the pip command."""
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from aisio.errors import MissingExtraError\n"
        "from aisio.stores import DirectStore\n"
        "from aisio.urls import ObjectUrl\n"
        "try: DirectStore().head(ObjectUrl.parse('memory://b/a'))\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=250, env=ENVIRON
    )
    assert "pip install 'obstore>=" in done.stdout, done.stderr
    assert issubclass(MissingExtraError, ImportError)
