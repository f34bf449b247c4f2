"""ConnectionPool: only connections that are certain to work are used again."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
import requests
from urllib3.exceptions import ProtocolError

from aisio.errors import StorageError
from aisio.records import Timeouts
from aisio.transport.http.buffered_socket import BufferedSocket
from aisio.transport.http.connection_pool import ConnectionPool, RequestState
from aisio.transport.http.response import Response
from aisio.transport.http.response_body import drain_and_release
from aisio.transport.retries import on_failed_try
from aisio.wire.http1 import BadResponse
from tests.http_server import Reply, Server
from tests.raw_connection import RawConnection, chunked, sized

OK = Reply(200, b"0123456789")


@contextmanager
def pool_at(
    *replies: Reply, size: int = 10, max_idle_s: float = 60.0
) -> Iterator[tuple[Server, ConnectionPool]]:
    """Yield a scripted server and a pool for it."""
    with Server(*replies) as server:
        pool = ConnectionPool(server.url, Timeouts(5, 5), size, max_idle_s)
        yield server, pool
        pool.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_response_that_was_read_gives_its_connection_back(method: str) -> None:
    """All requests use one connection."""
    with pool_at(*[OK] * 3) as (server, pool):
        for _ in range(3):
            reply = pool.open(method, "/a", {"X-Y": "z"})
            assert reply.status == 200
            assert reply.read() == (b"" if method == "HEAD" else OK.body)
            reply.release_conn()
        assert server.connections == 1
    assert [request.headers["X-Y"] for request in server.requests] == ["z"] * 3


def test_a_response_to_head_needs_no_reading() -> None:
    """A response to HEAD has no body."""
    with pool_at(OK, OK) as (server, pool):
        for _ in range(2):
            pool.open("HEAD", "/a", {}).release_conn()
        assert server.connections == 1


def test_a_response_that_was_not_read_is_closed() -> None:
    """The next request must not read what is left of the body."""
    with pool_at(OK, OK) as (server, pool):
        reply = pool.open("GET", "/a", {})
        assert reply.read(3) == b"012"
        reply.close()
        assert pool.open("GET", "/b", {}).read() == OK.body
        assert server.connections == 2


def test_the_connection_of_a_drained_error_is_used_again() -> None:
    """So does an error whose text nobody reads."""
    with pool_at(OK, OK) as (server, pool):
        reply = pool.open("GET", "/a", {})
        drain_and_release(reply)
        assert pool.open("GET", "/b", {}).read() == OK.body
        assert server.connections == 1


def test_a_connection_that_the_server_closed_is_not_used() -> None:
    """The pool notices it before it sends a request on it."""
    with pool_at(OK) as (server, pool):
        there, here = socket.socketpair()
        pool.put_back(BufferedSocket(here, 5))
        there.close()
        assert pool.open("GET", "/a", {}).read() == OK.body
        assert server.connections == 1
        assert here.fileno() == -1


def test_no_more_are_kept_than_allowed() -> None:
    """Of two connections that were in use at the same time one is kept."""
    with pool_at(*[OK] * 4, size=1) as (server, pool):
        for _ in range(2):
            replies = [pool.open("GET", "/a", {}) for _ in range(2)]
            for reply in replies:
                drain_and_release(reply)
        assert server.connections == 3


def test_a_body_goes_along() -> None:
    """Get-batch sends a GET with a body."""
    with pool_at(OK) as (server, pool):
        pool.open("GET", "/a", {}, b"{}").close()
    assert (server.requests[0].body, server.requests[0].headers["Content-Length"]) == (b"{}", "2")


def test_a_connection_that_is_to_be_closed_is_not_kept() -> None:
    """Whatever the server says: it may still wait for a body. Nor is a kept one used for it."""
    with pool_at(*[OK] * 4) as (server, pool):
        pool.open("GET", "/a", {}).read()
        pool.open("PUT", "/a", {"Connection": "close"}).read()
        pool.open("GET", "/a", {}).read()
        pool.open("PUT", "/a", {"Connection": "close"}).read()
        assert server.connections == 3


def test_a_put_on_a_kept_connection_that_was_dropped_is_sent_again() -> None:
    """With its whole body."""
    with pool_at(OK, Reply(0), OK) as (server, pool):
        for _ in range(2):
            pool.open("PUT", "/a", {}, b"data").read()
        assert [request.body for request in server.requests] == [b"data"] * 3
        assert server.connections == 2


def test_a_body_that_nobody_takes_closes_the_idle_connections() -> None:
    """They may be as dead as the one that it was sent on: the next try needs a new one."""
    there, here = socket.socketpair()
    with closing(there), pool_at() as (_, pool), RawConnection(timeout_s=0.05) as wire:
        pool.put_back(BufferedSocket(here, 5))
        pool.put_back(wire.pool._idle.pop()[0])
        with pytest.raises(requests.ReadTimeout):
            pool.open("PUT", "/a", {}, bytes(8 << 20))
        assert pool._take_idle() is None


def test_no_response_is_a_protocol_error() -> None:
    """The connection ends where the status line is due."""
    with pool_at(Reply(0)) as (_, pool), pytest.raises(ProtocolError, match="Connection aborted"):
        pool.open("GET", "/a", {})


def test_silence_is_a_timeout() -> None:
    """The server accepts the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = ConnectionPool(f"http://127.0.0.1:{listener.getsockname()[1]}", Timeouts(5, 0.05), 1)
        with pytest.raises(requests.ReadTimeout):
            pool.open("GET", "/a", {})


