"""ChunkDecoder: any split of the body, and every way in which it can be wrong."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.chunked import ChunkDecoder
from tests.gateway.s3.test_signatures import CHUNKS, chunks

__all__ = ["chunks"]  # a fixture


def encode(data: Iterable[bytes], trailer: bytes = b"") -> bytes:
    """Return data as chunks."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in data)
    return body + b"0\r\n" + trailer + b"\r\n"


def decode(body: bytes, decoder: ChunkDecoder, step: int = 1 << 20) -> bytes:
    """Decode a body in pieces of `step` bytes."""
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    data = b"".join(data for piece in pieces for data in decoder.decode(piece))
    decoder.finish()
    return data


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.integers(1, 20))
def test_any_chunks_in_any_pieces(data: list[bytes], step: int) -> None:
    """The data comes back, and so does the trailing header."""
    decoder = ChunkDecoder()
    body = encode(data, b"x-amz-checksum-crc32:NSRBwg==\r\n")
    assert decode(body, decoder, step) == b"".join(data)
    assert decoder.trailers == {"x-amz-checksum-crc32": "NSRBwg=="}


def test_the_empty_line_at_the_end_may_be_missing() -> None:
    """Some clients do not send it."""
    assert decode(b"3\r\nabc\r\n0\r\n", ChunkDecoder()) == b"abc"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"3\r\nab",
        b"3\r\nabc\r\n",
        b"3\r\nabc\r\n0",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"xyz\r\n",
        b"-1\r\n",
        b"3;chunk-signature=short\r\nabc\r\n0\r\n\r\n",
        b"1" * 5000,
        b"0\r\n\r\nmore\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n" + b"".join(b"x-%d:1\r\n" % number for number in range(99)) + b"\r\n",
    ],
)
def test_a_body_that_is_not_complete_is_refused(body: bytes) -> None:
    """Nothing of it may be stored."""
    with pytest.raises(Refusal) as caught:
        decode(body, ChunkDecoder())
    assert caught.value.tcode in ("IncompleteBody", "MalformedTrailerError")


def signed_body(changed: bytes = b"") -> bytes:
    """Return the body of the documentation's example, with another first chunk if given."""
    return b"".join(
        b"%x;chunk-signature=%b\r\n%b\r\n" % (len(data), signature.encode(), data)
        for data, signature in [(changed or CHUNKS[0][0], CHUNKS[0][1]), *CHUNKS[1:]]
    )


def test_signed_chunks_are_verified(chunks) -> None:
    """A changed byte in a chunk is found at its end."""
    assert decode(signed_body(), ChunkDecoder(chunks), 999) == b"a" * 66560


def test_a_changed_chunk_is_refused(chunks) -> None:
    """One byte of 65,536."""
    body = signed_body(b"b" + CHUNKS[0][0][1:])
    with pytest.raises(Refusal, match="signature"):
        decode(body, ChunkDecoder(chunks))
    assert decode(body, ChunkDecoder()) != b"a" * 66560  # without keys nothing is checked
