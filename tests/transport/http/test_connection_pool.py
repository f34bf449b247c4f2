"""PlainPool: connections that are kept while they are sound, and never when they are not."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from aisio.errors import StorageError
from aisio.records import Timeouts
from aisio.transport.http import connection_pool as plain_http
from aisio.transport.http.buffered_socket import BufferedSocket
from aisio.transport.http.connection_pool import ConnectionPool, RequestState
from aisio.transport.http.response import Response
from aisio.transport.http.response_body import drain_and_release
from aisio.transport.retries import on_failed_try
from aisio.wire.http1 import BadReply
from tests.http_server import Reply, Server

OK = Reply(200, b"0123456789")


@contextmanager
def pool_at(*replies: Reply, size: int = 10) -> Iterator[tuple[Server, ConnectionPool]]:
    """Give a scripted server and a pool for it."""
    with Server(*replies) as server:
        pool = ConnectionPool(server.url, Timeouts(5, 5), size)
        yield server, pool
        pool.close()


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
        drain_and_release(reply)
        assert pool.urlopen("GET", "/b", {}).read() == OK.body
        assert server.connections == 1


def test_a_connection_that_the_server_closed_is_not_used() -> None:
    """It is seen before a request is lost on it."""
    with pool_at(OK) as (server, pool):
        there, here = socket.socketpair()
        pool.keep(BufferedSocket(here, 5))
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
                drain_and_release(reply)
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
        pool = ConnectionPool(f"http://127.0.0.1:{listener.getsockname()[1]}", Timeouts(5, 0.05), 1)
        with pytest.raises(requests.ReadTimeout):
            pool.urlopen("GET", "/a", {})


class Wire:
    """A pool with one kept connection, whose other end is written to by hand."""

    def __init__(self, *, timeout_s: float = 5.0) -> None:
        self.there, here = socket.socketpair()
        self.answering: list[threading.Thread] = []
        self.pool = ConnectionPool("http://localhost:9", Timeouts(5, timeout_s), 10)
        self.pool.keep(BufferedSocket(here, timeout_s))

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.there.shutdown(socket.SHUT_RDWR)  # ends a sending that nobody reads
        for thread in self.answering:
            thread.join()
        self.there.close()
        self.pool.close()

    def get(self, answer: bytes, *, piece: int = 1 << 20, method: str = "GET") -> Response:
        """Send a request, and have it answered in pieces."""
        self.answering.append(threading.Thread(target=self._answer, args=(answer, piece)))
        self.answering[-1].start()
        return self.pool.urlopen(method, "/a", {})

    def hang_up_after(self, answer: bytes) -> None:
        """Answer a request, and end the connection."""
        self._answer(answer, len(answer))
        self.there.shutdown(socket.SHUT_WR)

    def _answer(self, answer: bytes, piece: int) -> None:
        assert self.there.recv(65536).endswith(b"\r\n\r\n")
        with suppress(ConnectionError):  # what is refused is not read to its end
            for start in range(0, len(answer), piece):
                self.there.sendall(answer[start : start + piece])


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    """Return a whole answer in chunks."""
    body = b"".join(b"%x; x=y\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (body, trailer)


def sized(body: bytes, head: bytes = b"") -> bytes:
    """Return a whole answer with a length."""
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


@given(
    bodies=st.lists(
        st.lists(st.binary(min_size=1, max_size=60), max_size=4), min_size=1, max_size=3
    ),
    in_chunks=st.booleans(),
    piece=st.integers(1, 40),
    size=st.integers(1, 50),
)
@settings(max_examples=60)
def test_replies_on_one_connection_never_mix(
    bodies: list[list[bytes]], in_chunks: bool, piece: int, size: int
) -> None:
    """However they are cut up on the way, and in whatever pieces they are read."""
    with Wire() as wire:
        for chunks in bodies:
            answer = chunked(*chunks, trailer=b"T: x\r\n") if in_chunks else sized(b"".join(chunks))
            reply = wire.get(answer, piece=piece)
            assert b"".join(iter(partial(reply.read, size), b"")) == b"".join(chunks)
            buffer = memoryview(bytearray(1))
            assert reply.readinto(buffer) == 0


def test_a_head_of_any_length_comes_a_byte_at_a_time() -> None:
    """It need not fit into what is read at once."""
    head = b"".join(b"X-%d: %b\r\n" % (number, b"v" * 90) for number in range(300))
    with Wire() as wire:
        reply = wire.get(sized(b"body", head), piece=4093)
        assert (reply.headers["x-299"], reply.read()) == ("v" * 90, b"body")
        assert wire.get(sized(b"next"), piece=1).read() == b"next"


def test_answers_that_come_in_between_are_skipped() -> None:
    """RFC 9110, section 15.2: any number of 1xx may come before the answer."""
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with Wire() as wire:
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
def test_an_answer_that_is_not_sound_is_refused(answer: bytes) -> None:
    """And its connection is not used again."""
    with Wire() as wire:
        with pytest.raises(ProtocolError, match="Connection aborted"):
            wire.get(answer)
        assert wire.pool._take() is None


def test_an_end_within_the_head_is_an_error() -> None:
    """Half an answer is none."""
    with Wire() as wire:
        half = threading.Thread(target=wire.hang_up_after, args=(b"HTTP/1.1 200 OK\r\nA: b",))
        half.start()
        with pytest.raises(ProtocolError, match="Connection aborted") as caught:
            wire.pool.urlopen("GET", "/a", {})
        half.join()
        assert isinstance(caught.value.__cause__, BadReply)


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nabcdeX\r\n0\r\n\r\n",
        b"5\r\nabcde\r\nzz\r\n",
        b"5\r\nabcde\r\n" + b"1" * 9000,
        b"5\r\nabcde\r\n0\r\n" + b"T: x\r\n" * 30_000 + b"\r\n",
    ],
)
def test_damaged_chunks_are_an_error_behind_what_was_sound(body: bytes) -> None:
    """What came before is handed over first."""
    with Wire() as wire:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        reply = wire.get(head + body)
        assert reply.read(100) == b"abcde"
        with pytest.raises(ProtocolError):
            reply.read(100)
        assert reply.read(100) == b""
        assert wire.pool._take() is None


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    """As an old server's."""
    with Wire() as wire:
        reply = wire.get(b"HTTP/1.0 200 OK\r\n\r\n01234")
        assert reply.read(5) == b"01234"
        wire.there.shutdown(socket.SHUT_WR)
        assert reply.read() == b""
        assert wire.pool._take() is None


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_an_answer_without_a_body_leaves_the_next_one_alone(method: str, head: bytes) -> None:
    """Whatever length it speaks of."""
    with Wire() as wire:
        assert wire.get(head, method=method).read() == b""
        assert wire.get(sized(b"next")).read() == b"next"


