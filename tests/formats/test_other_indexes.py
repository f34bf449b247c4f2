"""Index files of DALI, Lhotse and energon: what they say, and what is refused."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ShardError
from aisio.formats.other_indexes import parse_other_index

DALI = b"v1.2 2\njpg 512 600 d/1.jpg cls 2048 1 d/1.cls\njpg 3072 0 d/2.jpg\n"


def offsets(*numbers: int) -> bytes:
    """Write offsets as Lhotse and energon do."""
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def test_index_of_dali():
    """The headers of a sample are behind the payload of the one before it."""
    index = parse_other_index(DALI, name="a.idx", size_bytes=4096)
    assert (index.tool, list(index.starts), index.end) == ("DALI", [0, 2560], 3072)
    assert index.names == [["d/1.jpg", "d/1.cls"], ["d/2.jpg"]]


@pytest.mark.parametrize("end", [4096, 3072])
def test_index_of_lhotse_and_energon(end: int):
    """The last offset is the size, or where the archive's end begins."""
    index = parse_other_index(offsets(0, 1024, end), name="a.tar.idx", size_bytes=4096)
    assert (list(index.starts), index.end, index.names) == ([0, 1024], end, None)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "0 bytes are not offsets"),
        (offsets(0), "8 bytes are not offsets"),
        (offsets(0, 1024)[:-1], "15 bytes are not offsets"),
        (offsets(0, 1000, 4096), "no multiple of 512"),
        (offsets(1024, 0, 4096), "do not increase"),
        (offsets(0, 0, 4096), "do not increase"),
        (offsets(0, 4608), "it ends at byte 4,608, and the archive has 4,096 bytes"),
        (b"v1.1 1\njpg 512 600\n", "version b'v1.1'"),
        (b"v1.2 3\n" + DALI[7:], "it has 2 samples, and says 3"),
        (b"v1.2 x\n", "not as DALI writes it"),
        (DALI.replace(b"d/2.jpg", b"d/2 2.jpg"), "names with blanks"),
        (DALI.replace(b"600", b"x"), "not as DALI writes it"),
    ],
)
def test_what_cannot_be_the_index_of_the_archive(data: bytes, text: str):
    """The text names the file."""
    with pytest.raises(ShardError, match=f"^ais://b/a.idx: this index of a tar .*{text}"):
        parse_other_index(data, name="ais://b/a.idx", size_bytes=4096)


def test_index_of_a_shorter_archive():
    """An archive that has grown since is another version."""
    with pytest.raises(ShardError, match="it is that of another version"):
        parse_other_index(offsets(0, 4096), name="a.idx", size_bytes=2 << 20)


@given(st.binary(max_size=200), st.sampled_from([b"", b"v1.2 ", b"v1.2 1\n"]))
def test_any_bytes_are_an_index_or_refused(data: bytes, start: bytes):
    """By no other error."""
    with suppress(ShardError):
        parse_other_index(start + data, name="x", size_bytes=4096)