def test_a_head_of_any_length_comes_a_byte_at_a_time() -> None:
    """It need not fit into one receive."""
    head = b"".join(b"X-%d: %b\r\n" % (number, b"v" * 90) for number in range(300))
    with RawConnection() as wire:
        reply = wire.get(sized(b"body", head), piece=4093)
        assert (reply.headers["x-299"], reply.read()) == ("v" * 90, b"body")
        assert wire.get(sized(b"next"), piece=1).read() == b"next"


def test_interim_responses_are_skipped() -> None:
    """RFC 9110, section 15.2: any number of 1xx may come before the answer."""
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with RawConnection() as wire:
        assert wire.get(early + sized(b"body")).read() == b"body"
        assert wire.get(sized(b"next")).read() == b"next"


@pytest.mark.parametrize(
    "answer",
    [
        sized(b"body", b"Content-Length: 3\r\n"),
        sized(b"body", b"Transfer-Encoding: chunked\r\n"),
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 30,
        b"the rest of another body\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X" * (1 << 18),
    ],
)
def test_a_malformed_response_is_refused(answer: bytes) -> None:
    """Its connection is not used again."""
    with RawConnection() as wire:
        with pytest.raises(ProtocolError, match="Connection aborted"):
            wire.get(answer)
        assert wire.pool._take_idle() is None


def test_an_end_within_the_head_is_an_error() -> None:
    """Half a head is not a response."""
    with RawConnection() as wire:
        half = threading.Thread(target=wire.hang_up_after, args=(b"HTTP/1.1 200 OK\r\nA: b",))
        half.start()
        with pytest.raises(ProtocolError, match="Connection aborted") as caught:
            wire.pool.open("GET", "/a", {})
        half.join()
        assert isinstance(caught.value.__cause__, BadResponse)


def test_a_connection_with_unrequested_bytes_is_not_used_again() -> None:
    """They would be taken for the next response, whether they come with this one or after it."""
    with RawConnection() as wire:
        assert wire.get(sized(b"body") + sized(b"forged")).read() == b"body"
        assert wire.pool._take_idle() is None
    with RawConnection() as wire:
        assert wire.get(sized(b"body")).read() == b"body"
        wire.there.sendall(sized(b"forged"))
        assert wire.pool._take_idle() is None


