from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import StreamReader

from aisio.gateway.http.request_body import next_piece
from aisio.gateway.protocol.refusals import Refusal
from tests.gateway.conftest import Served
from tests.gateway.raw_http import connected, head_of, request


def test_an_incomplete_upload_leaves_the_old_object(bucket: Served) -> None:
    """Fewer bytes than Content-Length says are not stored."""
    bucket.put("o", b"old")
    with connected(bucket) as connection:
        fields = ("Content-Length: 3000000",)
        connection.sendall(request(bucket, "PUT", "o?pid=p&utm=1", *fields) + b"x" * 2_000_000)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) in (b"", None)
    assert bucket.get("o").content == b"old"
    assert bucket.names() == ["o"]


def test_a_body_with_broken_chunks_is_refused(bucket: Served) -> None:
    """400, nothing stored, and no error of the gateway's in its log (see the fixture)."""
    with connected(bucket) as connection:
        head = request(bucket, "PUT", "o?pid=p&utm=1", "Transfer-Encoding: chunked")
        connection.sendall(head + b"4\r\ndata\r\nnonsense\r\n")
        assert head_of(connection)[0] == 400
    assert bucket.names() == []


class StalledBody(StreamReader):
    """A body of which no byte arrives."""

    def __init__(self) -> None:
        """Read from nothing."""

    def read_nowait(self, n: int = -1) -> bytes:
        """Return nothing."""
        return b""

    async def readany(self) -> bytes:
        """Wait for ever."""
        await asyncio.Event().wait()
        return b""


def test_an_upload_without_progress_is_given_up() -> None:
    """Otherwise its connection and file would stay open for ever."""
    with pytest.raises(
        Refusal, match="no byte of the request's body has arrived for 0 s"
    ) as caught:
        asyncio.run(next_piece(StalledBody(), 0))
    assert caught.value.status == 408


def test_a_message_that_is_too_large_is_refused(bucket: Served) -> None:
    """Control calls are small."""
    url = f"{bucket.endpoint}/v1/buckets/{bucket.name}"
    assert bucket.http.post(url, data=b" " * (33 << 20)).status_code == 413
