from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest
import requests

from aisio.errors import ConfigError, MissingExtraError
from aisio.gateway import Gateway

ROOT = Path(__file__).parents[2]


@contextmanager
def code(text: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Run Python code in a process of its own; give it and its stdout."""
    command = [sys.executable, "-c", text, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        yield process, process.stdout


def wait_until_refused(endpoint: str) -> None:
    """Return once nobody accepts connections any more; the test's timeout is the limit."""
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            # A connection may be made just before the door closes, and be reset by that.
            with contextlib.suppress(ConnectionResetError):
                connect(endpoint).close()


def connect(endpoint: str) -> socket.socket:
    """Open a connection that gives up after some seconds."""
    parts = urlsplit(endpoint)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one bucket and one object."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "o").write_bytes(b"old")
    return tmp_path


def test_import_is_light() -> None:
    """Neither aiohttp nor asyncio is loaded before a server is made."""
    text = (
        "import sys, aisio.gateway; sys.exit(sum(m in sys.modules for m in ('aiohttp', 'asyncio')))"
    )
    with code(text) as (process, _):
        assert process.wait() == 0


def test_without_aiohttp_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing extra is named with its pip command."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'aisio\[gateway\]'"):
        Gateway(folder).start()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"host": "192.0.2.1"}, "cannot listen at 192.0.2.1:0"),
        ({"tls_cert": "/nowhere.pem"}, "certificate /nowhere.pem"),
    ],
)
def test_what_keeps_it_from_starting_is_told(
    folder: Path, options: dict[str, Any], text: str
) -> None:
    """The error holds what the server said, and no process is left."""
    gateway = Gateway(folder, **options)
    with pytest.raises(ConfigError, match=text):
        gateway.start()
    assert gateway.pid is None


def test_a_missing_folder_and_a_taken_port_are_told(folder: Path) -> None:
    """Both are common mistakes."""
    with pytest.raises(ConfigError, match="not a folder"):
        Gateway(folder / "nowhere").start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = Gateway(folder, port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="cannot listen"):
            gateway.start()


def test_one_folder_has_one_writer_and_any_number_of_readers(folder: Path) -> None:
    """Two writers would count versions twice and remove each other's uploads."""
    with Gateway(folder) as writer, Gateway(folder, read_only=True) as reader:
        with pytest.raises(ConfigError, match="another gateway"):
            Gateway(folder).start()
        requests.put(f"{writer.endpoint}/v1/objects/b/o", data=b"new")
        assert requests.get(f"{reader.endpoint}/v1/objects/b/o").content == b"new"


def test_after_kill_an_object_is_old_or_new(folder: Path) -> None:
    """A PUT cut by kill -9 leaves the old bytes, and its own are removed at the next start."""
    with Gateway(folder) as gateway:
        with connect(gateway.endpoint) as connection:
            head = b"PUT /v1/objects/b/o?pid=p&utm=1 HTTP/1.1\r\nHost: x\r\n"
            connection.sendall(head + b"Content-Length: 9000000\r\n\r\n" + b"x" * 8_000_000)
            temporary = folder / ".aisio" / "tmp"
            while not any(file.stat().st_size for file in temporary.iterdir()):
                requests.get(f"{gateway.endpoint}/v1/health")
            gateway.kill()
        assert (folder / "b" / "o").read_bytes() == b"old"
        assert list(temporary.iterdir())
        endpoint = gateway.endpoint
        gateway.restart()
        assert gateway.endpoint == endpoint
        assert list(temporary.iterdir()) == []
        assert requests.get(f"{endpoint}/v1/objects/b/o").content == b"old"


def test_what_was_known_survives_kill(folder: Path) -> None:
    """Versions and custom metadata are on disk when the reply is sent."""
    with Gateway(folder) as gateway:
        url = f"{gateway.endpoint}/v1/objects/b/o"
        for _ in range(3):
            requests.put(url, data=b"new")
        requests.patch(url, json={"value": {"k": "v"}})
        gateway.kill()
        gateway.restart()
        headers = requests.get(url).headers
    assert (headers["Ais-Version"], headers["Ais-Custom-Md"]) == ("3", "k=v")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_it_is_and_stops_on_signals(folder: Path, number: int) -> None:
    """One line on stdout when ready, exit status 0."""
    text = "import sys; from aisio.gateway import *; serve(ServerOptions(sys.argv[1], port=0))"
    with code(text, str(folder)) as (process, output):
        endpoint = output.readline().strip()
        assert requests.get(f"{endpoint}/v1/health").status_code == 200
        process.send_signal(number)
        assert process.wait() == 0
        assert output.read() == ""


