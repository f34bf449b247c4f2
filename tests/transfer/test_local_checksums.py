"""LocalChecksums."""

from __future__ import annotations

import hashlib
import logging
import os
import time

import pytest

from aisio.errors import IntegrityError
from aisio.records import Checksum
from aisio.stores import LocalStore
from aisio.transfer.local_checksums import LocalChecksums
from aisio.urls import ObjectUrl

DATA = b"some bytes"
MD5 = Checksum("md5", hashlib.md5(DATA).hexdigest())


def later() -> int:
    """Return a time at which files of this test have long settled."""
    return time.time_ns() + 60_000_000_000


def info_of(path):
    """Return what a listing says of a file."""
    return LocalStore().head(ObjectUrl.parse(f"file://{path}"))


def again(tmp_path) -> LocalChecksums:
    """Return what another process remembers."""
    checksums = LocalChecksums(tmp_path / "cache")
    checksums.load(str(tmp_path).lstrip("/"))
    return checksums


def test_a_checksum_is_remembered_until_the_file_changes(files, tmp_path):
    """By size, times, device and inode."""
    path = files({"a": DATA}) / "a"
    checksums = LocalChecksums(tmp_path / "cache", now_ns=later)
    assert checksums.known(info_of(path), "md5") is None
    assert checksums.compute(info_of(path), "md5") == MD5
    checksums.save()
    assert again(tmp_path).known(info_of(path), "md5") == MD5
    assert again(tmp_path).known(info_of(path), "crc32c") is None
    path.write_bytes(DATA[::-1])
    assert again(tmp_path).known(info_of(path), "md5") is None


def test_a_file_that_has_just_changed_is_not_remembered(files, tmp_path):
    """It may change again within the resolution of its time."""
    path = files({"a": DATA}) / "a"
    checksums = LocalChecksums(tmp_path / "cache")
    assert checksums.compute(info_of(path), "md5") == MD5
    checksums.save()
    assert again(tmp_path).known(info_of(path), "md5") is None


def test_a_file_that_changed_since_it_was_listed_is_an_error(files, checksums):
    """Its checksum would be that of other bytes."""
    path = files({"a": DATA}) / "a"
    info = info_of(path)
    path.write_bytes(b"others, more")
    with pytest.raises(IntegrityError, match="changed while"):
        checksums.compute(info, "md5")


def test_a_name_that_is_not_utf8_is_computed_each_time(tmp_path):
    """SQLite cannot keep it."""
    path = tmp_path / "caf\udce9"
    path.write_bytes(DATA)
    checksums = LocalChecksums(tmp_path / "cache", now_ns=later)
    assert checksums.compute(info_of(path), "md5") == MD5
    checksums.save()


def test_a_folder_that_cannot_be_used_is_told_once(files, tmp_path, caplog):
    """Checksums are computed all the same."""
    path = files({"a": DATA}) / "a"
    (tmp_path / "cache").write_bytes(b"a file")
    checksums = LocalChecksums(tmp_path / "cache", now_ns=later)
    with caplog.at_level(logging.WARNING):
        checksums.load("")
        assert checksums.compute(info_of(path), "md5") == MD5
        checksums.save()
    (record,) = caplog.records
    assert "not remembered" in record.getMessage()
    assert os.fspath(tmp_path) in record.getMessage()
