"""What the gateway knows of objects beyond the file itself: checksum, version, custom metadata.

A record belongs to one state of one file: its size, mtime, ctime and inode. Where the file is in
another state, because another program wrote it or the gateway was killed between renaming and
recording, the checksum is computed again. If it is the one on record, the object is unchanged; if
not, its version goes up.

SQLite keeps the records, and a dictionary caches those in use. A checksum that cannot be saved, as
on a full disk, fails no request: it stays in memory, and the next gateway computes it again. What
cannot be computed again, custom metadata and the properties of buckets, is refused where it cannot
be saved.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from aisio.errors import ConfigError
from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.record_database import RecordDatabase
from aisio.gateway.storage.records import FileState, MultipartInfo, Record

_MAX_CACHED = 200_000
_DEFAULT_PROPS = BucketProps()
_log = logging.getLogger(__name__)


class Metadata:
    """The records and properties of all buckets; any thread may read and write them.

    Args:
        database: Where they are kept; closed with this.

    Raises:
        sqlite3.Error: The database is damaged.
        MsgspecError: The properties of a bucket are not what a gateway wrote.
    """

    def __init__(self, database: RecordDatabase) -> None:
        self._database = database
        self._lock = threading.RLock()
        self._cache: dict[tuple[str, str], Record] = {}
        self._warned: set[str] = set()
        self._props = database.all_props()

    @classmethod
    def open(cls, file: str | None, *, seed: str | None = None) -> Metadata:
        """Open the records.

        Args:
            file: The SQLite file, made where it is missing; None keeps the records in memory.
            seed: An SQLite file to start from, which is only read.

        Raises:
            ConfigError: The file is damaged, or not a database.
        """
        with contextlib.ExitStack() as on_failure:
            try:
                database = RecordDatabase.open(file, seed=seed)
                on_failure.callback(database.close)
                metadata = cls(database)
            except (sqlite3.Error, msgspec.MsgspecError) as error:
                place = file or "in memory"
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

    def records_of(self, bucket: BucketName, names: Sequence[str]) -> dict[str, Record]:
        """Return the records that there are of these names, of any state."""
        try:
            with self._lock:
                return self._database.find_each(bucket.folder, names)
        except sqlite3.Error as error:
            self._warn_unreadable(error)
            return {}

    def expected_version(self, bucket: BucketName, name: str, state: FileState) -> int:
        """Return the version that the object has, or will have once its checksum is known."""
        record = self._find(bucket.folder, name)
        step = int(self.props(bucket).counts_versions)
        if record is None:
            return step
        return record.version if record.state == state else record.version + step

    def record_checksum(
        self, bucket: BucketName, name: str, state: FileState, checksum: str
    ) -> Record:
        """Record the checksum of a file in another state than the one on record.

        With the checksum on record, the object is unchanged. With another one, some other program
        wrote it, and this is the version after the one on record.
        """
        record = self._find(bucket.folder, name)
        if record is not None and record.checksum == checksum:
            return self._save(bucket.folder, name, replace(record, state=state))
        version = self.expected_version(bucket, name, state)
        return self._save(bucket.folder, name, Record(state, checksum, version))

    def record_write(
        self,
        bucket: BucketName,
        name: str,
        state: FileState,
        checksum: str,
        multipart: MultipartInfo | None = None,
    ) -> Record:
        """Record an object that the gateway itself has just written."""
        before = self._find(bucket.folder, name)
        version = (before.version if before else 0) + self.props(bucket).counts_versions
        record = Record(state, checksum, version, multipart=multipart)
        return self._save(bucket.folder, name, record)

    def set_custom(
        self, bucket: BucketName, name: str, record: Record, custom: Mapping[str, str]
    ) -> Record:
        """Replace an object's custom metadata.

        Raises:
            Refusal: It cannot be saved.
        """
        changed = replace(record, custom=dict(custom))
        with self._lock:
            with _write_failure_refused():
                self._database.save(bucket.folder, name, changed)
            return self._cache_record(bucket.folder, name, changed)

    def delete(self, bucket: BucketName, name: str) -> None:
        """Drop the record of a deleted object: a later one of that name starts at version 1."""
        with self._lock:
            self._cache.pop((bucket.folder, name), None)
            with self._write_failure_logged():
                self._database.delete(bucket.folder, name)

    def rename(self, bucket: BucketName, name: str, new_name: str) -> None:
        """Give the record of a renamed object its new name.

        Raises:
            Refusal: It cannot be saved.
        """
        with self._lock:
            with _write_failure_refused():
                self._database.rename(bucket.folder, name, new_name)
            self._cache.pop((bucket.folder, name), None)
            self._cache.pop((bucket.folder, new_name), None)

    def update_state(
        self, bucket: BucketName, name: str, before: FileState, after: FileState
    ) -> None:
        """Record that the gateway itself changed a file's state, as by renaming it."""
        record = self.get(bucket, name, before)
        if record is not None:
            self._save(bucket.folder, name, replace(record, state=after))

    def props(self, bucket: BucketName) -> BucketProps:
        """Return the properties of a bucket."""
        return self._props.get(bucket.folder, _DEFAULT_PROPS)

    def set_props(self, bucket: BucketName, props: BucketProps) -> None:
        """Replace the properties of a bucket.

        Raises:
            Refusal: They cannot be saved.
        """
        with self._lock:
            with _write_failure_refused():
                self._database.save_props(bucket.folder, props)
            self._props[bucket.folder] = props

    def delete_bucket(self, bucket: BucketName) -> None:
        """Drop all records of a destroyed bucket."""
        with self._lock:
            self._cache.clear()
            self._props.pop(bucket.folder, None)
            with self._write_failure_logged():
                self._database.delete_props(bucket.folder)
            with self._write_failure_logged():
                self._database.delete_objects(bucket.folder)

    def rename_bucket(self, bucket: BucketName, new: BucketName) -> None:
        """Move the records of a renamed bucket to its new name.

        Raises:
            Refusal: They cannot be saved.
        """
        with self._lock:
            self._cache.clear()
            with _write_failure_refused():
                self._database.rename_bucket(bucket.folder, new.folder)
            self._props.pop(new.folder, None)
            if (props := self._props.pop(bucket.folder, None)) is not None:
                self._props[new.folder] = props

    def _find(self, bucket: str, name: str) -> Record | None:
        record = self._cache.get((bucket, name))
        if record is not None:
            return record
        with self._lock:
            try:
                record = self._database.find(bucket, name)
            except sqlite3.Error as error:
                self._warn_unreadable(error)
                return None
            return self._cache_record(bucket, name, record) if record is not None else None

    def _save(self, bucket: str, name: str, record: Record) -> Record:
        with self._lock:
            with self._write_failure_logged():
                self._database.save(bucket, name, record)
            return self._cache_record(bucket, name, record)

    def _cache_record(self, bucket: str, name: str, record: Record) -> Record:
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        self._cache[bucket, name] = record
        return record

    @contextlib.contextmanager
    def _write_failure_logged(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._warn_once("cannot be saved, checksums are computed again after a restart", error)

    def _warn_unreadable(self, error: sqlite3.Error) -> None:
        self._warn_once("cannot be read, checksums are computed again", error)

    def _warn_once(self, what: str, error: sqlite3.Error) -> None:
        text = f"metadata {self._database.place} {what}: {error}"
        if text not in self._warned:
            self._warned.add(text)
            _log.warning("%s (logged once)", text)


@contextlib.contextmanager
def _write_failure_refused() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        status = 507 if "full" in str(error) else 500
        raise Refusal(status, f"metadata cannot be saved: {error}") from error


def _advice(error: Exception) -> str:
    if "full" in str(error):
        return "free some space on its disk"
    return (
        "remove it to start anew: checksums are computed again as objects are read; versions, "
        "custom metadata and bucket properties begin anew"
    )
