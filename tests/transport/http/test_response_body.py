"""Bodies of open responses, and the errors that responses stand for."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
import urllib3

from aisio.client.session import Session
from aisio.errors import NotFoundError, UnavailableError
from aisio.records import Settings, Timeouts
from aisio.transport.body import READ_PIECE_BYTES
from aisio.transport.http.connection_pool import ConnectionPool
from aisio.transport.http.response_body import (
    ResponseBody,
    body_of,
    drain_and_release,
    status_error,
)
from tests.endless_server import Endless
from tests.http_server import Reply, Server


def open_reply(server: Server, timeout_s: float = 5) -> tuple[urllib3.PoolManager, ResponseBody]:
    """Send a GET by urllib3 and return the body."""
    pool = urllib3.PoolManager(retries=False, timeout=timeout_s)
    reply = pool.request("GET", server.url, preload_content=False, decode_content=False)
    return pool, body_of(reply, "ais://b/o")


def test_a_body_is_read_in_pieces_or_whole() -> None:
    """Until b"", by `read` and by `readinto`."""
    with Server(Reply(200, b"hello world"), Reply(200, b"hello")) as server:
        pool, body = open_reply(server)
        buffer = bytearray(4)
        assert body.read(6) == b"hello "
        assert body.readinto(memoryview(buffer)) == 4
        assert buffer == b"worl"
        assert (body.read(), body.read(), body.read(5)) == (b"d", b"", b"")
        pool.clear()
        pool, body = open_reply(server)
        assert body.read() == b"hello"
        pool.clear()


def test_a_body_goes_straight_into_a_buffer_and_its_connection_back() -> None:
    """A connection serves the next request if its body was read to the end, but not if it broke."""
    cut = Reply(200, b"hell", {"Content-Length": "5"})
    with Server(Reply(200, b"hello"), cut, Reply(200, b"again")) as server:
        pool, body = open_reply(server)
        buffer = memoryview(bytearray(9))
        assert [body.readinto(buffer), body.readinto(buffer)] == [5, 0]
        for word, connections in ((b"hell", 1), (b"again", 2)):
            reply = pool.request("GET", server.url, preload_content=False, decode_content=False)
            body = body_of(reply, "ais://b/o")
            count = body.readinto(buffer)
            assert buffer[:count] == word
            assert (body.readinto(buffer), body.read(3)) == (0, b"")
            assert server.connections == connections
        pool.clear()


def test_a_response_that_is_not_http_clients_is_read_by_urllib3() -> None:
    """What is inside its responses may change: without http.client the body is read as well."""
    reply = urllib3.HTTPResponse(
        io.BytesIO(b"hello"), headers={"Content-Length": "5"}, preload_content=False
    )
    body, buffer = body_of(reply, "ais://b/o"), bytearray(3)
    assert (body.readinto(memoryview(buffer)), bytes(buffer)) == (3, b"hel")
    assert (body.read(), body.read(), body.readinto(memoryview(buffer))) == (b"lo", b"", 0)


def test_http_client_reads_no_more_than_a_piece() -> None:
    """If a connection breaks within a piece, http.client drops the whole piece."""
    data = bytes(2 * READ_PIECE_BYTES + 5)
    with Server(Reply(200, data)) as server:
        pool, body = open_reply(server)
        buffer = memoryview(bytearray(len(data)))
        counts = [body.readinto(buffer) for _ in range(3)]
        assert (max(counts), sum(counts)) == (READ_PIECE_BYTES, len(data))
        pool.clear()


def test_an_early_end_loses_nothing_that_came() -> None:
    """If there is a Content-Length, the reader counts the bytes and reports what is missing."""
    with Server(Reply(200, b"x" * 40, {"Content-Length": "100"})) as server:
        pool, body = open_reply(server)
        got = b"".join(iter(lambda: body.read(100), b""))
        assert got == b"x" * 40
        assert body.read(1) == b""
        pool.clear()


def test_an_early_end_without_a_length_is_an_error() -> None:
    """The reader could not tell it from the real end."""
    with Server(Reply(200, b"5\r\nhello\r\n", {"Transfer-Encoding": "chunked"})) as server:
        pool, body = open_reply(server)
        with pytest.raises(UnavailableError, match="GET ais://b/o: the body broke off"):
            list(iter(lambda: body.read(100), b""))
        pool.clear()


@pytest.mark.parametrize("body", [b"a\r\n0123", b"zz\r\n"])
def test_an_error_counts_although_its_text_is_cut(body: bytes) -> None:
    """The status is known: a retry would not find a missing object."""
    with Server(Reply(404, body, {"Transfer-Encoding": "chunked"})) as server:
        reply = ConnectionPool(server.url, Timeouts(5, 5), 1).open("GET", "/a", {})
        error = status_error(reply, "GET", "ais://b/o")
    assert isinstance(error, NotFoundError)


@pytest.mark.parametrize("status", [307, 500])
def test_a_response_without_an_end_is_closed(status: int) -> None:
    """A PUT goes by urllib3, which would read the response for ever."""
    with Endless(status) as server:
        client = Session(Settings(server.url))
        with suppress(UnavailableError):
            drain_and_release(
                client.streams.open("PUT", server.url, headers={}, body=b"x", about="ais://b/o")
            )
        client.close()
    assert server.answered == 1


def test_the_connection_of_a_drained_response_is_used_again() -> None:
    """The next request uses the same connection."""
    with Server(*[Reply(200, b"x" * 1000)] * 2) as server:
        client = Session(Settings(server.url))
        for _ in range(2):
            drain_and_release(
                client.streams.open("PUT", server.url, headers={}, body=b"x", about="ais://b/o")
            )
        assert server.connections == 1
        client.close()