def test_a_request_under_way_is_finished_when_it_stops(folder: Path) -> None:
    """SIGTERM closes the door, not the conversation."""
    with Gateway(folder) as gateway, connect(gateway.endpoint) as connection:
        head = b"PUT /v1/objects/b/o?pid=p&utm=1 HTTP/1.1\r\nHost: x\r\n"
        connection.sendall(head + b"Content-Length: 6\r\nExpect: 100-continue\r\n\r\nnew")
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        wait_until_refused(gateway.endpoint)
        connection.sendall(b"est")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        stopping.join()
    assert (folder / "b" / "o").read_bytes() == b"newest"


def test_it_ends_with_its_parent(folder: Path) -> None:
    """Also where the parent is killed and has children of its own."""
    text = (
        "import os, sys; from aisio.gateway import Gateway; g = Gateway(sys.argv[1]); g.start();"
        "child = os.fork(); child or os.execvp('sleep', ['sleep', '60']);"
        "print(g.endpoint, child, flush=True); os.kill(os.getpid(), 9)"
    )
    with code(text, str(folder)) as (process, output):
        endpoint, child = output.readline().split()
        process.wait()
        wait_until_refused(endpoint)
        os.kill(int(child), signal.SIGKILL)


def test_a_forked_child_does_not_stop_it(folder: Path) -> None:
    """DataLoader workers leave `with` blocks they never entered."""
    with Gateway(folder) as gateway:
        child = os.fork()
        if child == 0:
            gateway.stop()
            os._exit(0)
        os.waitpid(child, 0)
        assert requests.get(f"{gateway.endpoint}/v1/health").status_code == 200


def test_a_relative_folder_is_relative_to_the_caller(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own working directory is another."""
    monkeypatch.chdir(folder.parent)
    with Gateway(folder.name) as gateway:
        assert requests.get(f"{gateway.endpoint}/v1/objects/b/o").content == b"old"


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return each file below a folder with its bytes and time of change."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_read_only_leaves_no_trace_of_a_killed_one(folder: Path) -> None:
    """What that one had only logged is known all the same."""
    with Gateway(folder) as writer:
        requests.put(f"{writer.endpoint}/v1/objects/b/o", data=b"new")
        requests.put(f"{writer.endpoint}/v1/objects/b/o", data=b"newer")
        writer.kill()
    before = files_of(folder)
    with Gateway(folder, read_only=True) as reader:
        reply = requests.get(f"{reader.endpoint}/v1/objects/b/o")
        assert (reply.content, reply.headers["Ais-Version"]) == (b"newer", "2")
        assert files_of(folder) == before
    assert files_of(folder) == before


def test_a_link_for_its_own_folder_keeps_it_from_starting(folder: Path, tmp_path: Path) -> None:
    """It would empty what the link leads to."""
    (folder / ".aisio").mkdir()
    (folder / ".aisio" / "tmp").symlink_to("../b")
    with pytest.raises(ConfigError, match="is a link or otherwise not a folder"):
        Gateway(folder).start()
    assert (folder / "b" / "o").read_bytes() == b"old"


def test_metadata_that_is_none_is_told_in_one_line(folder: Path) -> None:
    """What to do is in it, and no traceback."""
    (folder / ".aisio").mkdir()
    (folder / ".aisio" / "metadata.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(ConfigError, match="remove it to start anew") as caught:
        Gateway(folder).start()
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_in_no_bucket_is_told_at_the_start(folder: Path) -> None:
    """A shard at the top is served to nobody; without `verbose`, too."""
    (folder / "shard.tar").touch()
    with Gateway(folder) as gateway:
        assert "1 files in no bucket" in gateway.read_log()
        assert "shard.tar" in gateway.read_log()
