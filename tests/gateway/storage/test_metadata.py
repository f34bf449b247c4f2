from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.metadata import Metadata
from aisio.gateway.storage.record_database import RecordDatabase
from aisio.gateway.storage.records import FileState

BUCKET = BucketName("b")
ONE, TWO = FileState(1, 10, 11, 100), FileState(2, 20, 21, 200)


def test_a_record_counts_only_for_the_file_it_was_made_for() -> None:
    """With another size, time or inode, another program may have written the file."""
    metadata = Metadata.open(None)
    metadata.record_write(BUCKET, "o", ONE, "aa")
    assert metadata.get(BUCKET, "o", ONE) is not None
    for field in ("size_bytes", "mtime_ns", "ctime_ns", "inode"):
        changed = replace(ONE, **{field: 5})
        assert metadata.get(BUCKET, "o", changed) is None
    metadata.close()


def test_versions_count_every_change() -> None:
    """1 at first, +1 for each write, by the gateway or not; 1 again after a delete."""
    metadata = Metadata.open(None)
    assert metadata.record_write(BUCKET, "o", ONE, "aa").version == 1
    assert metadata.record_write(BUCKET, "o", ONE, "aa").version == 2
    assert metadata.expected_version(BUCKET, "o", TWO) == 3
    assert metadata.record_checksum(BUCKET, "o", TWO, "bb").version == 3
    metadata.delete(BUCKET, "o")
    assert metadata.record_checksum(BUCKET, "o", TWO, "bb").version == 1
    metadata.close()


def test_records_outlive_the_process(tmp_path: Path) -> None:
    """Checksums and custom metadata are read back from the file."""
    file = str(tmp_path / "m.db")
    first = Metadata.open(file)
    record = first.record_write(BUCKET, "ü?%", ONE, "aa")
    first.set_custom(BUCKET, "ü?%", record, {"k": "v"})
    first.close()
    second = Metadata.open(file)
    found = second.get(BUCKET, "ü?%", ONE)
    assert found is not None
    assert (found.checksum, found.version, found.custom) == ("aa", 1, {"k": "v"})
    second.close()


def test_a_seed_is_only_read(tmp_path: Path) -> None:
    """A read-only gateway uses the recorded checksums and writes none."""
    file = str(tmp_path / "m?.db")
    first = Metadata.open(file)
    first.record_write(BUCKET, "o", ONE, "aa")
    first.close()
    second = Metadata.open(None, seed=file)
    assert second.get(BUCKET, "o", ONE) is not None
    second.delete(BUCKET, "o")
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == ["m?.db"]
    third = Metadata.open(file)
    assert third.get(BUCKET, "o", ONE) is not None
    third.close()


def test_an_unreadable_seed_is_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A read-only gateway works without it; perhaps nobody can remove the file."""
    (tmp_path / "m.db").write_bytes(b"not a database" * 100)
    metadata = Metadata.open(None, seed=str(tmp_path / "m.db"))
    assert metadata.record_write(BUCKET, "o", ONE, "aa").version == 1
    metadata.close()
    assert "is left out" in caplog.text


def test_records_of_many_names() -> None:
    """Those that there are, and of no other bucket."""
    metadata = Metadata.open(None)
    for name in ("a", "b", "c", "d"):
        metadata.record_write(BUCKET, name, ONE, "aa")
    metadata.record_write(BucketName("other"), "b", ONE, "aa")
    assert list(metadata.records_of(BUCKET, ["b", "c", "nope"])) == ["b", "c"]
    metadata.delete_bucket(BUCKET)
    assert metadata.records_of(BUCKET, ["a", "b"]) == {}
    metadata.close()


def test_several_threads_may_write() -> None:
    """Where the caller's lock orders them, every write gets a version of its own."""
    metadata, lock = Metadata.open(None), threading.Lock()

    def replace() -> None:
        for _ in range(50):
            with lock:
                metadata.record_write(BUCKET, "o", ONE, "aa")

    threads = [threading.Thread(target=replace) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metadata.expected_version(BUCKET, "o", ONE) == 200
    metadata.close()


def test_the_error_names_a_damaged_file(tmp_path: Path) -> None:
    """And says that it may be removed."""
    (tmp_path / "m.db").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match=r"m\.db.*remove it"):
        Metadata.open(str(tmp_path / "m.db"))


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Metadata]:
    """Return records in a file that cannot grow, as on a full disk."""
    file = str(tmp_path / "m.db")
    Metadata.open(file).close()
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA max_page_count = 1")  # as many as there are
    metadata = Metadata(RecordDatabase(database))
    for number in range(1000):
        metadata.record_checksum(BUCKET, f"found-{number}", ONE, "aa")
    yield metadata
    metadata.close()


