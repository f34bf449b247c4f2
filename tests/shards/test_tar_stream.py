"""TarStream: plain and compressed shards, by their first bytes."""

from __future__ import annotations

import gzip
import io

import pytest

from aisio.formats.tar import NEED_DATA, TarMember
from aisio.shards.tar_stream import TarStream
from tests.tars import pack

DATA = pack(("1.jpg", b"J" * 1000))


def first_payload(stream: TarStream) -> bytes:
    """Return what the first member has."""
    stream.detect_compression()
    while (event := stream.parser.next_event()) is NEED_DATA:
        stream.fill()
    assert isinstance(event, TarMember)
    return stream.read(stream.parser.read_payload)


@pytest.mark.parametrize(
    ("data", "is_compressed"), [(DATA, False), (gzip.compress(DATA, mtime=0), True)]
)
def test_a_shard_may_be_compressed(data: bytes, is_compressed: bool) -> None:
    """Whatever its name is; errors then say how bytes are counted."""
    stream = TarStream(io.BytesIO(data), "ais://b/a.tar")
    assert first_payload(stream) == b"J" * 1000
    assert stream.is_compressed == is_compressed
    assert ("unpacked" in stream.name) == is_compressed
