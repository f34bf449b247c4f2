"""Heads of replies: what http.client reads of them too, or a refusal."""

from __future__ import annotations

import http.client
import io
import re
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.wire.http1 import (
    MAX_HEADERS,
    BadResponse,
    ResponseHead,
    ResponseHeaders,
    http_seconds,
    parse_chunk_size,
    parse_head,
)

TOKEN = st.text("ABCxyz019-_.!~", min_size=1, max_size=8)
VALUE = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=20)
FRAMING = st.sampled_from(
    [
        [],
        [("Content-Length", "0")],
        [("content-length", "123")],
        [("Transfer-Encoding", "chunked")],
        [("TRANSFER-ENCODING", "Chunked"), ("Connection", "close")],
        [("Connection", "keep-alive")],
        [("Content-Length", "7"), ("Connection", "x, CLOSE")],
    ]
)


class Written:
    """A socket, as far as http.client needs one."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        """Return the bytes as a file."""
        return io.BytesIO(self.data)


def by_http_client(data: bytes, method: str) -> http.client.HTTPResponse:
    """Parse a head by the standard library."""
    reply = http.client.HTTPResponse(cast(Any, Written(data)), method=method)
    reply.begin()
    return reply


def head_of(*lines: str, method: str = "GET") -> ResponseHead:
    """Parse these lines and an empty one."""
    return parse_head("\r\n".join([*lines, "", ""]).encode("latin-1"), method)


def assert_alike(data: bytes, method: str) -> None:
    """Compare the two results for a head that ours accepts."""
    mine, theirs = parse_head(data, method), by_http_client(data, method)
    joined: dict[str, str] = {}
    for name, value in theirs.getheaders():
        # http.client leaves the line break in a value that goes on in the next line.
        key, value = name.lower(), re.sub(r"\r\n[ \t]*", " ", value).strip(" \t")
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    assert (mine.status, dict(mine.headers)) == (theirs.status, joined)
    bodiless = method == "HEAD" or mine.status in (204, 304)
    assert mine.is_chunked == (theirs.chunked and not bodiless)
    assert mine.size_bytes == (0 if bodiless else theirs.length)
    assert not (mine.is_reusable and theirs.will_close)


@given(
    st.integers(200, 599),
    st.sampled_from(["OK", "", "a b\xe9"]),
    FRAMING,
    st.lists(st.tuples(TOKEN, VALUE), max_size=6),
    st.sampled_from(["GET", "HEAD"]),
)
def test_a_sound_head_is_what_http_client_says(
    status: int,
    reason: str,
    framing: list[tuple[str, str]],
    more: list[tuple[str, str]],
    method: str,
) -> None:
    """Status, headers in any case, and the end of the body."""
    lines = [f"{name}: {value}" for name, value in [*framing, *more]]
    text = "\r\n".join([f"HTTP/1.1 {status} {reason}", *lines, "", ""])
    assert_alike(text.encode("latin-1"), method)


@given(
    st.lists(
        st.sampled_from(
            [
                "HTTP/1.1 200 OK",
                "HTTP/1.0 404",
                "Content-Length",
                "Transfer-Encoding",
                "chunked",
                "Connection",
                "close",
                ": ",
                ":",
                " ",
                "\t",
                "\r\n",
                "\n",
                "\r",
                "5",
                "-1",
                "\xb2",
                "x",
                "\0",
                ",",
            ]
        ),
        max_size=14,
    )
)
def test_a_strange_head_is_refused_or_read_alike(words: list[str]) -> None:
    """A head that is accepted means the same to another parser."""
    data = "".join(["HTTP/1.1 200 OK\r\n", *words, "\r\n\r\n"]).encode("latin-1")
    data = data[: data.index(b"\r\n\r\n") + 4]
    try:
        parse_head(data, "GET")
    except BadResponse:
        return
    assert_alike(data, "GET")


@given(st.binary(max_size=60))
def test_noise_is_refused(noise: bytes) -> None:
    """Bytes of a body are never a head."""
    with pytest.raises(BadResponse):
        parse_head(noise.replace(b"HTTP", b"") + b"\r\n\r\n", "GET")


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5, 5"],
        ["Content-Length: +5"],
        ["Content-Length: -5"],
        ["Content-Length: 0x5"],
        ["Content-Length: 5_0"],
        ["Content-Length: \xb2"],
        ["Content-Length:"],
        ["Content-Length: " + "9" * 19],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding : chunked"],
        ["Content-Length : 5"],
        [" Content-Length: 5"],
        ["Content\x00Length: 5"],
        ["X: a\x00b"],
        ["X: a\rContent-Length: 5"],
        ["X: a\nContent-Length: 5"],
        ["no colon"],
        [": no name"],
        ["X: y"] * (MAX_HEADERS + 1),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(lines: list[str]) -> None:
    """The next response begins where the body ends."""
    with pytest.raises(BadResponse):
        head_of("HTTP/1.1 200 OK", *lines)


@pytest.mark.parametrize(
    "line",
    ["", "HTTP/2 200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1  200", " HTTP/1.1 200"],
)
def test_what_is_no_status_line_is_refused(line: str) -> None:
    """It may be the rest of another response's body."""
    with pytest.raises(BadResponse, match="status line"):
        head_of(line, "Content-Length: 5")