def test_a_checksum_that_cannot_be_saved_is_kept_and_logged_once(
    full: Metadata, caplog: pytest.LogCaptureFixture
) -> None:
    """It can be computed again, so no read or write fails."""
    assert full.get(BUCKET, "found-999", ONE) is not None
    assert full.record_write(BUCKET, "o", TWO, "bb").version == 1
    assert full.get(BUCKET, "o", TWO) is not None
    full.delete(BUCKET, "o")
    assert full.get(BUCKET, "o", TWO) is None
    (text,) = [record.getMessage() for record in caplog.get_records("setup")]
    assert caplog.records == []
    assert "cannot be saved" in text
    assert "database or disk is full" in text


def test_custom_metadata_and_properties_that_cannot_be_saved_are_refused(
    full: Metadata,
) -> None:
    """Nobody could compute them again; the old values stay."""
    record = full.get(BUCKET, "found-999", ONE)
    assert record is not None
    for act in (
        lambda: full.set_custom(BUCKET, "found-999", record, {"k": "v" * 100_000}),
        lambda: full.set_props(BucketName("x" * 100_000), BucketProps(access=1)),
    ):
        with pytest.raises(Refusal, match="database or disk is full") as caught:
            act()
        assert caught.value.status == 507
    assert full.get(BUCKET, "found-999", ONE) == record


@pytest.mark.parametrize("content", [b"\0" * 5000, b"SQLite format 3\0" + b"x" * 5000])
def test_garbage_is_a_config_error(tmp_path: Path, content: bytes) -> None:
    """Whether or not it begins as a database does."""
    (tmp_path / "m.db").write_bytes(content)
    with pytest.raises(ConfigError, match="remove it to start anew"):
        Metadata.open(str(tmp_path / "m.db"))


def test_invalid_properties_are_a_config_error(tmp_path: Path) -> None:
    """They say which changes are allowed, so a gateway does not start without them."""
    file = str(tmp_path / "m.db")
    Metadata.open(file).close()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("INSERT INTO buckets VALUES ('b', 'garbage')")
    with pytest.raises(ConfigError, match="remove it to start anew"):
        Metadata.open(file)


def test_damage_found_later_fails_no_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read is computed again, with a warning in the log."""
    file = tmp_path / "m.db"
    first = Metadata.open(str(file))
    for number in range(1000):
        first.record_checksum(BUCKET, f"{number}", ONE, "aa")
    first.close()
    data = file.read_bytes()
    with file.open("r+b") as handle:
        handle.seek(3 * 4096)
        handle.write(b"\xff" * (len(data) - 3 * 4096))
    second = Metadata.open(str(file))
    for number in range(1000):
        second.get(BUCKET, f"{number}", ONE)
        second.record_checksum(BUCKET, f"{number}", TWO, "bb")
        assert second.get(BUCKET, f"{number}", TWO) is not None
    second.close()
    assert "malformed" in caplog.text


def test_a_renamed_object_keeps_its_record(tmp_path: Path) -> None:
    """Although the rename changes the state of its file."""
    metadata = Metadata.open(None)
    metadata.set_custom(BUCKET, "a", metadata.record_write(BUCKET, "a", ONE, "aa"), {"k": "v"})
    metadata.rename(BUCKET, "a", "b")
    metadata.update_state(BUCKET, "b", ONE, TWO)
    record = metadata.get(BUCKET, "b", TWO)
    assert record is not None
    assert (record.custom, metadata.get(BUCKET, "a", ONE)) == ({"k": "v"}, None)
    metadata.close()
