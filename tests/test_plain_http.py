"""PlainPool: connections that are kept while they are sound, and never when they are not."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from urllib3.exceptions import ProtocolError

from aisio.plain_http import PlainPool, ReplyHeaders
from aisio.records import Timeouts
from tests.http_server import Reply, Server

OK = Reply(200, b"0123456789")


@contextmanager
def pool_at(*replies: Reply, size: int = 10) -> Iterator[tuple[Server, PlainPool]]:
    """Give a scripted server and a pool for it."""
    with Server(*replies) as server:
        pool = PlainPool(server.url, Timeouts(5, 5), size)
        yield server, pool
        pool.close()


def test_headers_have_any_spelling_and_are_joined() -> None:
    """RFC 9110: names are case-insensitive, and a repeated field is a list."""
    headers = ReplyHeaders([("Ais-Custom-Md", "a=1"), ("ETag", '"x"'), ("ais-custom-md", "b=2")])
    assert headers["AIS-CUSTOM-MD"] == headers.get("ais-custom-md") == "a=1, b=2"
    assert "etag" in headers
    assert "Age" not in headers
    assert headers.get("Age", "0") == "0"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_reply_that_is_read_out_gives_its_connection_back(method: str) -> None:
    """One connection for all of them."""
    with pool_at(*[OK] * 3) as (server, pool):
        for _ in range(3):
            reply = pool.urlopen(method, "/a", {"X-Y": "z"})
            assert reply.status == 200
            assert reply.read() == (b"" if method == "HEAD" else OK.body)
            reply.release_conn()
        assert server.connections == 1
    assert [request.headers["X-Y"] for request in server.requests] == ["z"] * 3


def test_a_head_reply_needs_no_reading() -> None:
    """There is no body."""
    with pool_at(OK, OK) as (server, pool):
        for _ in range(2):
            pool.urlopen("HEAD", "/a", {}).release_conn()
        assert server.connections == 1


def test_a_reply_that_is_not_read_out_is_cut() -> None:
    """The next request must not get its rest."""
    with pool_at(OK, OK) as (server, pool):
        reply = pool.urlopen("GET", "/a", {})
        assert reply.read(3) == b"012"
        reply.close()
        assert pool.urlopen("GET", "/b", {}).read() == OK.body
        assert server.connections == 2


def test_a_drained_reply_leaves_a_sound_connection() -> None:
    """As where an error's text is not of interest."""
    with pool_at(OK, OK) as (server, pool):
        reply = pool.urlopen("GET", "/a", {})
        reply.drain_conn()
        reply.release_conn()
        assert pool.urlopen("GET", "/b", {}).read() == OK.body
        assert server.connections == 1


def test_a_connection_that_the_server_closed_is_not_used() -> None:
    """It is seen before a request is lost on it."""
    with pool_at(OK) as (server, pool):
        there, here = socket.socketpair()
        connection = http.client.HTTPConnection("127.0.0.1")
        connection.sock = here
        pool.keep(connection)
        there.close()
        assert pool.urlopen("GET", "/a", {}).read() == OK.body
        assert server.connections == 1
        assert here.fileno() == -1


def test_no_more_are_kept_than_allowed() -> None:
    """Of two in use at once, one is kept."""
    with pool_at(*[OK] * 4, size=1) as (server, pool):
        for _ in range(2):
            replies = [pool.urlopen("GET", "/a", {}) for _ in range(2)]
            for reply in replies:
                reply.drain_conn()
                reply.release_conn()
        assert server.connections == 3


def test_a_body_goes_along() -> None:
    """Get-batch sends its request so."""
    with pool_at(OK) as (server, pool):
        pool.urlopen("GET", "/a", {}, b"{}").close()
    assert (server.requests[0].body, server.requests[0].headers["Content-Length"]) == (b"{}", "2")


def test_no_answer_is_a_protocol_error() -> None:
    """The connection ends where the status line is due."""
    with pool_at(Reply(0)) as (_, pool), pytest.raises(ProtocolError, match="Connection aborted"):
        pool.urlopen("GET", "/a", {})


def test_a_cut_chunk_is_a_protocol_error() -> None:
    """Where no length was promised, a cut must not look like an end."""
    cut = Reply(200, b"a\r\n0123", {"Transfer-Encoding": "chunked"})
    with pool_at(cut) as (_, pool), pytest.raises(ProtocolError):
        pool.urlopen("GET", "/a", {}).read()


def test_silence_is_a_timeout() -> None:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = PlainPool(f"http://127.0.0.1:{listener.getsockname()[1]}", Timeouts(5, 0.05), 1)
        with pytest.raises(requests.ReadTimeout):
            pool.urlopen("GET", "/a", {})
