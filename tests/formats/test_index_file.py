"""The container of a shard index: parts in, parts out; what is damaged is refused."""

from __future__ import annotations

import struct
import zlib
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import AisioError, ConfigError, IntegrityError
from aisio.formats.index_file import IndexFile, PartBytes, file_pieces

PARTS: dict[str, PartBytes] = {
    "text": b"abc",
    "wide": array("Q", [0, 1, 1 << 63]),
    "narrow": array("I", [7, 8]),
    "empty": array("Q"),
}


def content(parts: dict[str, PartBytes] | None = None) -> bytes:
    """Return the bytes of a file."""
    return b"".join(file_pieces(PARTS if parts is None else parts))


def test_parts_come_back():
    """Bytes as bytes, numbers as numbers; a part that is missing is known to be."""
    file = IndexFile(content(), "x")
    assert bytes(file.raw("text")) == b"abc"
    assert list(file.numbers("wide")) == [0, 1, 1 << 63]
    assert list(file.numbers("narrow")) == [7, 8]
    assert list(file.numbers("empty")) == []
    assert ("wide" in file, "other" in file) == (True, False)
    assert [file.count(part) for part in ("text", "wide", "narrow", "other")] == [3, 3, 2, 0]


def test_file_has_the_written_layout():
    """Little-endian on any machine, each part at a multiple of 64 bytes."""
    data = content()
    magic, version, count, size, _ = struct.unpack_from("<8sIIQI", data)
    assert (magic, version, count, size) == (b"\x89AISIDX\n", 1, 4, len(data))
    entries = [struct.unpack_from("<24sQQII", data, 32 + 48 * number) for number in range(count)]
    assert [entry[1] % 64 for entry in entries] == [0] * 4
    _, offset, size, crc, item = entries[1]
    assert (size, item) == (24, 8)
    assert data[offset : offset + size] == struct.pack("<3Q", 0, 1, 1 << 63)
    assert crc == zlib.crc32(data[offset : offset + size])


def test_big_endian_machines_get_a_copy(monkeypatch: pytest.MonkeyPatch):
    """The numbers are those of the file, whatever the order of bytes in the machine."""
    data = content({"wide": array("Q", [1])})
    swapped = array("Q", [1])
    swapped.byteswap()
    monkeypatch.setattr("sys.byteorder", "big")
    assert list(IndexFile(data, "x").numbers("wide")) == list(swapped)
    assert content({"wide": swapped}) == data


@pytest.mark.parametrize("data", [b"", b"\x89AIS", b"PK\x03\x04" * 100, bytes(4096)])
def test_other_files_are_refused(data: bytes):
    """The text names the file and says what it is not."""
    with pytest.raises(IntegrityError, match="^/data/x: not a shard index of aisio"):
        IndexFile(data, "/data/x")


def test_newer_format_is_refused():
    """With the version and what to do."""
    data = bytearray(content())
    data[8] = 9
    with pytest.raises(ConfigError, match=r"x: a shard index of format 9, .*update aisio"):
        IndexFile(data, "x")


def test_cut_file_is_refused_at_every_length():
    """Nothing of it is used."""
    data = content()
    for stop in range(8, len(data)):
        with pytest.raises(IntegrityError, match="x: this shard index has .*it was cut"):
            IndexFile(data[:stop], "x")


@given(st.integers(0, len(content()) * 8 - 1))
def test_a_flipped_bit_is_found_or_does_no_harm(bit: int):
    """Each part is right or refused; only the zeros between the parts may change."""
    data = bytearray(content())
    data[bit // 8] ^= 1 << bit % 8
    try:
        file = IndexFile(data, "x")
        found = {name: bytes(file.raw(name)) for name in PARTS}
    except AisioError:
        return
    whole = IndexFile(content(), "x")
    assert found == {name: bytes(whole.raw(name)) for name in PARTS}


def test_damaged_part_is_found_at_its_first_use():
    """The other parts can be read; the text names the part."""
    data = bytearray(content())
    data[data.index(b"abc")] ^= 1
    file = IndexFile(data, "x")
    assert list(file.numbers("narrow")) == [7, 8]
    with pytest.raises(IntegrityError, match=r"part 'text' \(bytes \d+ to \d+\) has another CRC"):
        file.raw("text")
    with pytest.raises(IntegrityError, match="its part 'other' is missing"):
        file.raw("other")
