from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import StreamReader

from aisio.gateway.http import exchange
from aisio.gateway.protocol.refusals import Refusal
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
    """Read the status and headers of one reply."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"the connection ended within {head!r}"
        head += byte
    status, *fields = head.decode().strip().split("\r\n")
    return int(status.split()[1]), dict(field.split(": ", 1) for field in fields)


def request(bucket: Served, method: str, name: str, *fields: str) -> bytes:
    """Return the head of a request as it goes over the wire."""
    lines = [f"{method} /v1/objects/{bucket.name}/{name} HTTP/1.1", "Host: test", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_put_of_headers_only_is_handed_over_at_once(bucket: Served) -> None:
    """A client that asks where to put its bytes gets the address without having sent any."""
    with connected(bucket) as connection:
        connection.sendall(
            request(bucket, "PUT", "o", "Content-Length: 1000000", "Connection: close")
        )
        status, headers = head_of(connection)
    assert status == 307
    assert headers["Location"].startswith(f"http://test/v1/objects/{bucket.name}/o?pid=p")
    assert "&utm=" in headers["Location"]


class Connection(asyncio.Transport):
    """What is known of a connection before anything is sent at once."""

    def __init__(self, inner: socket.socket, waiting: int = 0) -> None:
        super().__init__({"socket": inner})
        self._waiting = waiting

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._waiting


def test_a_file_is_sent_at_once_as_far_as_the_connection_takes_it(tmp_path: Path) -> None:
    """What does not fit, or must not overtake what waits, is left to the event loop."""
    (tmp_path / "f").write_bytes(b"0123456789" * 1_000_000)
    here, there = socket.socketpair()
    with here, there, (tmp_path / "f").open("rb", buffering=0) as file:
        here.setblocking(False)
        assert isinstance(file, FileIO)
        assert exchange._send_at_once(Connection(here, waiting=1), file, 0, 10) == 0
        assert exchange._send_at_once(Connection(here), file, 5, 10) == 10
        assert there.recv(100) == b"5678901234"
        sent = exchange._send_at_once(Connection(here), file, 0, 10_000_000)
        assert 0 < sent < 10_000_000
        assert exchange._send_at_once(Connection(here), file, sent, 10) == 0
        there.close()
        with pytest.raises(ConnectionError):
            exchange._send_at_once(Connection(here), file, 0, 10)


def test_a_file_system_without_sendfile_is_left_to_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads and writes there."""
    (tmp_path / "f").write_bytes(b"0123456789")

    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "sendfile", refuse)
    here, there = socket.socketpair()
    with here, there, (tmp_path / "f").open("rb", buffering=0) as file:
        assert isinstance(file, FileIO)
        assert exchange._send_at_once(Connection(here), file, 0, 10) == 0


def test_a_query_is_kept_in_the_address(bucket: Served) -> None:
    """Provider and namespace go along, the path stays quoted as it was."""
    url = bucket.url("a%3Fb%20%2525", "?provider=ais")
    address = bucket.http.put(url, data=b"x", allow_redirects=False).headers["Location"]
    assert address.startswith(url + "&pid=")


def test_a_put_with_its_body_at_the_first_address_does_not_lose_the_reply(bucket: Served) -> None:
    """The body is read and dropped: neither side waits, and the connection lives on."""
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
    """A refusal drops the body, too, instead of resetting the connection under the client."""
    body = b"x" * 30_000_000
    with connected(bucket) as connection:
        connection.sendall(request(bucket, "PUT", "a/../b", f"Content-Length: {len(body)}") + body)
        status, headers = head_of(connection)
        assert status == 400
        connection.recv(int(headers["Content-Length"]), socket.MSG_WAITALL)
        connection.sendall(request(bucket, "GET", "o"))
        assert head_of(connection)[0] == 404


def test_who_expects_continue_is_redirected_before_and_continued_after(bucket: Served) -> None:
    """No body is asked for at the first address; at the second, 100 Continue comes first."""
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


def test_an_upload_that_breaks_off_leaves_the_old_object(bucket: Served) -> None:
    """Fewer bytes than Content-Length promised are no object."""
    bucket.put("o", b"old")
    with connected(bucket) as connection:
        fields = ("Content-Length: 3000000",)
        connection.sendall(request(bucket, "PUT", "o?pid=p&utm=1", *fields) + b"x" * 2_000_000)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) in (b"", None)
    assert bucket.get("o").content == b"old"
    assert bucket.names() == ["o"]


class Standstill(StreamReader):
    """A body of which nothing comes."""

    def __init__(self) -> None:
        """Read from nothing."""

    def read_nowait(self, n: int = -1) -> bytes:
        """Return nothing."""
        return b""

    async def readany(self) -> bytes:
        """Wait for ever."""
        await asyncio.Event().wait()
        return b""


def test_an_upload_that_stands_still_is_given_up() -> None:
    """Else its connection and file would be held for ever."""
    with pytest.raises(Refusal, match="nothing of the request's body has come for 0 s") as caught:
        asyncio.run(exchange.next_piece(Standstill(), 0))
    assert caught.value.status == 408


def test_a_body_with_broken_chunks_is_refused(bucket: Served) -> None:
    """400, nothing stored, and no fault of the gateway's in its log (see the fixture)."""
    with connected(bucket) as connection:
        head = request(bucket, "PUT", "o?pid=p&utm=1", "Transfer-Encoding: chunked")
        connection.sendall(head + b"4\r\ndata\r\nnonsense\r\n")
        assert head_of(connection)[0] == 400
    assert bucket.names() == []


def test_what_is_not_http_is_refused(bucket: Served) -> None:
    """400, the connection ends, and the log stays empty (see the fixture)."""
    with connected(bucket) as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        assert head_of(connection)[0] == 400


def test_many_requests_share_a_connection(bucket: Served) -> None:
    """Keep-alive survives errors, redirects and large bodies."""
    bucket.put("large", b"x" * 300_000)
    with connected(bucket) as connection:
        for name, status in (("large", 200), ("no", 404), ("large", 200)):
            connection.sendall(request(bucket, "GET", name))
            found, headers = head_of(connection)
            assert found == status
            left = int(headers["Content-Length"])
            while left:
                left -= len(connection.recv(left))


def test_the_cluster_map_names_the_gateway_as_the_client_knows_it(bucket: Served) -> None:
    """Through a forwarded port or a proxy the nodes are where the client came in."""
    with connected(bucket) as connection:
        connection.sendall(b"GET /v1/daemon?what=smap HTTP/1.1\r\nHost: outside:99\r\n\r\n")
        _, headers = head_of(connection)
        body = connection.recv(int(headers["Content-Length"]), socket.MSG_WAITALL)
    assert b'"direct_url":"http://outside:99"' in body
