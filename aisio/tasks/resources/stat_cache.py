"""StatCache: which pieces the files of this machine had when they were last read.

A file whose size, times, device and inode are the same has the same bytes: no program can set the
time of the last change to the inode (ctime). A file that was changed less than `_SETTLED_NS` before
it was read is not remembered: a change after that might have the same time.

Source:
    Git, Documentation/technical/racy-git.txt.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from aisio.database import Database, migrate
from aisio.tasks.resources.tree import Piece

__all__ = ["CachedFile", "StatCache", "stat_key"]

DATABASE_NAME = "files.db"
_SETTLED_NS = 2_000_000_000  # FAT's times have a resolution of 2 s, all others' is finer
_MIGRATIONS = (
    "CREATE TABLE files (path TEXT PRIMARY KEY, stat TEXT NOT NULL, pieces TEXT NOT NULL, "
    "checksum TEXT) WITHOUT ROWID",
)

CachedFile = tuple[tuple[Piece, ...], "str | None"]
"""The pieces of a file, and its checksum where that was computed too."""


def stat_key(stat: os.stat_result) -> str:
    """Return what changes whenever a file is changed or replaced."""
    state = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_dev, stat.st_ino)
    return "-".join(f"{number:x}" for number in state)


class StatCache:
    """Remembers the pieces of files, in the home folder.

    Args:
        home: The folder.
        now_ns: Returns the time in nanoseconds since 1970.
    """

    def __init__(self, home: Path, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        path = home / DATABASE_NAME
        self._now_ns = now_ns
        self.database = Database(path, partial(migrate, path=path, migrations=_MIGRATIONS))

    def load(self, folder: Path) -> Mapping[str, tuple[str, CachedFile]]:
        """Return what is known of the files in a folder: `stat_key` and pieces by path."""
        first, last = f"{folder}/", f"{folder}0"  # "0" is the character behind "/"
        with self.database.transaction() as db:
            rows = db.execute("SELECT * FROM files WHERE path > ? AND path < ?", (first, last))
            return {row["path"]: (row["stat"], _cached(row)) for row in rows}

    def find(self, path: Path, stat: os.stat_result) -> CachedFile | None:
        """Return what is known of one file in this state."""
        with self.database.transaction() as db:
            row = db.execute("SELECT * FROM files WHERE path = ?", (str(path),)).fetchone()
        return _cached(row) if row and row["stat"] == stat_key(stat) else None

    def now_ns(self) -> int:
        """Return the time in nanoseconds since 1970."""
        return self._now_ns()

    def save(
        self, files: Iterable[tuple[str, os.stat_result, CachedFile]], *, read_since_ns: int
    ) -> None:
        """Remember the pieces of files.

        Args:
            files: Path, state before the file was read, pieces and checksum.
            read_since_ns: `now_ns` when the first of them was about to be read.
        """
        newest = read_since_ns - _SETTLED_NS
        rows = [
            (path, stat_key(stat), _encoded(pieces), checksum)
            for path, stat, (pieces, checksum) in files
            if max(stat.st_mtime_ns, stat.st_ctime_ns) < newest
        ]
        if rows:
            with self.database.transaction() as db:
                db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)


def _encoded(pieces: Iterable[Piece]) -> str:
    return " ".join(f"{piece.digest}:{piece.size}" for piece in pieces)


def _cached(row: sqlite3.Row) -> CachedFile:
    parts = (text.partition(":") for text in row["pieces"].split())
    return tuple(Piece(digest, int(size)) for digest, _, size in parts), row["checksum"]
