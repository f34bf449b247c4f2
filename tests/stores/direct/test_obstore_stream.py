"""ObstoreStream: obstore's chunks as a binary stream."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aisio.errors import NotFoundError
from aisio.stores.direct.obstore_stream import ObstoreStream
from aisio.urls import ObjectUrl

URL = ObjectUrl.parse("s3://bkt/a")
CHUNKS = [b"0123", b"45", b"6789"]


def stream_of(*chunks: bytes, error: Exception | None = None) -> ObstoreStream:
    """Return a stream of chunks that ends, or breaks off by an error."""

    def give() -> Iterator[bytes]:
        yield from chunks
        if error is not None:
            raise error

    return ObstoreStream(give(), URL)


def obstore_error(name: str, text: str) -> Exception:
    """Return an error as obstore raises it."""
    error: Exception = type(name, (Exception,), {"__module__": "obstore.exceptions"})(text)
    return error


@pytest.mark.parametrize("size", range(1, 12))
def test_reads_of_any_size_lose_and_repeat_nothing(size: int) -> None:
    """They are as long as asked for, up to the end."""
    stream = stream_of(*CHUNKS)
    pieces = list(iter(lambda: stream.read(size), b""))
    assert b"".join(pieces) == b"".join(CHUNKS)
    assert {len(piece) for piece in pieces[:-1]} <= {size}


def test_reads_into_buffers_stop_at_chunks() -> None:
    """A buffer is filled with what has come; the rest of a chunk is for the next one."""
    stream, buffer = stream_of(*CHUNKS), bytearray(3)
    counts = iter(lambda: stream.readinto(memoryview(buffer)), 0)
    assert [bytes(buffer[:count]) for count in counts] == [b"012", b"3", b"45", b"678", b"9"]


def test_all_is_read_at_once_by_default() -> None:
    """Also after a part of it."""
    stream = stream_of(*CHUNKS)
    assert stream.read(1) + stream.read() == b"".join(CHUNKS)


def test_a_chunk_that_fits_whole_is_not_copied() -> None:
    """A small object is one chunk."""
    chunk = bytes(1000)
    assert stream_of(chunk).read() is chunk


def test_a_broken_connection_is_an_early_end() -> None:
    """`Body` knows how many bytes are missing, and resumes."""
    error = obstore_error("GenericError", "cut\nDebug source:\nkind: Decode")
    stream = stream_of(*CHUNKS, error=error)
    assert stream.read() == b"".join(CHUNKS)


def test_another_error_is_translated() -> None:
    """It names the object."""
    error = obstore_error("NotFoundError", "gone")
    with pytest.raises(NotFoundError, match="GET s3://bkt/a: no such object"):
        stream_of(error=error).read()


def test_a_closed_stream_is_empty() -> None:
    """Its chunks are released."""
    stream = stream_of(*CHUNKS)
    stream.read(1)
    stream.close()
    assert stream.read() == b""
