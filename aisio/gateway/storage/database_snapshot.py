"""Copies the records of a gateway whose folder must not change.

SQLite makes files beside a database that it reads, unless it is told that nobody writes to the
database. But then it ignores what a killed or running gateway has written to the log beside it. So
the database and its log are copied elsewhere, and are read there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from pathlib import Path

from aisio.temporary_folders import make_owned_folder, remove_owned_folder

_MAX_TRIES = 5
_log = logging.getLogger(__name__)


def copy_records(file: str, database: sqlite3.Connection) -> None:
    """Copy the records of a database that must not change; log it where they cannot be read.

    Args:
        file: The SQLite file. A gateway may be writing to it.
        database: Where the records go.
    """
    try:
        folder, descriptor = make_owned_folder("metadata")
        try:
            copy = _consistent_copy(Path(file), Path(folder))
            with contextlib.closing(sqlite3.connect(copy)) as source:
                source.backup(database)
        finally:
            remove_owned_folder(folder, descriptor)
    except (sqlite3.Error, OSError) as error:
        _log.warning("metadata %s is left out: %s", file, error)


def _consistent_copy(file: Path, folder: Path) -> Path:
    """Copy a database and its log, both as they were at one moment.

    Raises:
        OSError: They cannot be read or copied, or change again and again.
    """
    log, copy = Path(f"{file}-wal"), folder / "copy.db"
    for _ in range(_MAX_TRIES):
        before = _file_states(file, log)
        shutil.copyfile(file, copy)
        copied_log = Path(f"{copy}-wal")
        copied_log.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(log, copied_log)
        if _file_states(file, log) == before:
            return copy
    raise OSError("a gateway that is running changes it all the time")


def _file_states(*files: Path) -> list[tuple[int, int, int] | None]:
    states = list[tuple[int, int, int] | None]()
    for file in files:
        try:
            status = os.stat(file)  # noqa: PTH116 - as in the other modules of the gateway
        except FileNotFoundError:
            states.append(None)
        else:
            states.append((status.st_size, status.st_mtime_ns, status.st_ino))
    return states
