"""The SQLite file of records and bucket properties: its tables, statements and rows.

Nothing waits for the disk (synchronous=OFF): after a power cut records may be missing or old, which
`metadata.py` finds out by the state of the file that each belongs to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.storage.database_snapshot import copy_records
from aisio.gateway.storage.records import FileState, MultipartInfo, Record

_CREATE_OBJECTS = """
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, name TEXT, size INTEGER, mtime_ns INTEGER, inode INTEGER,
    checksum TEXT, version INTEGER, custom TEXT, parts TEXT NOT NULL DEFAULT '',
    ctime_ns INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, name)
) WITHOUT ROWID
"""
_CREATE_BUCKETS = """
CREATE TABLE IF NOT EXISTS buckets (bucket TEXT PRIMARY KEY, props BLOB) WITHOUT ROWID
"""
_COLUMNS_ADDED_LATER = {
    "parts": "TEXT NOT NULL DEFAULT ''",
    "ctime_ns": "INTEGER NOT NULL DEFAULT 0",
}
_FIND = """
SELECT size, mtime_ns, ctime_ns, inode, checksum, version, custom, parts FROM objects
WHERE bucket = ? AND name = ?
"""
_FIND_EACH = """
SELECT name, size, mtime_ns, ctime_ns, inode, checksum, version, custom, parts FROM objects
WHERE bucket = ? AND name IN ({})
"""
_NAMES_PER_QUERY = 500
"""SQLite before release 3.32 accepts 999 parameters."""

_SAVE = """
INSERT OR REPLACE INTO objects
(bucket, name, size, mtime_ns, ctime_ns, inode, checksum, version, custom, parts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# As on a cluster, a renamed object is whole: it no longer has parts.
_RENAME = "UPDATE OR REPLACE objects SET name = ?, parts = '' WHERE bucket = ? AND name = ?"


class RecordDatabase:
    """Reads and writes records, one call at a time: the caller holds a lock.

    Every method raises sqlite3.Error where the file is damaged or cannot be written.

    Args:
        connection: The open database, with its tables.
        place: What to call it in messages.
    """

    def __init__(self, connection: sqlite3.Connection, place: str = "in memory") -> None:
        self._connection = connection
        self.place = place

    @classmethod
    def open(cls, file: str | None, *, seed: str | None = None) -> RecordDatabase:
        """Open a database, and bring its tables up to date.

        Args:
            file: The SQLite file, made where it is missing; None keeps the records in memory.
            seed: An SQLite file to start from, which is only read.
        """
        connection = sqlite3.connect(
            file or ":memory:", check_same_thread=False, isolation_level=None
        )
        try:
            if seed:
                copy_records(seed, connection)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(_CREATE_OBJECTS)
            connection.execute(_CREATE_BUCKETS)
            columns = {row[1] for row in connection.execute("PRAGMA table_info(objects)")}
            for name in _COLUMNS_ADDED_LATER.keys() - columns:
                kind = _COLUMNS_ADDED_LATER[name]
                connection.execute(f"ALTER TABLE objects ADD COLUMN {name} {kind}")
        except BaseException:
            connection.close()
            raise
        return cls(connection, file or "in memory")

    def close(self) -> None:
        """Write everything out and close the file."""
        self._connection.close()

    def find(self, bucket: str, name: str) -> Record | None:
        """Return the record of an object."""
        rows = self._connection.execute(_FIND, (bucket, name)).fetchall()
        return _record(rows[0]) if rows else None

    def find_each(self, bucket: str, names: Sequence[str]) -> dict[str, Record]:
        """Return the records that there are of these names."""
        found = dict[str, Record]()
        for start in range(0, len(names), _NAMES_PER_QUERY):
            some = names[start : start + _NAMES_PER_QUERY]
            query = _FIND_EACH.format(",".join("?" * len(some)))
            rows = self._connection.execute(query, (bucket, *some)).fetchall()
            found.update((row[0], _record(row[1:])) for row in rows)
        return found

    def save(self, bucket: str, name: str, record: Record) -> None:
        """Add or replace the record of an object."""
        self._connection.execute(_SAVE, _row(bucket, name, record))

    def delete(self, bucket: str, name: str) -> None:
        """Remove the record of an object."""
        self._connection.execute(
            "DELETE FROM objects WHERE bucket = ? AND name = ?", (bucket, name)
        )

    def rename(self, bucket: str, name: str, new_name: str) -> None:
        """Give the record of an object another name, in place of what is recorded there."""
        self._connection.execute(_RENAME, (new_name, bucket, name))

    def all_props(self) -> dict[str, BucketProps]:
        """Return the properties of buckets by bucket.

        Raises:
            MsgspecError: A row is not what a gateway wrote.
        """
        rows = self._connection.execute("SELECT bucket, props FROM buckets").fetchall()
        return {row[0]: msgspec.json.decode(row[1], type=BucketProps) for row in rows}

    def save_props(self, bucket: str, props: BucketProps) -> None:
        """Add or replace the properties of a bucket."""
        row = (bucket, msgspec.json.encode(props))
        self._connection.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)", row)

    def delete_props(self, bucket: str) -> None:
        """Remove the properties of a bucket."""
        self._connection.execute("DELETE FROM buckets WHERE bucket = ?", (bucket,))

    def delete_objects(self, bucket: str) -> None:
        """Remove the records of all objects of a bucket."""
        self._connection.execute("DELETE FROM objects WHERE bucket = ?", (bucket,))

    def rename_bucket(self, bucket: str, new: str) -> None:
        """Move all records of a bucket to another one."""
        for table in ("objects", "buckets"):
            self._connection.execute(
                f"UPDATE OR REPLACE {table} SET bucket = ? WHERE bucket = ?",  # noqa: S608
                (new, bucket),
            )


def _row(bucket: str, name: str, record: Record) -> tuple[Any, ...]:
    state = record.state
    parts = _parts_text(record.multipart) if record.multipart else ""
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
    *state, checksum, version, custom_json, parts = row
    custom = msgspec.json.decode(custom_json, type=dict[str, str]) if custom_json != "{}" else {}
    multipart = _parse_parts(parts) if parts else None
    return Record(FileState(*state), checksum, version, custom, multipart)


def _parts_text(multipart: MultipartInfo) -> str:
    """Return the count, the largest size, and the runs of sizes, as in "3 8 8x2 5x1"."""
    runs = (f"{size}x{count}" for size, count in multipart.runs)
    return " ".join((str(multipart.part_count), str(multipart.largest_part_bytes), *runs))


def _parse_parts(text: str) -> MultipartInfo:
    count, largest, *runs = text.split()
    pairs = (run.split("x") for run in runs)
    return MultipartInfo(int(count), int(largest), tuple((int(a), int(b)) for a, b in pairs))
