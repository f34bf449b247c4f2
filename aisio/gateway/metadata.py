"""What the gateway knows of objects beyond the file itself: checksum, version, custom metadata.

A record belongs to one state of one file, told by (size, mtime, inode). Where the file has changed
since, by another program or because the gateway was killed between renaming and recording, the
record no longer counts: the checksum is computed anew and the version goes up.

SQLite keeps the records, a dictionary in front of it those in use. Nothing waits for the disk:
after a power cut records may be missing or old, and both are found out by the rule above.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from aisio.errors import ConfigError
from aisio.gateway.bucket_props import BucketProps
from aisio.gateway.names import BucketName
from aisio.records import Checksum

_MOST_CACHED = 200_000
_DEFAULT_PROPS = BucketProps()
_log = logging.getLogger(__name__)
_INT64 = (1 << 63) - 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, name TEXT, size INTEGER, mtime_ns INTEGER, inode INTEGER,
    checksum TEXT, version INTEGER, custom TEXT, parts TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (bucket, name)
) WITHOUT ROWID
"""
_BUCKETS = "CREATE TABLE IF NOT EXISTS buckets (bucket TEXT PRIMARY KEY, props BLOB) WITHOUT ROWID"
_ADD_PARTS = "ALTER TABLE objects ADD COLUMN parts TEXT NOT NULL DEFAULT ''"
_FIND = """
SELECT size, mtime_ns, inode, checksum, version, custom, parts FROM objects
WHERE bucket = ? AND name = ?
"""
_FIND_BETWEEN = """
SELECT name, size, mtime_ns, inode, checksum, version, custom, parts FROM objects
WHERE bucket = ? AND name BETWEEN ? AND ?
"""


@dataclass(frozen=True, slots=True)
class FileState:
    """What must not have changed for a record to count."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """Return the state that a stat call shows."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino & _INT64)