def test_a_request_has_what_http_1_1_demands() -> None:
    """It has Host with the port, and accepts no encoding that would have to be undone."""
    with pool_at(OK) as (server, pool):
        pool.open("GET", "/a?b=c", {"X-Y": "z"}).close()
        assert server.requests[0].target == "/a?b=c"
        sent = dict(server.requests[0].headers)
    host = server.url.removeprefix("http://")
    assert sent == {"Host": host, "Accept-Encoding": "identity", "X-Y": "z"}


def test_a_head_that_trickles_is_a_timeout() -> None:
    """Unless the settings have no low-speed limit."""
    long = Reply(200, b"body", {f"X-{number}": "v" * 900 for number in range(60)})
    with Server(long, long) as server:
        with pytest.raises(requests.ReadTimeout):
            ConnectionPool(server.url, Timeouts(5, 5, slow_s=1e-9), 1).open("GET", "/a", {})
        patient = ConnectionPool(server.url, Timeouts(5, 5, None, slow_s=1e-9), 1)
        assert patient.open("GET", "/a", {}).read() == b"body"
        patient.close()


def test_little_is_drained_and_much_is_cut() -> None:
    """A large Content-Length costs neither time nor memory."""
    with RawConnection() as wire:
        head = b"HTTP/1.1 302 Found\r\nContent-Length: 100000000000000000\r\n\r\n"
        drain_and_release(wire.get(head + b"x" * 100_000))
        assert wire.pool._take_idle() is None
    with RawConnection() as wire:
        drain_and_release(wire.get(chunked(b"x" * 60_000)))
        assert wire.get(sized(b"next")).read() == b"next"


def test_a_response_that_comes_before_the_request_is_sent_is_read() -> None:
    """A server may answer 429 to a long get-batch without reading the rest of it."""
    with pool_at(Reply(429, b"slowly", unread=True), OK) as (server, pool):
        reply = pool.open("GET", "/a", {}, bytes(8 << 20))
        assert (reply.status, reply.read()) == (429, b"slowly")
        assert pool.open("GET", "/a", {}).read() == OK.body
        assert server.connections == 2


@pytest.mark.parametrize("kind", [Response, ConnectionPool, BufferedSocket])
def test_an_object_whose_init_was_interrupted_is_deleted_quietly(
    kind: type[Response | ConnectionPool | BufferedSocket],
) -> None:
    """Ctrl-C may come before the first line of `__init__`: `__del__` then raises nothing."""
    kind.__new__(kind).__del__()


