"""What is wrong with an archive, in words. Pure; `test_tar_damage` reads such archives."""

from __future__ import annotations

import pytest

from aisio.formats.tar_faults import data_behind_the_end, less_than_a_header, not_a_tar


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\x1f\x8b\x08", "not a tar archive but gzip data: decompress it first"),
        (b"PK\x03\x04", "not a tar archive but a zip: repack it, zip cannot be streamed"),
        (b"<html>", "not a tar archive: no tar header at byte 0"),
    ],
)
def test_files_of_other_formats(start: bytes, expected: str) -> None:
    """Named, if they are known, with what to do."""
    assert not_a_tar(start + bytes(512)) == expected


@pytest.mark.parametrize(
    ("data", "expected", "offset"),
    [
        (b"", "empty: ", 0),
        (b"BZh9", "not a tar archive but bzip2 data", 0),
        (b"name", "cut at byte 4, or not a tar archive", 4),
    ],
)
def test_archives_of_less_than_a_header(data: bytes, expected: str, offset: int) -> None:
    """With the byte where it ends."""
    text, at = less_than_a_header(data)
    assert (text.startswith(expected), at) == (True, offset)


def test_bytes_behind_the_end() -> None:
    """With how to keep the archive alone."""
    assert data_behind_the_end(5000, 1024).endswith("keep the first 1536 bytes")