def test_bytes_that_nobody_asked_for_end_a_connection() -> None:
    """Whether they came with the answer or after it: they would be the next answer."""
    with Wire() as wire:
        assert wire.get(sized(b"body") + sized(b"forged")).read() == b"body"
        assert wire.pool._take() is None
    with Wire() as wire:
        assert wire.get(sized(b"body")).read() == b"body"
        wire.there.sendall(sized(b"forged"))
        assert wire.pool._take() is None


def test_a_stall_is_told_behind_what_came_before() -> None:
    """The bytes before it are not lost."""
    with Wire(timeout_s=0.1) as wire:
        reply = wire.get(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd")
        assert reply.read(9) == b"abcd"
        with pytest.raises(TimeoutError):
            reply.read(9)
        assert reply.read(9) == b""


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/\xe4", "/\x00"])
def test_a_target_that_is_not_encoded_is_refused(target: str) -> None:
    """It would be a request of another form."""
    with Wire() as wire, pytest.raises(requests.exceptions.InvalidURL):
        wire.pool.urlopen("GET", target, {})


def test_a_header_of_two_lines_is_refused_unseen() -> None:
    """It may be a token: its name alone is told."""
    with Wire() as wire:
        with pytest.raises(requests.exceptions.InvalidHeader, match="Authorization") as caught:
            wire.pool.urlopen("GET", "/a", {"Authorization": "s3cret\r\nX: y"})
        assert "s3cret" not in str(caught.value)


def test_a_request_has_what_http_1_1_demands() -> None:
    """Host with its port, and no encoding that would have to be undone."""
    with pool_at(OK) as (server, pool):
        pool.urlopen("GET", "/a?b=c", {"X-Y": "z"}).close()
        assert server.requests[0].target == "/a?b=c"
        sent = dict(server.requests[0].headers)
    host = server.url.removeprefix("http://")
    assert sent == {"Host": host, "Accept-Encoding": "identity", "X-Y": "z"}


def test_a_head_that_trickles_is_a_timeout() -> None:
    """Unless any rate will do."""
    long = Reply(200, b"body", {f"X-{number}": "v" * 900 for number in range(60)})
    with Server(long, long) as server:
        with pytest.raises(requests.ReadTimeout):
            ConnectionPool(server.url, Timeouts(5, 5, slow_s=1e-9), 1).urlopen("GET", "/a", {})
        patient = ConnectionPool(server.url, Timeouts(5, 5, None, slow_s=1e-9), 1)
        assert patient.urlopen("GET", "/a", {}).read() == b"body"
        patient.close()


def test_what_follows_the_last_chunk_has_to_come_in_time() -> None:
    """Each line alone may take as long as any other."""
    with Wire() as wire:
        reply = wire.get(chunked(b"abc", trailer=b"T: x\r\n" * 9))
        assert reply.read(3) == b"abc"
        assert reply._connection is not None
        reply._connection.slow_s = -1.0
        with pytest.raises(TimeoutError):
            reply.read(1)
        assert wire.pool._take() is None


@pytest.mark.parametrize(
    "trailer", [b"T: x\n\nU: y\r\n", b"HTTP/1.1 200 OK\r\nT: x\r\n", b"\rT: x\r\n"]
)
def test_a_trailer_that_others_would_read_otherwise_is_refused(trailer: bytes) -> None:
    """Some take a bare line feed for an end of line, and two for the end."""
    with Wire() as wire:
        reply = wire.get(chunked(b"abc", trailer=trailer))
        with pytest.raises(ProtocolError):
            reply.read()
        assert wire.pool._take() is None


def test_little_is_drained_and_much_is_cut() -> None:
    """What a reply says of its length costs neither time nor memory."""
    with Wire() as wire:
        head = b"HTTP/1.1 302 Found\r\nContent-Length: 100000000000000000\r\n\r\n"
        drain_and_release(wire.get(head + b"x" * 100_000))
        assert wire.pool._take() is None
    with Wire() as wire:
        drain_and_release(wire.get(chunked(b"x" * 60_000)))
        assert wire.get(sized(b"next")).read() == b"next"


class _Interrupt(Exception):
    """Raised by a signal."""


def _interrupt(*_: object) -> None:
    raise _Interrupt


def test_an_interrupted_read_ends_its_connection() -> None:
    """Nobody knows how far it came: what followed would stand at the wrong place."""
    before = signal.signal(signal.SIGALRM, _interrupt)
    try:
        with Wire() as wire:
            reply = wire.get(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd")
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(_Interrupt):
                reply.read(9)
            assert reply.read(9) == b""
            assert wire.pool._take() is None
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_answer_that_comes_before_the_request_is_sent_is_heard() -> None:
    """As "429" to a long get-batch, of which the server reads no more."""
    with pool_at(Reply(429, b"slowly", unread=True), OK) as (server, pool):
        reply = pool.urlopen("GET", "/a", {}, bytes(8 << 20))
        assert (reply.status, reply.read()) == (429, b"slowly")
        assert pool.urlopen("GET", "/a", {}).read() == OK.body
        assert server.connections == 2


@pytest.mark.parametrize("kind", [Response, ConnectionPool, BufferedSocket])
def test_what_an_interrupt_kept_from_being_made_goes_quietly(
    kind: type[Response | ConnectionPool | BufferedSocket],
) -> None:
    """Ctrl-C may come before the first line of `__init__`: nothing is told of it."""
    kind.__new__(kind).__del__()


def test_a_request_that_is_sent_waits_for_nobody() -> None:
    """Two are on their way before the first answer is read, each on a connection of its own."""
    with pool_at(OK, OK, OK) as (server, pool):
        sent = [pool.send("GET", "/a", {"X-Y": "z"}) for _ in range(2)]
        assert [request.reply().read() for request in sent] == [OK.body] * 2
        assert pool.send("GET", "/b", {}).reply().read() == OK.body
        assert server.connections == 2


@pytest.mark.parametrize("again", [OK, Reply(0)])
def test_a_sent_request_that_broke_is_sent_once_more(again: Reply) -> None:
    """Also on a connection that was new: its answer may have lain there for long.

    Who reads many hears of it, as what else was asked for may have broken too.
    """
    with pool_at(Reply(0), again, OK) as (server, pool):
        request = pool.send("GET", "/a", {})
        heard: list[StorageError] = []
        with on_failed_try(heard.append):
            if again is OK:
                assert request.reply().read() == OK.body
            else:
                with pytest.raises(ProtocolError, match="Connection aborted"):
                    request.reply()
        assert len(server.requests) == 2
        assert [error.status for error in heard] == ([None] if again is OK else [])


def test_a_sent_request_whose_answer_is_not_wanted_is_cut() -> None:
    """Its answer must not be the next one's."""
    with pool_at(OK, Reply(200, b"b")) as (server, pool):
        request = pool.send("GET", "/a", {})
        while request.state is RequestState.UNANSWERED:
            time.sleep(0.001)
        request.close()
        assert pool.urlopen("GET", "/b", {}).read() == b"b"
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
    """Without waiting, and without taking anything of the answer."""
    wire = Wire()
    request = wire.pool.send("GET", "/a", {})
    assert request.state is RequestState.UNANSWERED
    if answer is None:
        wire.there.close()
    else:
        wire.there.sendall(answer)
    assert [request.state, request.state] == [state] * 2
    request.close()
    wire.there.close()


def test_an_answer_that_lay_for_long_does_not_keep_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What stands between may have dropped it meanwhile, as any that was not used for a minute."""
    with pool_at(OK, OK) as (server, pool):
        request = pool.send("GET", "/a", {})
        with monkeypatch.context() as patched:
            patched.setattr(plain_http, "_MOST_IDLE_S", 0.0)
            reply = request.reply()
        assert reply.read() == OK.body
        assert pool.urlopen("GET", "/b", {}).read() == OK.body
        assert server.connections == 2


def test_the_time_of_an_answer_begins_when_it_is_asked_for() -> None:
    """Eight silent ones that were asked for together cost one wait; what has come is no timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = ConnectionPool(f"http://127.0.0.1:{listener.getsockname()[1]}", Timeouts(5, 0.5), 8)
        sent = [pool.send("GET", "/a", {}) for _ in range(8)]
        there = [listener.accept()[0] for _ in sent]
        there[7].sendall(sized(b"late"))
        with pytest.raises(requests.ReadTimeout):
            sent[0].reply()
        for request in sent[1:7]:
            with pytest.raises(requests.ReadTimeout, match="before anybody waited"):
                request.reply()
        assert sent[7].reply().read() == b"late"
        for end in there:
            end.close()
        pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="by what Linux does with a mark")
def test_an_answer_that_nobody_reads_yet_finds_room() -> None:
    """Else the server would stop after 64 KiB, and the rest come at its pace when it is wanted."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        pool = ConnectionPool(f"http://127.0.0.1:{listener.getsockname()[1]}", Timeouts(5, 5), 1)
        with closing(pool.send("GET", "/a", {})), listener.accept()[0] as there:
            there.settimeout(0.5)
            written = 0
            with suppress(TimeoutError):
                while written < 900_000:
                    written += there.send(bytes(10_000))
            assert written >= 900_000
