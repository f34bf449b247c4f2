"""Values about stored objects: when a file is the same, and when only its bytes are."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from aisio.gateway.storage.records import (
    NO_FILE,
    FileIdentity,
    FileState,
    MultipartInfo,
    Record,
)
from aisio.records import Checksum


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"ctime_ns": 0, "inode": 0}, True),
        ({"size_bytes": 0}, False),
        ({"mtime_ns": 0}, False),
    ],
)
def test_a_file_that_was_not_written_to_has_the_same_bytes(
    change: dict[str, int], is_same: bool
) -> None:
    """A rename or chmod changes the state, and not the bytes."""
    before = FileState(1, 2, 3, 4)
    after = replace(before, **change)
    assert after != before
    assert after.has_same_bytes_as(before) == is_same


def test_a_state_fits_the_database() -> None:
    """An inode may be a number of 64 bits without a sign; SQLite has a sign."""
    status = os.stat_result((0, (1 << 64) - 1, 0, 0, 0, 0, 5, 0, 0, 0))
    assert FileState.of(status).inode == (1 << 63) - 1


def test_an_identity_tells_a_file_from_its_replacement(tmp_path: Path) -> None:
    """And both from no file."""
    path = tmp_path / "o"
    path.write_bytes(b"one")
    first = FileIdentity.of(path.stat())
    assert first == FileIdentity.of(path.stat())
    (tmp_path / "new").write_bytes(b"two")
    (tmp_path / "new").replace(path)
    assert len({first, FileIdentity.of(path.stat()), NO_FILE}) == 3


def test_the_checksum_of_a_record_has_its_type() -> None:
    """As a client compares it with its own."""
    record = Record(FileState(1, 2, 3, 4), "aa", 1)
    assert record.full_checksum == Checksum("xxhash2", "aa")


def test_where_parts_begin_and_end() -> None:
    """By their numbers; of many equal ones as well."""
    multipart = MultipartInfo.of([8] * 9_999 + [0, 3])
    assert multipart == MultipartInfo(10_001, 8, ((8, 9_999), (0, 1), (3, 1)))
    assert multipart.bounds(1) == (0, 8)
    assert multipart.bounds(9_999) == (79_984, 79_992)
    assert multipart.bounds(10_000) == (79_992, 79_992)
    assert multipart.bounds(10_001) == (79_992, 79_995)
    assert [multipart.bounds(number) for number in (0, -1, 10_002)] == [None] * 3
    assert MultipartInfo(2, 8).bounds(1) is None
