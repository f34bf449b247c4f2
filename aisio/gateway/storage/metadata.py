"""What the gateway knows of objects beyond the file itself: checksum, version, custom metadata.

A record belongs to one state of one file, told by (size, mtime, ctime, inode). Size and mtime can
be set by anyone, as programs that copy or unpack files do; ctime cannot. Where the state is another
one, by another program or because the gateway was killed between renaming and recording, the
checksum is computed anew. If it is the one on record, the object is the same; if not, the version
goes up.

SQLite keeps the records, a dictionary in front of it those in use. Nothing waits for the disk:
after a power cut records may be missing or old, and both are found out by the rule above. For the
same reason a record of a checksum that cannot be saved, as on a full disk, fails no request: it
stays in memory, and is computed again by the next gateway. What nobody could compute, custom
metadata and the properties of buckets, is refused where it cannot be saved.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec

from aisio.errors import ConfigError
from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.record_copies import copy_records
from aisio.records import Checksum

_MOST_CACHED = 200_000
_DEFAULT_PROPS = BucketProps()
_log = logging.getLogger(__name__)
_INT64 = (1 << 63) - 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, name TEXT, size INTEGER, mtime_ns INTEGER, inode INTEGER,
    checksum TEXT, version INTEGER, custom TEXT, parts TEXT NOT NULL DEFAULT '',
    ctime_ns INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, name)
) WITHOUT ROWID
"""
_BUCKETS = "CREATE TABLE IF NOT EXISTS buckets (bucket TEXT PRIMARY KEY, props BLOB) WITHOUT ROWID"
_ADDED_COLUMNS = {"parts": "TEXT NOT NULL DEFAULT ''", "ctime_ns": "INTEGER NOT NULL DEFAULT 0"}
_FIND = """
SELECT size, mtime_ns, ctime_ns, inode, checksum, version, custom, parts FROM objects
WHERE bucket = ? AND name = ?
"""
_FIND_BETWEEN = """
SELECT name, size, mtime_ns, ctime_ns, inode, checksum, version, custom, parts FROM objects
WHERE bucket = ? AND name BETWEEN ? AND ?
"""
_SAVE = """
INSERT OR REPLACE INTO objects
(bucket, name, size, mtime_ns, ctime_ns, inode, checksum, version, custom, parts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class FileState:
    """What must not have changed for a record to count."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """Return the state that a stat call shows."""
        inode = status.st_ino & _INT64
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode)

    def has_bytes_of(self, before: FileState) -> bool:
        """Tell whether an open file was not written to since; another name or mode do not count."""
        return (self.size_bytes, self.mtime_ns) == (before.size_bytes, before.mtime_ns)


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

    def __init__(self, database: sqlite3.Connection, place: str = "in memory") -> None:
        self._database = database
        self._place = place
        self._lock = threading.RLock()
        self._cache: dict[tuple[str, str], Record] = {}
        self._told: set[str] = set()
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
        place = file or "in memory"
        with contextlib.ExitStack() as on_failure:
            try:
                database = on_failure.enter_context(contextlib.closing(_connect(file)))
                if seed:
                    copy_records(seed, database)
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=OFF")
                database.execute(_SCHEMA)
                database.execute(_BUCKETS)
                there = {row[1] for row in database.execute("PRAGMA table_info(objects)")}
                for name in _ADDED_COLUMNS.keys() - there:
                    kind = _ADDED_COLUMNS[name]
                    database.execute(f"ALTER TABLE objects ADD COLUMN {name} {kind}")
                metadata = cls(database, place)
            except (sqlite3.Error, msgspec.MsgspecError) as error:
                raise ConfigError(f"metadata {place}: {error}; {_advice(error)}") from error
            on_failure.pop_all()
        return metadata

    def close(self) -> None:
        """Write everything out and close the file."""
        with self._lock:
            self._database.close()

    def get(self, bucket: BucketName, name: str, state: FileState) -> Record | None:
        """Return the record of an object, if the file is still in the state it was recorded for."""
        record = self._find(bucket.folder, name)
        return record if record is not None and record.state == state else None

    def learn(self, bucket: BucketName, name: str, state: FileState, checksum: str) -> Record:
        """Record the checksum of a file in another state than the one on record.

        Where it is the checksum on record, the object is what it was. Else another program wrote
        it, and this is the version after the one on record.
        """
        record = self._find(bucket.folder, name)
        if record is not None and record.checksum == checksum:
            return self._save(bucket.folder, name, replace(record, state=state))
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
        """Replace an object's custom metadata.

        Raises:
            Refusal: It cannot be saved.
        """
        changed = replace(record, custom=dict(custom))
        with self._lock:
            self._must(_SAVE, _row(bucket.folder, name, changed))
            return self._remember(bucket.folder, name, changed)

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
        """Replace the properties of a bucket.

        Raises:
            Refusal: They cannot be saved.
        """
        row = (bucket.folder, msgspec.json.encode(props))
        with self._lock:
            self._must("INSERT OR REPLACE INTO buckets VALUES (?, ?)", row)
            self._props[bucket.folder] = props

    def page(self, bucket: BucketName, first: str, last: str) -> dict[str, Record]:
        """Return all records of names from `first` to `last`, both included."""
        rows = self._rows(_FIND_BETWEEN, (bucket.folder, first, last))
        return {row[0]: _record(row[1:]) for row in rows}

    def forget(self, bucket: BucketName, name: str) -> None:
        """Drop the record of a deleted object: a later one of that name starts at version 1."""
        with self._lock:
            self._cache.pop((bucket.folder, name), None)
            self._try("DELETE FROM objects WHERE bucket = ? AND name = ?", (bucket.folder, name))

    def forget_bucket(self, bucket: BucketName) -> None:
        """Drop all records of a destroyed bucket."""
        with self._lock:
            self._cache.clear()
            self._props.pop(bucket.folder, None)
            self._try("DELETE FROM buckets WHERE bucket = ?", (bucket.folder,))
            self._try("DELETE FROM objects WHERE bucket = ?", (bucket.folder,))

    def move(self, bucket: BucketName, name: str, new_name: str) -> None:
        """Give the record of a renamed object its new name; as on a cluster, it is then whole.

        Raises:
            Refusal: It cannot be saved.
        """
        with self._lock:
            self._must(
                "UPDATE OR REPLACE objects SET name = ?, parts = '' WHERE bucket = ? AND name = ?",
                (new_name, bucket.folder, name),
            )
            self._cache.pop((bucket.folder, name), None)
            self._cache.pop((bucket.folder, new_name), None)

    def moved(self, bucket: BucketName, name: str, before: FileState, state: FileState) -> None:
        """Record the state of a file that the gateway itself has renamed, which changes it."""
        record = self.get(bucket, name, before)
        if record is not None:
            self._save(bucket.folder, name, replace(record, state=state))

    def move_bucket(self, bucket: BucketName, new: BucketName) -> None:
        """Give the records of a renamed bucket their new place.

        Raises:
            Refusal: They cannot be saved.
        """
        pair = (new.folder, bucket.folder)
        with self._lock:
            self._cache.clear()
            self._must("UPDATE OR REPLACE objects SET bucket = ? WHERE bucket = ?", pair)
            self._must("UPDATE OR REPLACE buckets SET bucket = ? WHERE bucket = ?", pair)
            self._props.pop(new.folder, None)
            if (props := self._props.pop(bucket.folder, None)) is not None:
                self._props[new.folder] = props

    def _find(self, bucket: str, name: str) -> Record | None:
        record = self._cache.get((bucket, name))
        if record is not None:
            return record
        with self._lock:
            rows = self._rows(_FIND, (bucket, name))
            return self._remember(bucket, name, _record(rows[0])) if rows else None

    def _save(self, bucket: str, name: str, record: Record) -> Record:
        with self._lock:
            self._try(_SAVE, _row(bucket, name, record))
            return self._remember(bucket, name, record)

    def _remember(self, bucket: str, name: str, record: Record) -> Record:
        if len(self._cache) >= _MOST_CACHED:
            self._cache.clear()
        self._cache[bucket, name] = record
        return record

    def _rows(self, statement: str, values: tuple[str, ...]) -> list[Any]:
        """Return what is on record; nothing where the file is damaged, as it can be computed."""
        try:
            with self._lock:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            self._tell("cannot be read, checksums are computed again", error)
            return []

    def _try(self, statement: str, values: tuple[Any, ...]) -> None:
        try:
            self._database.execute(statement, values)
        except sqlite3.Error as error:
            self._tell("cannot be saved, checksums are computed again after a restart", error)

    def _must(self, statement: str, values: tuple[Any, ...]) -> None:
        try:
            self._database.execute(statement, values)
        except sqlite3.Error as error:
            status = 507 if "full" in str(error) else 500
            raise Refusal(status, f"metadata cannot be saved: {error}") from error

    def _tell(self, what: str, error: sqlite3.Error) -> None:
        told = f"metadata {self._place} {what}: {error}"
        if told not in self._told:
            self._told.add(told)
            _log.warning("%s (told once)", told)


def _connect(file: str | None) -> sqlite3.Connection:
    # Connecting does not touch the file yet; the first statement does.
    return sqlite3.connect(file or ":memory:", check_same_thread=False, isolation_level=None)


def _advice(error: Exception) -> str:
    if "full" in str(error):
        return "free some space on its disk"
    return (
        "remove it to start anew: checksums are computed again as objects are read; versions, "
        "custom metadata and bucket properties begin anew"
    )


def _row(bucket: str, name: str, record: Record) -> tuple[Any, ...]:
    state = record.state
    parts = "{} {}".format(*record.parted) if record.parted else ""
    custom = msgspec.json.encode(record.custom).decode()
    return (
        bucket,
        name,
        state.size_bytes,
        state.mtime_ns,
        state.ctime_ns,
        state.inode,
        record.checksum,
        record.version,
        custom,
        parts,
    )


def _record(row: tuple[int, int, int, int, str, int, str, str]) -> Record:
    custom = msgspec.json.decode(row[6], type=dict[str, str]) if row[6] != "{}" else {}
    parted = Parted(*map(int, row[7].split())) if row[7] else None
    return Record(FileState(*row[:4]), row[4], row[5], custom, parted)