def test_an_old_server_with_chunks_is_refused() -> None:
    """HTTP/1.0 has none, so a proxy or attacker made them."""
    with pytest.raises(BadResponse):
        head_of("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    ("lines", "is_reusable"),
    [
        (["HTTP/1.1 200 OK", "Content-Length: 5"], True),
        (["HTTP/1.1 200 OK", "Content-Length: 5", "Connection: Close"], False),
        (["HTTP/1.1 200 OK", "Content-Length: 5", "Connection: x", "Connection: close"], False),
        (["HTTP/1.0 200 OK", "Content-Length: 5"], False),
        (["HTTP/1.1 200 OK"], False),
        (["HTTP/1.1 304 Not Modified"], True),
    ],
)
def test_only_a_connection_with_a_known_end_is_kept(lines: list[str], is_reusable: bool) -> None:
    """And only if neither side closes it."""
    assert head_of(*lines).is_reusable is is_reusable


def test_a_value_that_goes_on_in_the_next_line_is_joined() -> None:
    """RFC 9112, section 5.2: the line break stands for blanks."""
    head = head_of("HTTP/1.1 200 OK", "X: a", "\t b", "Content-Length: 5")
    assert (head.headers["x"], head.size_bytes) == ("a b", 5)


def test_headers_have_any_spelling_and_are_joined() -> None:
    """RFC 9110: names are case-insensitive, and a repeated field is a list."""
    headers = ResponseHeaders([("Ais-Custom-Md", "a"), ("ETag", '"x"'), ("ais-custom-md", "a")])
    assert headers["AIS-CUSTOM-MD"] == headers.get("ais-custom-md") == "a, a"
    assert "etag" in headers
    assert "Age" not in headers
    assert headers.get("Age", "0") == "0"


@pytest.mark.parametrize(
    ("line", "size"), [(b"0\r\n", 0), (b"1f\r\n", 31), (b"A ;x=y\r\n", 10), (b"00a\r\n", 10)]
)
def test_the_size_of_a_chunk_is_hexadecimal(line: bytes, size: int) -> None:
    """Extensions are ignored."""
    assert parse_chunk_size(line) == size


@pytest.mark.parametrize(
    "line",
    [b"", b"\r\n", b"1\n", b"-1\r\n", b"0x1\r\n", b" 1\r\n", b"1_0\r\n", b"g\r\n", b"1" * 17],
)
def test_what_is_no_size_of_a_chunk_is_refused(line: bytes) -> None:
    """A guess could assign the bytes after it to the wrong response."""
    with pytest.raises(BadResponse):
        parse_chunk_size(line)


@pytest.mark.parametrize("end", ["\0", "b\r\n c", ""])
def test_a_long_line_of_blanks_costs_its_length_and_not_its_square(end: str) -> None:
    """A damaged response must not stop the process; quadratic time exceeds the test's limit."""
    with suppress(BadResponse):
        head_of("HTTP/1.1 200 OK", *[f"X{n}: a" + " " * 60_000 + end for n in range(100)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 30 Nov 2026 13:02:14 GMT", 1796043734.0),
        ("30 Nov 26 13:02 UTC", 1796043720.0),
        (None, 0.0),
        ("", 0.0),
        ("yesterday", 0.0),
        ("Mon, 30 Nov 99999 13:02:14 GMT", 0.0),
    ],
)
def test_times_of_headers(text: str | None, expected: float) -> None:
    """One that is missing or odd is unknown."""
    assert http_seconds(text) == expected
