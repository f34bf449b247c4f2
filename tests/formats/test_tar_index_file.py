"""TarIdx files: byte for byte those of Alibaba's OSS connector, and what is refused."""

from __future__ import annotations

import struct
import zlib
from array import array
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError, ShardError
from aisio.formats.tar_index_file import MemberSpans, decode_tar_index, encode_tar_index

# Of files with 0, 5, 1000 and 5000 bytes, written by osstorchconnector 1.2.3: the header up to the
# CRC of the body, the CRC of the header, and the body.
GOLDEN = (
    bytes.fromhex("5461724964780000 01000106 0000000000000000 1600000000000000 0500000000000000")
    + bytes.fromhex("5c210a50")
    + bytes(468)
    + bytes.fromhex("3662936f")
    + bytes.fromhex("789c63606060600462262066 06626e20060000800012")
)
STARTS, END = [0, 512, 1536, 3072], 8704


def crc(data: bytes) -> int:
    """Return the CRC of the format, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


def index_of(
    body: bytes, *, count: int = 5, version: int = 1, compression: int = 1, body_crc: int = -1
) -> bytes:
    """Write an index whose CRCs are right, unless one is given."""
    body_crc = crc(body) if body_crc < 0 else body_crc
    head = b"TarIdx\0\0" + bytes([version, 0, compression, 6]) + bytes(8)
    head += struct.pack("<QQI", len(body), count, body_crc) + bytes(468)
    return head + crc(head + bytes(4)).to_bytes(4, "little") + body


def body_of(*steps: int) -> bytes:
    """Write a body."""
    return zlib.compress(struct.pack(f"<{len(steps)}I", *steps))


def flipped(position: int) -> bytes:
    """Return the index with one bit of it changed."""
    return GOLDEN[:position] + bytes([GOLDEN[position] ^ 1]) + GOLDEN[position + 1 :]


def test_oss_13_the_bytes_are_the_vendors() -> None:
    """Header, both CRCs and the compressed body."""
    assert encode_tar_index(STARTS, END) == GOLDEN


def test_the_vendors_bytes_are_read() -> None:
    """The last number is the end-of-archive block, and not a file."""
    assert decode_tar_index(GOLDEN, name="x") == MemberSpans(array("Q", STARTS), END)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", r"it begins with b'', and not with"),
        (flipped(0), "it begins with b'UarIdx"),
        (GOLDEN[:511], "it has 511 bytes, and its header alone has 512: it was cut"),
        (flipped(8), "its header is damaged: the CRC of the header"),
        (flipped(100), "its header is damaged: the CRC of the header"),
        (flipped(511), "its header is damaged: the CRC of the header"),
        (index_of(body_of(0), version=2), "it has version 2, compression 1; version 1 is read"),
        (index_of(body_of(0), compression=0), "it has version 1, compression 0"),
        (GOLDEN[:-1], "its body has 21 bytes, not 22: it was cut"),
        (GOLDEN + b"x", "its body has 23 bytes, not 22: it has other bytes behind it"),
        (flipped(520), "its body is damaged: the CRC of the body"),
        (index_of(body_of(0), body_crc=7), "its body is damaged: the CRC of the body"),
        (index_of(b"no zlib stream, but five numbers"), "its body cannot be inflated"),
        (index_of(body_of(0, 1, 2, 3)), "its header says 5 entries, and its body has fewer bytes"),
        (
            index_of(body_of(0, 1, 2, 3, 4, 5)),
            "its header says 5 entries, and its body has more bytes",
        ),
        (index_of(body_of(0, 1, 2, 3, 4)[:-4]), "its body does not end where the zlib stream"),
        (index_of(body_of(0, 1, 2, 3, 4) + b"x"), "its body does not end where the zlib stream"),
        (index_of(body_of(), count=0), "its header says 0 entries"),
        (index_of(body_of(0), count=1 << 60), "its header says 1,152,921,504,606,846,976 entries"),
        (index_of(body_of(0, 1, 0, 3, 4)), "its offsets do not increase"),
    ],
)
def test_oss_14_each_damage_has_its_own_error(data: bytes, text: str) -> None:
    """The error names the file, and says what to do."""
    with pytest.raises(ShardError, match=f"^ais://b/a.idx: this index .*: {text}.*; make it anew$"):
        decode_tar_index(data, name="ais://b/a.idx")


@pytest.mark.parametrize(
    ("starts", "end"), [([0, 100], 1024), ([512, 0], 1024), ([0], 0), ([0, 0], 512)]
)
def test_what_is_no_row_of_offsets_is_not_written(starts: list[int], end: int) -> None:
    """It would be read as the index of another tar."""
    with pytest.raises(ConfigError, match="not the offsets of the files of a tar"):
        encode_tar_index(starts, end)


def test_a_file_of_2_tib_does_not_fit() -> None:
    """A step is a u32 of blocks."""
    most = ((1 << 32) - 1) * 512
    assert decode_tar_index(encode_tar_index([0, most], 2 * most), name="x").end == 2 * most
    with pytest.raises(ConfigError, match="2 TiB"):
        encode_tar_index([0, most + 512], most + 1024)


@given(st.lists(st.integers(1, 1 << 20), min_size=1, max_size=200), st.integers(0, 9))
def test_any_offsets_come_back(steps: list[int], first: int) -> None:
    """The CRC is that of the format."""
    bounds = [first * 512]
    for step in steps:
        bounds.append(bounds[-1] + step * 512)
    data = encode_tar_index(bounds[:-1], bounds[-1])
    assert decode_tar_index(data, name="x") == (array("Q", bounds[:-1]), bounds[-1])
    assert crc(data[512:]) == int.from_bytes(data[0x24:0x28], "little")


@given(st.binary(max_size=200), st.sampled_from([b"", GOLDEN[:100], GOLDEN[:512], GOLDEN]))
def test_any_bytes_are_an_index_or_refused(data: bytes, start: bytes) -> None:
    """By no other error."""
    with suppress(ShardError):
        decode_tar_index(start + data, name="x")


def test_offsets_beyond_any_tar_are_told() -> None:
    """So many of the largest steps end behind what 64 bits can count."""
    count = (1 << 22) + 2
    body = zlib.compress(b"\xff" * (4 * count), 9)
    with pytest.raises(ShardError, match="its offsets are beyond the end of any tar"):
        decode_tar_index(index_of(body, count=count), name="i")
