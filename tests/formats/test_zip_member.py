"""Members of zips: what Python's zipfile has written, and what is damaged."""

from __future__ import annotations

import io
import lzma
import random
import struct
import tracemalloc
import zipfile
import zlib

import pytest

from aisio.formats.zip_member import ReadAt, ZipEntry, read_zip_member

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
CONTENT = random.Random(1).randbytes(40_000) + bytes(3 << 20) + b"end"
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError)


def zip_of(content: bytes, method: int) -> tuple[bytes, ZipEntry]:
    """Return a zip of one member, and its entry."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("folder/member", content)
    return file.getvalue(), ZipEntry.of(archive.infolist()[0])


def reading(archive: bytes, *, piece_bytes: int = 1 << 20) -> ReadAt:
    """Return a function that reads the zip, so many bytes at once at most."""
    return lambda at, count: archive[at : at + min(count, max(piece_bytes, 30))]


def data_start(entry: ZipEntry) -> int:
    """Return where the data begins: zipfile writes no extra field for a small member."""
    return entry.offset + 30 + len("folder/member")


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
@pytest.mark.parametrize("method", METHODS)
def test_what_zipfile_writes_is_read(method: int, content: bytes) -> None:
    """By every method, however much comes at once, in pieces of up to 1 MiB."""
    archive, entry = zip_of(content, method)
    for piece_bytes in (1 << 20, 30):
        pieces = list(read_zip_member(entry, reading(archive, piece_bytes=piece_bytes)))
        assert b"".join(pieces) == content
        assert all(0 < len(piece) <= 1 << 20 for piece in pieces)


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_bomb_takes_little_memory(method: int) -> None:
    """The content is made as it is read: zipfile needs its whole size for bzip2 and LZMA."""
    archive, entry = zip_of(bytes(64 << 20), method)
    tracemalloc.start()
    try:
        total = sum(map(len, read_zip_member(entry, reading(archive))))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 16 << 20


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kept", [0, 1, 8, 20_000])
def test_data_that_is_cut_is_an_error(method: int, kept: int) -> None:
    """Wherever it ends."""
    archive, entry = zip_of(CONTENT, method)
    with pytest.raises(DAMAGE):
        list(read_zip_member(entry, reading(archive[: data_start(entry) + kept])))


@pytest.mark.parametrize("method", METHODS)
def test_a_changed_byte_is_an_error_before_the_last_piece(method: int) -> None:
    """So what has come whole is right."""
    archive, entry = zip_of(CONTENT, method)
    damaged = bytearray(archive)
    damaged[data_start(entry) + 10_000] ^= 1
    pieces: list[bytes] = []
    with pytest.raises(DAMAGE):
        pieces.extend(read_zip_member(entry, reading(bytes(damaged))))
    assert sum(map(len, pieces)) < len(CONTENT)


@pytest.mark.parametrize("method", METHODS)
def test_no_more_comes_than_the_directory_says(method: int) -> None:
    """What is there beyond its size is not read, and the CRC shows that something is wrong."""
    archive, entry = zip_of(CONTENT, method)
    with pytest.raises(zipfile.BadZipFile, match="another CRC"):
        list(read_zip_member(entry._replace(size_bytes=1000), reading(archive)))


def test_lzma_without_an_end_marker_is_read() -> None:
    """Its size tells where it ends."""
    content = b"content" * 1000
    archive, entry = zip_of(content, zipfile.ZIP_LZMA)
    assert entry.flags & 2, "zipfile writes an end marker"
    without_flag = entry._replace(flags=entry.flags & ~2)
    assert b"".join(read_zip_member(without_flag, reading(archive))) == content


@pytest.mark.parametrize(
    ("at", "value", "what"),
    # The length of the properties, which is always 5; the size of the dictionary, up to 4 GiB.
    [(2, struct.pack("<H", 6), "LZMA header"), (5, struct.pack("<I", 1 << 31), "Memory usage")],
)
def test_a_bad_header_of_lzma_is_an_error(at: int, value: bytes, what: str) -> None:
    """It is damaged, or asks for more memory than `xz -9` does."""
    archive, entry = zip_of(CONTENT, zipfile.ZIP_LZMA)
    start = data_start(entry) + at
    damaged = archive[:start] + value + archive[start + len(value) :]
    with pytest.raises((zipfile.BadZipFile, lzma.LZMAError), match=what):
        list(read_zip_member(entry, reading(damaged)))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"method": 99}, "method 99"),
        ({"flags": 1}, "encrypted"),
        ({"flags": 0x20}, "a patch"),
        *(({"offset": offset}, "no header") for offset in (-1, 1, 10_000, 1 << 62, 1 << 64)),
    ],
)
def test_what_cannot_be_read_is_refused(changes: dict[str, int], what: str) -> None:
    """The text says why."""
    archive, entry = zip_of(b"content", zipfile.ZIP_STORED)
    with pytest.raises(zipfile.BadZipFile, match=what):
        list(read_zip_member(entry._replace(**changes), reading(archive)))


def test_a_size_of_zero_does_not_hide_the_content() -> None:
    """The directory's CRC tells of it."""
    archive, entry = zip_of(b"content", zipfile.ZIP_DEFLATED)
    with pytest.raises(zipfile.BadZipFile, match="its size is 0 in the directory"):
        list(read_zip_member(entry._replace(size_bytes=0), reading(archive)))
