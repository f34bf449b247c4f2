"""Heads and bodies of HTTP/1.1 as the proxy reads and writes them."""

from __future__ import annotations

import asyncio

import pytest

from aisio.testing.fault_http import CHUNKED, PIECE_BYTES, Head, encode_piece, iter_body, read_head

HEAD = b"HTTP/1.1 206 Partial\r\nX-A:  1 \r\nx-a: \xe9\r\nContent-Length: 3\r\n\r\n"


def head_of(data: bytes) -> Head:
    """Read a head from bytes that end with the connection."""

    async def read() -> Head:
        return await read_head(stream(data))

    return asyncio.run(read())


def body_of(data: bytes, size_bytes: int | None) -> list[bytes]:
    """Read the pieces of a body from bytes that end with the connection."""

    async def read() -> list[bytes]:
        return [piece async for piece in iter_body(stream(data), size_bytes)]

    return asyncio.run(read())


def stream(data: bytes) -> asyncio.StreamReader:
    """Return a stream of these bytes, then its end."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def with_headers(*headers: tuple[str, str], start_line: str = "GET /x HTTP/1.1") -> Head:
    """Return a head."""
    return Head(start_line, headers)


def test_a_head_is_read_byte_for_byte() -> None:
    """Names, their order and repeats stay; blanks around values do not."""
    head = head_of(HEAD)
    assert head.start_line == "HTTP/1.1 206 Partial"
    assert head.headers == (("X-A", "1"), ("x-a", "\xe9"), ("Content-Length", "3"))
    assert (head.status, head.get("x-A"), head.get("none")) == (206, "1", None)
    assert head.combined_headers() == {"x-a": "1, \xe9", "content-length": "3"}
    assert head_of(head.encode(head.start_line)) == head


@pytest.mark.parametrize("size", [0, 1, len(HEAD) - 1])
def test_a_head_that_is_cut_is_an_end_of_file(size: int) -> None:
    """The proxy then ends the other connection too."""
    with pytest.raises(EOFError):
        head_of(HEAD[:size])


def test_headers_are_set_and_removed_whatever_their_case() -> None:
    """A header that is set replaces all of its name."""
    head = with_headers(("A", "1"), ("b", "2"), ("a", "3"), ("Connection", "close"))
    assert head.with_header("a", "4").headers == (("b", "2"), ("Connection", "close"), ("a", "4"))
    assert head.without("B", "CONNECTION").headers == (("A", "1"), ("a", "3"))
    assert head.without_hop_by_hop().headers == (("A", "1"), ("b", "2"), ("a", "3"))


@pytest.mark.parametrize(
    ("head", "request_size", "response_size"),
    [
        (with_headers(), 0, None),
        (with_headers(("content-length", "7")), 7, 7),
        (with_headers(("Content-Length", "7"), ("Transfer-Encoding", "Chunked")), CHUNKED, CHUNKED),
    ],
)
def test_the_length_of_a_body(head: Head, request_size: int, response_size: int | None) -> None:
    """Without a header a request has no body, and a response ends with its connection."""
    assert head.body_length(of_request=True) == request_size
    assert head.body_length(of_request=False) == response_size


@pytest.mark.parametrize(
    ("head", "keeps_alive"),
    [
        (with_headers(), True),
        (with_headers(("Connection", "Close")), False),
        (with_headers(("connection", "keep-alive")), True),
        (with_headers(start_line="GET /x HTTP/1.0"), False),
    ],
)
def test_a_client_keeps_its_connection_unless_it_says_otherwise(
    head: Head, keeps_alive: bool
) -> None:
    """HTTP/1.0 has one request a connection."""
    assert head.keeps_alive is keeps_alive


def test_a_body_of_known_length_ends_there() -> None:
    """The next message on the connection is not touched; no piece is larger than the limit."""
    data = bytes(range(256)) * 300
    read = body_of(data + b"GET", len(data))
    assert (b"".join(read), max(map(len, read))) == (data, PIECE_BYTES)
    assert body_of(b"GET", 0) == []


def test_a_body_of_unknown_length_ends_with_the_connection() -> None:
    """As of HTTP/1.0."""
    assert b"".join(body_of(b"all of it", None)) == b"all of it"


def test_chunks_come_without_their_framing() -> None:
    """Extensions of chunks and trailers are dropped."""
    framed = b"5\r\nhello\r\n6; x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n"
    assert b"".join(body_of(framed, CHUNKED)) == b"hello world"
    assert encode_piece(b"hello", chunked=True) == framed[:10]
    assert encode_piece(b"hello", chunked=False) == b"hello"


@pytest.mark.parametrize(
    ("data", "size_bytes"),
    [(b"four", 5), (b"5\r\nfour", CHUNKED), (b"4\r\nfour\r\n", CHUNKED), (b"0\r\n", CHUNKED)],
)
def test_a_body_that_is_cut_is_an_end_of_file(data: bytes, size_bytes: int) -> None:
    """A chunked one too, if its last chunk is missing."""
    with pytest.raises(EOFError):
        body_of(data, size_bytes)
