"""The server's process: how it starts, and what ends it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from aisio.errors import ConfigError
from aisio.gateway import Gateway
from aisio.gateway.server import print_endpoint
from tests.gateway.processes import connect, run_code, wait_until_refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one bucket and one object."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "o").write_bytes(b"old")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"host": "192.0.2.1"}, "cannot listen at 192.0.2.1:0"),
        ({"tls_cert": "/nowhere.pem"}, "certificate /nowhere.pem"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    folder: Path, options: dict[str, Any], text: str
) -> None:
    """The error holds what the server wrote, and no process is left."""
    gateway = Gateway(folder, **options)
    with pytest.raises(ConfigError, match=text):
        gateway.start()
    assert gateway.pid is None


def test_a_missing_folder_and_a_taken_port_are_named(folder: Path) -> None:
    """Both are common mistakes."""
    with pytest.raises(ConfigError, match="not a folder"):
        Gateway(folder / "nowhere").start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = Gateway(folder, port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="cannot listen"):
            gateway.start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_endpoint_and_stops_on_signals(folder: Path, number: int) -> None:
    """One line on stdout when ready, exit status 0."""
    text = "import sys; from aisio.gateway import *; serve(ServerOptions(sys.argv[1], port=0))"
    with run_code(text, str(folder)) as (process, output):
        endpoint = output.readline().strip()
        assert requests.get(f"{endpoint}/v1/health").status_code == 200
        process.send_signal(number)
        assert process.wait() == 0
        assert output.read() == ""


def test_a_request_in_flight_is_finished_when_it_stops(folder: Path) -> None:
    """After SIGTERM it accepts no new connections, and finishes this one."""
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
    """Even if the parent is killed and has other children."""
    text = (
        "import os, sys; from aisio.gateway import Gateway; g = Gateway(sys.argv[1]); g.start();"
        "child = os.fork(); child or os.execvp('sleep', ['sleep', '60']);"
        "print(g.endpoint, child, flush=True); os.kill(os.getpid(), 9)"
    )
    with run_code(text, str(folder)) as (process, output):
        endpoint, child = output.readline().split()
        process.wait()
        wait_until_refused(endpoint)
        os.kill(int(child), signal.SIGKILL)


def test_an_ipv6_address_has_brackets_in_the_endpoint(folder: Path) -> None:
    """As URLs need it."""
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with Gateway(folder, host="::1") as gateway:
        assert gateway.endpoint.startswith("http://[::1]:")
        assert requests.get(f"{gateway.endpoint}/v1/health").status_code == 200


@pytest.mark.parametrize("signed_redirects", [False, True])
def test_a_port_is_the_same_at_all_addresses(folder: Path, signed_redirects: bool) -> None:
    """The system would choose another for IPv6, to which neither endpoint nor redirects lead."""
    if signed_redirects:
        pytest.importorskip("cryptography")
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with Gateway(folder, host="", signed_redirects=signed_redirects) as gateway:
        port = gateway.endpoint.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            url = f"http://{host}:{port}/v1/objects/b/o?provider=ais"
            assert requests.get(url, timeout=20).content == b"old"


def has_ipv6() -> bool:
    """Return whether the loopback address of IPv6 can be used."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_host_that_is_no_host_name_is_refused(folder: Path) -> None:
    """A name of 100 letters is not even looked up."""
    with pytest.raises(ConfigError, match="cannot listen at aaa"):
        Gateway(folder, host="a" * 100).start()


def test_the_endpoint_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever started the server reads it."""
    print_endpoint("http://127.0.0.1:1")
    assert capsys.readouterr().out == "http://127.0.0.1:1\n"
