"""Response: bodies that end where they should, and whose connection serves the next request."""

from __future__ import annotations

import signal
import socket
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from tests.raw_connection import RawConnection, chunked, sized


@given(
    bodies=st.lists(
        st.lists(st.binary(min_size=1, max_size=60), max_size=4), min_size=1, max_size=3
    ),
    in_chunks=st.booleans(),
    piece=st.integers(1, 40),
    size=st.integers(1, 50),
)
@settings(max_examples=60)
def test_responses_on_one_connection_never_mix(
    bodies: list[list[bytes]], in_chunks: bool, piece: int, size: int
) -> None:
    """However the network splits them, and in whatever pieces they are read."""
    with RawConnection() as wire:
        for chunks in bodies:
            answer = chunked(*chunks, trailer=b"T: x\r\n") if in_chunks else sized(b"".join(chunks))
            reply = wire.get(answer, piece=piece)
            assert b"".join(iter(partial(reply.read, size), b"")) == b"".join(chunks)
            buffer = memoryview(bytearray(1))
            assert reply.readinto(buffer) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nabcdeX\r\n0\r\n\r\n",
        b"5\r\nabcde\r\nzz\r\n",
        b"5\r\nabcde\r\n" + b"1" * 9000,
        b"5\r\nabcde\r\n0\r\n" + b"T: x\r\n" * 30_000 + b"\r\n",
    ],
)
def test_damaged_chunks_are_an_error_after_the_sound_bytes(body: bytes) -> None:
    """The bytes that came before the damage are returned first."""
    with RawConnection() as wire:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        reply = wire.get(head + body)
        assert reply.read(100) == b"abcde"
        with pytest.raises(ProtocolError):
            reply.read(100)
        assert reply.read(100) == b""
        assert wire.pool._take_idle() is None


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    """Old servers send such bodies."""
    with RawConnection() as wire:
        reply = wire.get(b"HTTP/1.0 200 OK\r\n\r\n01234")
        assert reply.read(5) == b"01234"
        wire.there.shutdown(socket.SHUT_WR)
        assert reply.read() == b""
        assert wire.pool._take_idle() is None


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_a_response_without_a_body_ends_with_its_head(method: str, head: bytes) -> None:
    """Whatever length its headers have."""
    with RawConnection() as wire:
        assert wire.get(head, method=method).read() == b""
        assert wire.get(sized(b"next")).read() == b"next"


def test_a_stall_is_reported_after_what_came_before() -> None:
    """The bytes that came before it are not lost."""
    with RawConnection(timeout_s=0.1) as wire:
        reply = wire.get(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd")
        assert reply.read(9) == b"abcd"
        with pytest.raises(TimeoutError):
            reply.read(9)
        assert reply.read(9) == b""


def test_what_follows_the_last_chunk_has_to_come_in_time() -> None:
    """Each line is in time, but all of them together are not."""
    with RawConnection() as wire:
        reply = wire.get(chunked(b"abc", trailer=b"T: x\r\n" * 9))
        assert reply.read(3) == b"abc"
        assert reply._connection is not None
        reply._connection.slow_s = -1.0
        with pytest.raises(TimeoutError):
            reply.read(1)
        assert wire.pool._take_idle() is None


@pytest.mark.parametrize(
    "trailer", [b"T: x\n\nU: y\r\n", b"HTTP/1.1 200 OK\r\nT: x\r\n", b"\rT: x\r\n"]
)
def test_a_trailer_that_others_would_read_otherwise_is_refused(trailer: bytes) -> None:
    """Some software takes a bare line feed for a line end, and two for the end of the trailer."""
    with RawConnection() as wire:
        reply = wire.get(chunked(b"abc", trailer=trailer))
        with pytest.raises(ProtocolError):
            reply.read()
        assert wire.pool._take_idle() is None


class _Interrupt(Exception):
    """Raised by a signal."""


def _interrupt(*_: object) -> None:
    raise _Interrupt


def test_an_interrupted_read_ends_its_connection() -> None:
    """Nobody knows how far it was read: the next bytes would stand at the wrong place."""
    before = signal.signal(signal.SIGALRM, _interrupt)
    try:
        with RawConnection() as wire:
            reply = wire.get(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd")
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(_Interrupt):
                reply.read(9)
            assert reply.read(9) == b""
            assert wire.pool._take_idle() is None
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_cut_chunk_is_a_protocol_error() -> None:
    """A body without Content-Length that breaks off must not look complete."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with RawConnection() as wire:
        response = wire.get(head + b"a\r\n0123")
        wire.there.shutdown(socket.SHUT_WR)
        with pytest.raises(ProtocolError, match="6 bytes before the end of a chunk"):
            response.read()
