from __future__ import annotations

import os
import socket
import threading
from urllib.parse import quote, urlsplit

import pytest
import requests
import xxhash

from aisio.gateway import Gateway
from tests.gateway.conftest import Served


def send(
    bucket: Served, kind: str, handle: str = "", data: bytes = b"", name: str = "o"
) -> requests.Response:
    """Append to a handle, or flush it."""
    query = f"?append_type={kind}&append_handle={quote(handle, safe='')}"
    return bucket.http.put(bucket.url(name, query), data=data)


def append(bucket: Served, handle: str, data: bytes) -> str:
    """Append; return the handle for the next append."""
    response = send(bucket, "append", handle, data)
    assert response.status_code == 200, response.text
    return response.headers["Ais-Append-Handle"]


def test_an_object_grows_and_appears_when_it_is_flushed(bucket: Served) -> None:
    """With the checksum of all its bytes."""
    pieces = [b"one", os.urandom(1_500_000), b"", b"three"]
    handle = ""
    for piece in pieces:
        handle = append(bucket, handle, piece)
        assert bucket.get("o").status_code == 404
    assert send(bucket, "flush", handle).status_code == 200
    response = bucket.get("o")
    assert response.content == b"".join(pieces)
    assert response.headers["Ais-Checksum-Value"] == xxhash.xxh64_hexdigest(response.content, 0)


def test_an_append_begins_with_the_existing_object(bucket: Served) -> None:
    """And counts as a new version."""
    bucket.put("o", b"old ")
    send(bucket, "flush", append(bucket, "", b"new"))
    response = bucket.get("o")
    assert (response.content, response.headers["Ais-Version"]) == (b"old new", "2")


def test_two_appends_at_a_time_are_independent(bucket: Served) -> None:
    """Each handle has its own bytes; the last flush wins."""
    first, second = append(bucket, "", b"1"), append(bucket, "", b"2")
    append(bucket, first, b"1")
    send(bucket, "flush", first)
    assert bucket.get("o").content == b"11"
    send(bucket, "flush", second)
    assert bucket.get("o").content == b"2"


def test_a_flush_may_be_repeated_and_ignores_its_body(bucket: Served) -> None:
    """As on a cluster: its response may have been lost."""
    handle = append(bucket, "", b"data")
    assert send(bucket, "flush", handle, b"ignored").status_code == 200
    assert send(bucket, "flush", handle).status_code == 200
    assert bucket.get("o").content == b"data"
    assert send(bucket, "append", handle, b"x").status_code == 400


@pytest.mark.parametrize(("kind", "handle"), [("append", "none"), ("flush", ""), ("flush", "none")])
def test_an_unknown_handle_is_refused(bucket: Served, kind: str, handle: str) -> None:
    """So is the handle of another object."""
    assert send(bucket, kind, handle).status_code == 400
    other = append(bucket, "", b"x")
    assert send(bucket, "append", other, name="other").status_code == 400


def test_another_operation_is_refused(bucket: Served) -> None:
    """Only append and flush."""
    assert send(bucket, "nonsense").status_code == 400


def cut_append(bucket: Served, handle: str, data: bytes) -> None:
    """Announce one byte more than is sent; close the connection when the gateway has read all."""
    address = urlsplit(
        bucket.url("o", f"?append_type=append&append_handle={quote(handle, safe='')}")
    )
    with socket.create_connection((address.hostname or "", address.port or 0), 20) as connection:
        head = f"PUT {address.path}?{address.query}&pid=p&utm=1 HTTP/1.1\r\nHost: x\r\n"
        connection.sendall(f"{head}Content-Length: {len(data) + 1}\r\n\r\n".encode() + data)
        connection.shutdown(socket.SHUT_WR)
        assert not connection.recv(1).startswith(b"2")


@pytest.mark.parametrize("size", [10, 3_500_000])
def test_an_incomplete_append_leaves_no_bytes(bucket: Served, size: int) -> None:
    """A client without a response sends it again; the checksum is that of the stored bytes."""
    handle, data = append(bucket, "", b"begin "), os.urandom(size)
    cut_append(bucket, handle, data)
    append(bucket, handle, data)
    assert send(bucket, "flush", handle).status_code == 200
    response = bucket.get("o")
    assert response.content == b"begin " + data
    assert response.headers["Ais-Checksum-Value"] == xxhash.xxh64_hexdigest(response.content, 0)


def test_flushes_at_the_same_time_make_one_object(bucket: Served) -> None:
    """The others find it stored, and change nothing."""
    handle, statuses = append(bucket, "", b"data"), list[int]()

    def flush() -> None:
        statuses.append(requests.put(send_url(bucket, handle)).status_code)

    threads = [threading.Thread(target=flush) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
    assert (bucket.get("o").content, bucket.get("o").headers["Ais-Version"]) == (b"data", "1")


def send_url(bucket: Served, handle: str) -> str:
    """Return the URL that flushes a handle."""
    return bucket.url("o", f"?append_type=flush&append_handle={quote(handle, safe='')}")


def test_a_flush_that_fails_can_be_tried_again(bucket: Served) -> None:
    """The appended bytes are kept until they are stored."""
    handle = append(bucket, "", b"data")
    (bucket.folder / "o").mkdir()
    (bucket.folder / "o" / "in-the-way").touch()
    assert send(bucket, "flush", handle).status_code == 400
    (bucket.folder / "o" / "in-the-way").unlink()
    (bucket.folder / "o").rmdir()
    assert send(bucket, "flush", handle).status_code == 200
    assert bucket.get("o").content == b"data"


def test_what_an_append_replaces_is_logged(bucket: Served, gateway: Gateway) -> None:
    """The last one wins, as on a cluster; the log names the object that was stored meanwhile."""
    handle = append(bucket, "", b"1")
    bucket.put("o", b"meanwhile")
    send(bucket, "flush", handle)
    warning = f"ais://{bucket.name}/o: an append replaced what others stored since it began"
    assert warning in gateway.read_log()
