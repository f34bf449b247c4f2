from __future__ import annotations

import os
from urllib.parse import quote

import pytest
import requests
import xxhash

from tests.gateway.conftest import Served


def send(
    bucket: Served, kind: str, handle: str = "", data: bytes = b"", name: str = "o"
) -> requests.Response:
    """Append to a handle, or flush it."""
    query = f"?append_type={kind}&append_handle={quote(handle, safe='')}"
    return bucket.http.put(bucket.url(name, query), data=data)


def append(bucket: Served, handle: str, data: bytes) -> str:
    """Append; return the handle for the next time."""
    reply = send(bucket, "append", handle, data)
    assert reply.status_code == 200, reply.text
    return reply.headers["Ais-Append-Handle"]


def test_an_object_grows_and_appears_when_it_is_flushed(bucket: Served) -> None:
    """With the checksum of all of it."""
    pieces = [b"one", os.urandom(1_500_000), b"", b"three"]
    handle = ""
    for piece in pieces:
        handle = append(bucket, handle, piece)
        assert bucket.get("o").status_code == 404
    assert send(bucket, "flush", handle).status_code == 200
    reply = bucket.get("o")
    assert reply.content == b"".join(pieces)
    assert reply.headers["Ais-Checksum-Value"] == xxhash.xxh64_hexdigest(reply.content, 0)


def test_it_begins_with_what_is_there(bucket: Served) -> None:
    """And counts as a new version."""
    bucket.put("o", b"old ")
    send(bucket, "flush", append(bucket, "", b"new"))
    reply = bucket.get("o")
    assert (reply.content, reply.headers["Ais-Version"]) == (b"old new", "2")


def test_two_at_a_time_know_nothing_of_each_other(bucket: Served) -> None:
    """Each handle has its own bytes; the last flush stays."""
    first, second = append(bucket, "", b"1"), append(bucket, "", b"2")
    append(bucket, first, b"1")
    send(bucket, "flush", first)
    assert bucket.get("o").content == b"11"
    send(bucket, "flush", second)
    assert bucket.get("o").content == b"2"


def test_a_flush_may_be_repeated_and_takes_no_bytes(bucket: Served) -> None:
    """As a cluster has it: its reply may have been lost on the way."""
    handle = append(bucket, "", b"data")
    assert send(bucket, "flush", handle, b"ignored").status_code == 200
    assert send(bucket, "flush", handle).status_code == 200
    assert bucket.get("o").content == b"data"
    assert send(bucket, "append", handle, b"x").status_code == 400


@pytest.mark.parametrize(("kind", "handle"), [("append", "none"), ("flush", ""), ("flush", "none")])
def test_a_handle_must_be_one(bucket: Served, kind: str, handle: str) -> None:
    """400 for others, and for those of another object."""
    assert send(bucket, kind, handle).status_code == 400
    other = append(bucket, "", b"x")
    assert send(bucket, "append", other, name="other").status_code == 400


def test_another_operation_is_refused(bucket: Served) -> None:
    """Only append and flush."""
    assert send(bucket, "nonsense").status_code == 400