class Parted(NamedTuple):
    """How an object came in parts."""

    parts: int
    largest_bytes: int


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one object.

    Attributes:
        state: Of the file it was recorded for.
        checksum: XXH64 of the whole object, hexadecimal.
        version: 1 for the first content of that name, +1 each time it is replaced; 0 for none.
        custom: Custom metadata.
        parted: How it came in parts; None if it did not.
    """

    state: FileState
    checksum: str
    version: int
    custom: Mapping[str, str] = field(default_factory=dict)
    parted: Parted | None = None

    @property
    def full_checksum(self) -> Checksum:
        """The checksum with its type."""
        return Checksum("xxhash2", self.checksum)


class Metadata:
    """The records of all buckets; any thread may ask and write."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, str], Record] = {}
        rows = database.execute("SELECT bucket, props FROM buckets").fetchall()
        self._props = {row[0]: msgspec.json.decode(row[1], type=BucketProps) for row in rows}

    @classmethod
    def open(cls, file: str | None, *, seed: str | None = None) -> Metadata:
        """Open the records.

        Args:
            file: The SQLite file, made where it is missing; None keeps the records in memory.
            seed: An SQLite file to start from, which is only read.

        Raises:
            ConfigError: The file is damaged, or not a database.
        """
        # Connecting does not touch the file yet; the first statement does.
        database = sqlite3.connect(
            file or ":memory:", check_same_thread=False, isolation_level=None
        )
        try:
            if seed:
                _copy(seed, database)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=OFF")
            database.execute(_SCHEMA)
            database.execute(_BUCKETS)
            columns = database.execute("PRAGMA table_info(objects)").fetchall()
            if "parts" not in {column[1] for column in columns}:
                database.execute(_ADD_PARTS)
        except sqlite3.Error as error:
            database.close()
            advice = "remove it to start anew; checksums are computed again as objects are read"
            raise ConfigError(f"metadata {file}: {error}; {advice}") from error
        return cls(database)

    def close(self) -> None:
        """Write everything out and close the file."""
        with self._lock:
            self._database.close()

    def get(self, bucket: BucketName, name: str, state: FileState) -> Record | None:
        """Return the record of an object, if the file is still in the state it was recorded for."""
        record = self._find(bucket.folder, name)
        return record if record is not None and record.state == state else None

    def learn(self, bucket: BucketName, name: str, state: FileState, checksum: str) -> Record:
        """Record a file that another program wrote, as the version after the one on record."""
        version = self.expected_version(bucket, name, state)
        return self._save(bucket.folder, name, Record(state, checksum, version))

    def replace(
        self,
        bucket: BucketName,
        name: str,
        state: FileState,
        checksum: str,
        parted: Parted | None = None,
    ) -> Record:
        """Record an object that the gateway itself has just written."""
        before = self._find(bucket.folder, name)
        version = (before.version if before else 0) + self.props(bucket).counts_versions
        return self._save(bucket.folder, name, Record(state, checksum, version, parted=parted))

    def set_custom(
        self, bucket: BucketName, name: str, record: Record, custom: Mapping[str, str]
    ) -> Record:
        """Replace an object's custom metadata."""
        return self._save(bucket.folder, name, replace(record, custom=dict(custom)))

    def expected_version(self, bucket: BucketName, name: str, state: FileState) -> int:
        """Return the version that the object has, or will have once its checksum is known."""
        record = self._find(bucket.folder, name)
        step = int(self.props(bucket).counts_versions)
        if record is None:
            return step
        return record.version if record.state == state else record.version + step

    def props(self, bucket: BucketName) -> BucketProps:
        """Return the properties of a bucket."""
        return self._props.get(bucket.folder, _DEFAULT_PROPS)

    def set_props(self, bucket: BucketName, props: BucketProps) -> None:
        """Replace the properties of a bucket."""
        with self._lock:
            self._set_props(bucket.folder, props)

    def _set_props(self, bucket: str, props: BucketProps) -> None:
        self._database.execute("DELETE FROM buckets WHERE bucket = ?", (bucket,))
        self._props.pop(bucket, None)
        if props != _DEFAULT_PROPS:
            row = (bucket, msgspec.json.encode(props))
            self._database.execute("INSERT INTO buckets VALUES (?, ?)", row)
            self._props[bucket] = props

    def page(self, bucket: BucketName, first: str, last: str) -> dict[str, Record]:
        """Return all records of names from `first` to `last`, both included."""
        with self._lock:
            rows = self._database.execute(_FIND_BETWEEN, (bucket.folder, first, last)).fetchall()
        return {row[0]: _record(row[1:]) for row in rows}

    def forget(self, bucket: BucketName, name: str) -> None:
        """Drop the record of a deleted object: a later one of that name starts at version 1."""
        with self._lock:
            self._cache.pop((bucket.folder, name), None)
            self._database.execute(
                "DELETE FROM objects WHERE bucket = ? AND name = ?", (bucket.folder, name)
            )

    def forget_bucket(self, bucket: BucketName) -> None:
        """Drop all records of a destroyed bucket."""
        with self._lock:
            self._cache.clear()
            self._set_props(bucket.folder, _DEFAULT_PROPS)
            self._database.execute("DELETE FROM objects WHERE bucket = ?", (bucket.folder,))

    def move(self, bucket: BucketName, name: str, new_name: str) -> None:
        """Give the record of a renamed object its new name; as on a cluster, it is then whole."""
        with self._lock:
            self._cache.pop((bucket.folder, name), None)
            self._cache.pop((bucket.folder, new_name), None)
            self._database.execute(
                "UPDATE OR REPLACE objects SET name = ?, parts = '' WHERE bucket = ? AND name = ?",
                (new_name, bucket.folder, name),
            )

    def move_bucket(self, bucket: BucketName, new: BucketName) -> None:
        """Give the records of a renamed bucket their new place."""
        with self._lock:
            self._cache.clear()
            self._set_props(new.folder, self.props(bucket))
            self._set_props(bucket.folder, _DEFAULT_PROPS)
            self._database.execute(
                "UPDATE OR REPLACE objects SET bucket = ? WHERE bucket = ?",
                (new.folder, bucket.folder),
            )

    def _find(self, bucket: str, name: str) -> Record | None:
        record = self._cache.get((bucket, name))
        if record is not None:
            return record
        with self._lock:
            row = self._database.execute(_FIND, (bucket, name)).fetchone()
            if row is None:
                return None
            return self._remember(bucket, name, _record(row))

    def _save(self, bucket: str, name: str, record: Record) -> Record:
        state = record.state
        row = (
            bucket,
            name,
            state.size_bytes,
            state.mtime_ns,
            state.inode,
            record.checksum,
            record.version,
        )
        parts = "{} {}".format(*record.parted) if record.parted else ""
        custom = msgspec.json.encode(record.custom).decode()
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, custom, parts),
            )
            return self._remember(bucket, name, record)

    def _remember(self, bucket: str, name: str, record: Record) -> Record:
        if len(self._cache) >= _MOST_CACHED:
            self._cache.clear()
        self._cache[bucket, name] = record
        return record


def _record(row: tuple[int, int, int, str, int, str, str]) -> Record:
    custom = msgspec.json.decode(row[5], type=dict[str, str]) if row[5] != "{}" else {}
    parted = Parted(*map(int, row[6].split())) if row[6] else None
    return Record(FileState(*row[:3]), row[3], row[4], custom, parted)


def _copy(file: str, database: sqlite3.Connection) -> None:
    """Copy the records of a file that must not change, if they can be read."""
    # Without a log of a running gateway beside it, the file is complete and can be read as it
    # stands; else SQLite would make files of its own next to it.
    complete = "" if pathlib.Path(f"{file}-wal").exists() else "&immutable=1"
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(file)}?mode=ro{complete}", uri=True)
        ) as source:
            source.backup(database)
    except sqlite3.Error as error:
        _log.warning("metadata %s is left out: %s", file, error)
