"""RecordDatabase: every value survives, also from the file of an earlier gateway."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.metadata import Metadata
from aisio.gateway.storage.record_database import RecordDatabase
from aisio.gateway.storage.records import FileState, MultipartInfo, Record

BUCKET = BucketName("b")
ONE = FileState(1, 10, 11, 100)
PLAIN = Record(ONE, "aa", 1)
FULL = Record(ONE, "aa", 3, {"ü": "\x00'"}, MultipartInfo.of([10, 10, 4]))


def test_every_value_of_a_record_survives(tmp_path: Path) -> None:
    """Also the name, whatever is in it."""
    name = "ü?%'\n"
    with contextlib.closing(RecordDatabase.open(str(tmp_path / "m.db"))) as database:
        database.save("b", name, FULL)
        database.save("b", "plain", PLAIN)
    with contextlib.closing(RecordDatabase.open(str(tmp_path / "m.db"))) as database:
        assert database.find("b", name) == FULL
        assert database.find_each("b", ["a", *map(str, range(2000)), "plain"]) == {"plain": PLAIN}
        assert (database.find("b", "other"), database.find("other", name)) == (None, None)


def test_a_renamed_object_replaces_another_and_no_longer_has_parts() -> None:
    """As on a cluster."""
    with contextlib.closing(RecordDatabase.open(None)) as database:
        database.save("b", "a", FULL)
        database.save("b", "z", PLAIN)
        database.rename("b", "a", "z")
        renamed = database.find("b", "z")
        assert renamed is not None
        assert (renamed.version, renamed.multipart) == (3, None)
        assert database.find("b", "a") is None


def test_a_bucket_is_renamed_and_deleted_with_all_that_it_has() -> None:
    """Its objects and its properties."""
    props = BucketProps(access=1)
    with contextlib.closing(RecordDatabase.open(None)) as database:
        database.save("b", "o", PLAIN)
        database.save_props("b", props)
        database.rename_bucket("b", "new")
        assert (database.find("b", "o"), database.find("new", "o")) == (None, PLAIN)
        assert database.all_props() == {"new": props}
        database.delete_objects("new")
        database.delete_props("new")
        assert (database.find("new", "o"), database.all_props()) == (None, {})


def test_a_file_of_an_earlier_gateway_is_taken_over(tmp_path: Path) -> None:
    """It knew nothing of parts and properties; what it knew stays."""
    file = tmp_path / "m.db"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(
            "CREATE TABLE objects (bucket TEXT, name TEXT, size INTEGER, mtime_ns INTEGER,"
            " inode INTEGER, checksum TEXT, version INTEGER, custom TEXT,"
            " PRIMARY KEY (bucket, name)) WITHOUT ROWID"
        )
        row = (BUCKET.folder, "o", ONE.size_bytes, ONE.mtime_ns, ONE.inode, "aa", 3, "{}")
        database.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    metadata = Metadata.open(str(file))
    taken_over = metadata.record_checksum(BUCKET, "o", ONE, "aa")
    assert (taken_over.version, taken_over.multipart) == (3, None)
    assert metadata.record_write(BUCKET, "o", ONE, "bb", MultipartInfo(2, 10)).version == 4
    metadata.close()
    again = Metadata.open(str(file))
    found = again.get(BUCKET, "o", ONE)
    assert found is not None
    assert found.multipart == MultipartInfo(2, 10)
    again.close()


def test_a_file_that_is_not_a_database_is_an_error_and_is_closed(tmp_path: Path) -> None:
    """An open connection would be a warning, which is an error in tests."""
    (tmp_path / "m.db").write_bytes(b"not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        RecordDatabase.open(str(tmp_path / "m.db"))