def test_a_pool_that_outlives_its_module_is_deleted_quietly() -> None:
    """At the end of a program Python sets the names of modules to None, then deletes the rest."""
    code = (
        "import json, sys\n"  # cleared after what is imported later
        "from aisio.records import Timeouts\n"
        "from aisio.transport.http import connection_pool\n"
        "pool = connection_pool.ConnectionPool('http://127.0.0.1:9', Timeouts(1, 1), 1, 60.0)\n"
        "json.pool, json.module, sys.json = pool, connection_pool, json\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_request_that_is_sent_waits_for_nobody() -> None:
    """Two requests are sent before the first response is read, each on its own connection."""
    with pool_at(OK, OK, OK) as (server, pool):
        sent = [pool.send_ahead("GET", "/a", {"X-Y": "z"}) for _ in range(2)]
        assert [request.response().read() for request in sent] == [OK.body] * 2
        assert pool.send_ahead("GET", "/b", {}).response().read() == OK.body
        assert server.connections == 2


@pytest.mark.parametrize("again", [OK, Reply(0)])
def test_a_sent_request_that_broke_is_sent_once_more(again: Reply) -> None:
    """Also on a new connection: its response may have waited for long before it is read.

    The reader of many objects is told, because other requests may have failed too.
    """
    with pool_at(Reply(0), again, OK) as (server, pool):
        request = pool.send_ahead("GET", "/a", {})
        heard: list[StorageError] = []
        with on_failed_try(heard.append):
            if again is OK:
                assert request.response().read() == OK.body
            else:
                with pytest.raises(ProtocolError, match="Connection aborted"):
                    request.response()
        assert len(server.requests) == 2
        assert [error.status for error in heard] == ([None] if again is OK else [])


def test_a_sent_request_that_is_closed_does_not_keep_its_connection() -> None:
    """The next request must not read its response."""
    with pool_at(OK, Reply(200, b"b")) as (server, pool):
        request = pool.send_ahead("GET", "/a", {})
        while request.state is RequestState.UNANSWERED:
            time.sleep(0.001)
        request.close()
        assert pool.open("GET", "/b", {}).read() == b"b"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (b"", RequestState.UNANSWERED),
        (b"HTTP/1.1 200 OK\r\n", RequestState.ANSWERED),
        (b"HTTP/1.1 206 Partial Content\r\n", RequestState.ANSWERED),
        (b"HTTP/1.1 503 Busy\r\n", RequestState.FAILED),
        (b"HTTP/1.1 307 Elsewhere\r\n", RequestState.FAILED),
        (None, RequestState.FAILED),
    ],
)
def test_a_sent_request_knows_what_has_come(answer: bytes | None, state: RequestState) -> None:
    """`state` neither waits nor consumes any bytes of the response."""
    wire = RawConnection()
    request = wire.pool.send_ahead("GET", "/a", {})
    assert request.state is RequestState.UNANSWERED
    if answer is None:
        wire.there.close()
    else:
        wire.there.sendall(answer)
    assert [request.state, request.state] == [state] * 2
    request.close()
    wire.there.close()


def test_a_response_that_was_read_late_does_not_keep_its_connection() -> None:
    """A firewall may have dropped it meanwhile, as any connection that is idle for long."""
    with pool_at(OK, OK) as (server, pool):
        request = pool.send_ahead("GET", "/a", {})
        pool.max_idle_s = 0.0
        response = request.response()
        pool.max_idle_s = 60.0
        assert response.read() == OK.body
        assert pool.open("GET", "/b", {}).read() == OK.body
        assert server.connections == 2


def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    """A firewall on the way may have dropped it, and does not always say so."""
    with pool_at(*[OK] * 3, max_idle_s=0.0) as (server, pool):
        first, second = (pool.open("GET", "/a", {}) for _ in range(2))
        assert (first.read(), second.read()) == (OK.body, OK.body)
        assert pool.open("GET", "/b", {}).read() == OK.body
        assert server.connections == 3


def test_the_timeout_of_a_response_starts_when_its_request_is_sent() -> None:
    """Requests without a response cost one timeout in all; a response that has come, none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = ConnectionPool(f"http://127.0.0.1:{listener.getsockname()[1]}", Timeouts(5, 0.5), 8)
        sent = [pool.send_ahead("GET", "/a", {}) for _ in range(8)]
        there = [listener.accept()[0] for _ in sent]
        there[7].sendall(sized(b"late"))
        with pytest.raises(requests.ReadTimeout):
            sent[0].response()
        for request in sent[1:7]:
            with pytest.raises(requests.ReadTimeout, match="before anybody waited"):
                request.response()
        assert sent[7].response().read() == b"late"
        for end in there:
            end.close()
        pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="by what Linux does with a mark")
def test_a_response_that_nobody_reads_yet_fits_into_the_receive_buffer() -> None:
    """Otherwise the server would stop after 64 KiB, and the reader would wait for the rest."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        pool = ConnectionPool(f"http://127.0.0.1:{listener.getsockname()[1]}", Timeouts(5, 5), 1)
        with closing(pool.send_ahead("GET", "/a", {})), listener.accept()[0] as there:
            there.settimeout(0.5)
            written = 0
            with suppress(TimeoutError):
                while written < 900_000:
                    written += there.send(bytes(10_000))
            assert written >= 900_000
