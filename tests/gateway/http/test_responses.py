from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import subprocess
from io import FileIO
from pathlib import Path

import pytest

from aisio.gateway.http.responses import send_without_waiting
from tests.gateway.conftest import Served
from tests.gateway.raw_http import connected, head_of, request


class Connection(asyncio.Transport):
    """A connection as send_without_waiting() sees it."""

    def __init__(self, inner: socket.socket, waiting: int = 0) -> None:
        super().__init__({"socket": inner})
        self._waiting = waiting

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._waiting


def test_a_file_is_sent_as_far_as_the_connection_accepts_it_at_once(tmp_path: Path) -> None:
    """The event loop sends the rest, and everything behind bytes that are already waiting."""
    (tmp_path / "f").write_bytes(b"0123456789" * 1_000_000)
    here, there = socket.socketpair()
    with here, there, (tmp_path / "f").open("rb", buffering=0) as file:
        here.setblocking(False)
        assert isinstance(file, FileIO)
        assert send_without_waiting(Connection(here, waiting=1), file, 0, 10) == 0
        assert send_without_waiting(Connection(here), file, 5, 10) == 10
        assert there.recv(100) == b"5678901234"
        sent = send_without_waiting(Connection(here), file, 0, 10_000_000)
        assert 0 < sent < 10_000_000
        assert send_without_waiting(Connection(here), file, sent, 10) == 0
        there.close()
        with pytest.raises(ConnectionError):
            send_without_waiting(Connection(here), file, 0, 10)


def test_without_sendfile_the_event_loop_sends_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all file systems have it."""
    (tmp_path / "f").write_bytes(b"0123456789")

    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "sendfile", refuse)
    here, there = socket.socketpair()
    with here, there, (tmp_path / "f").open("rb", buffering=0) as file:
        assert isinstance(file, FileIO)
        assert send_without_waiting(Connection(here), file, 0, 10) == 0


def test_a_put_with_its_body_at_the_first_address_gets_the_response(bucket: Served) -> None:
    """The body is read and dropped: neither side waits, and the connection can be used again."""
    body = b"x" * 30_000_000
    with connected(bucket) as connection:
        connection.sendall(request(bucket, "PUT", "o", f"Content-Length: {len(body)}") + body)
        status, headers = head_of(connection)
        assert status == 307
        path = headers["Location"].removeprefix(f"http://test/v1/objects/{bucket.name}/")
        connection.sendall(request(bucket, "PUT", path, "Content-Length: 4") + b"data")
        assert head_of(connection)[0] == 200
    assert bucket.get("o").content == b"data"


def test_an_error_reaches_a_client_that_is_still_sending(bucket: Served) -> None:
    """An error drops the body as well, instead of resetting the connection."""
    body = b"x" * 30_000_000
    with connected(bucket) as connection:
        connection.sendall(request(bucket, "PUT", "a/../b", f"Content-Length: {len(body)}") + body)
        status, headers = head_of(connection)
        assert status == 400
        connection.recv(int(headers["Content-Length"]), socket.MSG_WAITALL)
        connection.sendall(request(bucket, "GET", "o"))
        assert head_of(connection)[0] == 404


def test_a_client_that_expects_100_continue_is_redirected_before_it_sends(bucket: Served) -> None:
    """At the first address no body is requested; at the second, 100 Continue comes first."""
    fields = ("Content-Length: 4", "Expect: 100-continue")
    with connected(bucket) as connection:
        connection.sendall(request(bucket, "PUT", "o", *fields))
        status, headers = head_of(connection)
        assert (status, headers["Connection"]) == (307, "close")
        assert connection.recv(1) == b""
    path = headers["Location"].removeprefix(f"http://test/v1/objects/{bucket.name}/")
    with connected(bucket) as connection:
        connection.sendall(request(bucket, "PUT", path, *fields))
        assert head_of(connection)[0] == 100
        connection.sendall(b"data")
        assert head_of(connection)[0] == 200
    assert bucket.get("o").content == b"data"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs the program curl")
@pytest.mark.parametrize("size", [10, 5_000_000])
def test_curl_uploads_and_downloads(bucket: Served, tmp_path: Path, size: int) -> None:
    """With -T it sends Expect: 100-continue for large files, with -L it follows the 307."""
    (tmp_path / "file").write_bytes(b"x" * size)
    curl = ["curl", "-q", "--noproxy", "*", "-sSfL"]
    subprocess.run([*curl, "-T", str(tmp_path / "file"), bucket.url("o")], check=True)
    result = subprocess.run([*curl, bucket.url("o")], check=True, capture_output=True)
    assert result.stdout == b"x" * size


def test_what_is_not_http_is_refused(bucket: Served) -> None:
    """400, the connection is closed, and the log stays empty (see the fixture)."""
    with connected(bucket) as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        assert head_of(connection)[0] == 400


def test_many_requests_share_a_connection(bucket: Served) -> None:
    """Keep-alive survives errors, redirects and large bodies."""
    bucket.put("large", b"x" * 300_000)
    with connected(bucket) as connection:
        for name, status in (("large", 200), ("no", 404), ("large", 200)):
            connection.sendall(request(bucket, "GET", name))
            received, headers = head_of(connection)
            assert received == status
            remaining = int(headers["Content-Length"])
            while remaining:
                remaining -= len(connection.recv(remaining))
