"""LocalChecksums: the checksums of files of this machine, computed once for each state of a file.

A file whose size, times, device and inode are the same has the same bytes: no program can set the
time of the last change to the inode. A file that was changed less than `_SETTLED_NS` before it was
read is not remembered: a change after that might have the same time.

Source:
    Git, Documentation/technical/racy-git.txt.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from io import FileIO
from pathlib import Path

from aisio.config import default_cache_folder
from aisio.database import Database, migrate
from aisio.errors import AisioError, IntegrityError
from aisio.formats.checksums import HASHERS
from aisio.records import Checksum, ObjectInfo
from aisio.stores.local import info_of_file, last_change_ns

__all__ = ["LocalChecksums"]

_log = logging.getLogger(__name__)

_DATABASE = Path("transfer", "checksums.db")
_SETTLED_NS = 2_000_000_000  # FAT's times have a resolution of 2 s, all others' is finer
_MIGRATIONS = (
    "CREATE TABLE checksums (path TEXT, kind TEXT, state TEXT NOT NULL, value TEXT NOT NULL, "
    "PRIMARY KEY (path, kind)) WITHOUT ROWID",
)
_READ_BYTES = 1024 * 1024
_SAVE_AFTER = 1000


class LocalChecksums:
    """Computes checksums of files, and remembers them in the cache folder; threads may share one.

    A folder that cannot be written is logged once; then nothing is remembered.

    Args:
        folder: The cache folder; by default that of `aisio.config.default_cache_folder`.
        now_ns: Returns the time in nanoseconds since 1970.
    """

    def __init__(
        self, folder: Path | None = None, *, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._folder = folder
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self._fresh: list[tuple[str, str, str, str]] = []
        self._is_broken = False

    def load(self, prefix: str) -> None:
        """Read what is remembered of files whose paths, without the first "/", begin so."""
        if not prefix.isprintable():  # see `_remember`
            return
        query = "SELECT path, kind, state, value FROM checksums WHERE path >= ? AND path < ?"

        def read(database: Database) -> None:
            with database.transaction() as db:
                for path, kind, state, value in db.execute(query, (prefix, f"{prefix}\U0010ffff")):
                    self._known[path, kind] = (state, value)

        self._use(read)

    def known(self, info: ObjectInfo, kind: str) -> Checksum | None:
        """Return the checksum of a file in the state that was listed, if it is remembered."""
        state, value = self._known.get((info.name, kind), ("", ""))
        return Checksum(kind, value) if state and state == info.etag else None

    def compute(self, info: ObjectInfo, kind: str) -> Checksum:
        """Return the checksum of a file in the state that was listed, read whole if need be.

        Raises:
            IntegrityError: The file has changed since it was listed.
            OSError: It cannot be read.
        """
        if (known := self.known(info, kind)) is not None:
            return known
        started_ns, hasher = self._now_ns(), HASHERS[kind]()
        with FileIO(f"/{info.name}") as file:
            is_same = _is_unchanged(info, file)
            while data := file.read(_READ_BYTES):
                hasher.update(data)
            is_same = is_same and _is_unchanged(info, file)
        if not is_same:
            raise IntegrityError(
                f"{info.url} changed while it was compared: let the program that writes it finish, "
                f"then run this again",
                url=info.url,
            )
        checksum = Checksum(kind, hasher.hexdigest())
        if last_change_ns(info) < started_ns - _SETTLED_NS:
            self._remember(info, checksum)
        return checksum

    def save(self) -> None:
        """Write down what was computed since the last time."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
        if not fresh:
            return

        def write(database: Database) -> None:
            with database.transaction() as db:
                db.executemany("INSERT OR REPLACE INTO checksums VALUES (?, ?, ?, ?)", fresh)

        self._use(write)

    def _remember(self, info: ObjectInfo, checksum: Checksum) -> None:
        with self._lock:
            self._known[info.name, checksum.kind] = (info.etag, checksum.value)
            if info.name.isprintable():  # others need not be UTF-8, as SQLite's texts are
                self._fresh.append((info.name, checksum.kind, info.etag, checksum.value))
            is_due = len(self._fresh) >= _SAVE_AFTER
        if is_due:
            self.save()

    def _use(self, work: Callable[[Database], None]) -> None:
        if self._is_broken:
            return
        try:
            path = (self._folder or default_cache_folder()) / _DATABASE
            work(Database(path, partial(migrate, path=path, migrations=_MIGRATIONS)))
        except (AisioError, OSError) as error:
            self._is_broken = True
            _log.warning("checksums of local files are not remembered: %s", error)


def _is_unchanged(info: ObjectInfo, file: FileIO) -> bool:
    return info_of_file(info.root, info.name, os.fstat(file.fileno())).etag == info.etag
