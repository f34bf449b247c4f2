"""Headers of all forms: of ustar, of GNU tar, and from before POSIX."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.formats.tar_header import checksum_matches
from aisio.formats.tar_write import END_OF_ARCHIVE, header
from tests.tars import pack, pack_by_gnu_tar, read_all, resum


def test_ustar_prefix_is_joined_to_the_name(tmp_path: Path):
    """A name of up to 255 bytes is split by ustar at a slash (POSIX, ustar)."""
    name = "d" * 90 + "/" + "e" * 60 + "/" + "f" * 90 + ".jpg"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"data")
    found = read_all(pack_by_gnu_tar(tmp_path, "--format=ustar", "--no-recursion", f"./{name}"))
    assert (f"./{name}", b"data") in [(member.name, payload) for member, payload in found]


def test_gnu_header_has_no_prefix():
    """An old GNU header keeps times where ustar has its prefix; they are no part of the name."""
    block = bytearray(header("1.jpg", 0))
    block[257:265] = b"ustar  \0"
    block[345:357] = b"14752137000\0"
    [(member, _)] = read_all(resum(bytes(block)) + END_OF_ARCHIVE)
    assert member.name == "1.jpg"


@given(
    st.one_of(st.integers(0, 127), st.integers(0, 255)).flatmap(
        lambda top: st.lists(st.integers(0, top), min_size=512, max_size=512)
    )
)
def test_the_checksum_is_the_sum_of_all_bytes(values: list[int]):
    """Its own field counts as blanks."""
    total = sum(values) - sum(values[148:156]) + 8 * ord(" ")
    start, end = bytes(values[:148]), bytes(values[156:])
    assert checksum_matches(start + b"%07o\0" % total + end)
    assert not checksum_matches(start + b"%07o\0" % (total + 1) + end)


@pytest.mark.parametrize("byte", [b"\x7f", b"\xff"])
def test_a_checksum_is_compared_whole(byte: bytes):
    """As large as it can be, also where it differs by the modulus of an Adler-32."""
    total = ord(byte) * 504 + 8 * ord(" ")
    for stored in (total, total - 65521, total + 65521):
        block = byte * 148 + b"%07o\0" % max(stored, 0) + byte * 356
        assert checksum_matches(block) == (stored == total)


def test_signed_checksum_is_accepted():
    """Some writers of old summed signed bytes."""
    block = header("größe.jpg", 0)
    signed = sum(byte - 256 * (byte > 127) for byte in block[:148] + b" " * 8 + block[156:])
    block = block[:148] + b"%06o\0 " % signed + block[156:]
    assert read_all(block + END_OF_ARCHIVE)[0][0].name == "größe.jpg"


def test_v7_directory_is_a_name_with_a_slash():
    """Before POSIX a directory was a regular file whose name ends with a slash."""
    block = bytearray(header("folder", 0))
    block[6:7] = b"/"
    block[156:157] = b"\0"
    [(member, _)] = read_all(resum(bytes(block)) + END_OF_ARCHIVE)
    assert (member.name, member.kind) == ("folder", "directory")


def test_size_of_a_directory_is_no_payload():
    """A directory's size is a hint to some systems (POSIX, ustar): no blocks follow it."""
    block = header("folder", 5000)
    found = read_all(resum(block[:156] + b"5" + block[157:]) + pack(("1.jpg", b"J")))
    assert [(member.name, payload) for member, payload in found] == [
        ("folder", b""),
        ("1.jpg", b"J"),
    ]


def test_contiguous_file_is_a_file_and_volume_label_is_not():
    """Type 7 is read as a file; GNU's volume label holds no data and disturbs nothing."""
    contiguous, label = (
        resum(block[:156] + flag + block[157:])
        for block, flag in ((header("1.jpg", 3), b"7"), (header("my-volume", 0), b"V"))
    )
    found = read_all(label + contiguous + b"abc".ljust(512, b"\0") + END_OF_ARCHIVE)
    assert [(member.kind, payload) for member, payload in found] == [
        ("other", b""),
        ("file", b"abc"),
    ]
