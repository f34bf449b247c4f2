"""The multipart form comes apart the same, however it is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import IntegrityError, TruncatedError
from aisio.wire.multipart import MultipartResponse

BOUNDARY = "98e1e9d7ac090e"
TYPE = f"multipart/mixed; boundary={BOUNDARY}"
METADATA = b'{"uuid":"gbt-1","out":null}\n'
# Line breaks, beginnings of the boundary, and a boundary that is none: no line break before it.
ARCHIVE = b"\r\n--98e1\r\r\n--\r\r\n\0\0" + b"--98e1e9d7ac090e--" + bytes(700) + b"\r\n"


def body(archive: bytes = ARCHIVE, *, preamble: bytes = b"") -> bytes:
    """Return a response as AIStore writes it."""
    line = b"--" + BOUNDARY.encode()
    return b"".join(
        [
            preamble,
            line,
            b'\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n',
            METADATA,
            b"\r\n",
            line,
            b'\r\nContent-Disposition: form-data; name="archive"; filename="x[1]"\r\n',
            b"Content-Type: application/octet-stream\r\n\r\n",
            archive,
            b"\r\n",
            line,
            b"--\r\n",
        ]
    )


def feed(reply: MultipartResponse, data: bytes, piece_bytes: int) -> bytes:
    """Feed data in pieces of one size, and return the archive."""
    pieces = (data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes))
    return b"".join(reply.feed(piece) for piece in pieces)


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 17, 100, 1 << 20])
@pytest.mark.parametrize("preamble", [b"", b"to be ignored\r\n"])
def test_reply_comes_apart_whatever_the_pieces(piece_bytes, preamble):
    """Metadata and archive are the same, fed by the byte or at once."""
    reply = MultipartResponse(TYPE)
    assert feed(reply, body(preamble=preamble), piece_bytes) == ARCHIVE
    reply.finish()
    assert reply.metadata == METADATA


@given(
    archive=st.lists(
        st.sampled_from([b"\r", b"\n", b"-", b"\r\n--98e1e9d7ac090", b"98e1", b"x\0"]), max_size=30
    ).map(b"".join),
    piece_bytes=st.integers(1, 40),
)
def test_no_archive_is_mistaken_for_a_boundary(archive, piece_bytes):
    """Parts of the boundary, in any mixture, go through unchanged."""
    reply = MultipartResponse(TYPE)
    assert feed(reply, body(archive), piece_bytes) == archive
    reply.finish()


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        (0, "first boundary"),
        (40, "header of the metadata"),
        (90, "end of the metadata"),
        (130, "header of the archive"),
        (260, "end of the archive"),
        (len(body()) - 4, "closing boundary"),
    ],
)
def test_cut_reply_is_truncated_wherever_it_is_cut(kept, text):
    """A response that ends before its closing boundary is cut, even if the archive is complete."""
    reply = MultipartResponse(TYPE)
    reply.feed(body()[:kept])
    with pytest.raises(TruncatedError, match=f"ended before the {text}"):
        reply.finish()


def test_large_metadata_takes_time_in_proportion():
    """128 MB in pieces of 4 KB, as a socket gives them.

    To copy what has come with each piece would take an hour, and end by the limit of a test.
    """
    metadata = bytes(1 << 27)
    whole = body().replace(METADATA, metadata)
    reply = MultipartResponse(TYPE)
    assert feed(reply, whole, 4096) == ARCHIVE
    reply.finish()
    assert reply.metadata == metadata


def test_data_after_the_closing_boundary_is_not_buffered():
    """RFC 2046 calls it an epilogue, which is ignored."""
    reply = MultipartResponse(TYPE)
    assert feed(reply, body() + bytes(1 << 20), 64) == ARCHIVE
    reply.finish()


def test_every_cut_is_noticed():
    """Only bytes after the closing boundary can be lost unnoticed."""
    whole = body()
    for kept in range(len(whole) - 2):
        reply = MultipartResponse(TYPE)
        reply.feed(whole[:kept])
        with pytest.raises(TruncatedError):
            reply.finish()


def test_archive_is_handed_on_and_not_held():
    """After each feed at most the beginning of a boundary is buffered."""
    reply = MultipartResponse(TYPE)
    reply.feed(body()[:250])
    reply.feed(bytes(100))
    piece = bytes(100_000)
    assert reply.feed(piece) is piece
    assert len(reply.feed(bytes(1000) + b"\r")) == 1000


@pytest.mark.parametrize("content_type", ["application/x-tar", "multipart/mixed", ""])
def test_reply_of_another_type_is_refused(content_type):
    """A streamed archive, or a type without a boundary, is not the multipart form."""
    with pytest.raises(IntegrityError, match="a multipart one was asked for"):
        MultipartResponse(content_type).feed(b"x")


def test_a_response_without_a_boundary_is_refused():
    """A response that is not multipart is not buffered up to its end."""
    with pytest.raises(IntegrityError, match="first boundary did not come within 65536 bytes"):
        feed(MultipartResponse(TYPE), bytes(1 << 17), 4096)


@pytest.mark.parametrize(
    "content_type",
    ["", "text/html", "multipart/mixed", "multipart/mixed; boundary*=utf-8''%E2%82%AC", "\xff"],
)
def test_a_reply_without_a_boundary_is_refused(content_type):
    """Whatever its header says, it is not the multipart form."""
    with pytest.raises(IntegrityError, match="a multipart one was asked for"):
        MultipartResponse(content_type).feed(b"x")
