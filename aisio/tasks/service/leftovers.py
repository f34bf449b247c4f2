"""What is left in the home folder of what was deleted, or of processes that were killed.

    uploads/<id>     chunks of an upload that nobody has gone on with
    mounts/<id>      files of a resource that was deleted, and the list of them
    archives/        archives that were made for a client, or to be sent
    tasks/<id>       logs and code of a task that was deleted

Nothing is taken that cannot be made again, unless its record says that it was deleted.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time

from aisio.tasks.service.job import ids
from aisio.tasks.service.registry import Registry
from aisio.tasks.service.rows import RequestRow, ResourceRow, TrainTaskRow
from aisio.tasks.states import TaskState

__all__ = ["Leftovers", "remove_leftovers"]


@dataclass(frozen=True)
class Leftovers:
    """What was removed, or would be.

    Attributes:
        paths: Files and folders.
        size_bytes: Their bytes.
    """

    paths: tuple[Path, ...]
    size_bytes: int


def remove_leftovers(
    registry: Registry,
    home: Path,
    *,
    grace_s: float,
    dry_run: bool = False,
    now: Callable[[], float] = time,
) -> Leftovers:
    """Remove what nothing needs any more and has not changed for the time of grace.

    Args:
        registry: The rows.
        home: The home folder.
        grace_s: The time of grace in seconds.
        dry_run: Change nothing.
        now: Returns the time, in seconds since 1970.

    Raises:
        OSError: A folder cannot be read.
    """
    last = now() - grace_s
    paths = tuple(path for path in _unused(registry, home) if _changed(path) < last)
    size = sum(_size(path) for path in paths)
    if not dry_run:
        for path in paths:
            _remove(path)
        for request in registry.find(RequestRow):
            if request.time < last:
                registry.delete(request)
    return Leftovers(paths, size)


def _unused(registry: Registry, home: Path) -> Iterator[Path]:
    tasks = registry.find(TrainTaskRow)
    resources = {row.id for row in registry.find(ResourceRow)}
    read = {one for row in tasks if not TaskState(row.state).finished for one in ids(row.files)}
    yield from _unused_uploads(home / "uploads", resources)
    for path in _entries(home / "mounts"):
        is_mount = path.is_dir() or path.suffix == ".files"
        if is_mount and path.name.strip(".").partition(".")[0] not in resources | read:
            yield path
    archives = home / "archives"
    yield from (path for path in _entries(archives) if path.name != "downloads")
    yield from (path for path in _entries(archives / "downloads") if path.suffix != ".lock")
    known = {row.id: row for row in tasks}
    for path in _entries(home / "tasks"):
        row = known.get(path.name)
        # Without a row, the process was killed between the variables of a task and its row.
        if row.state == TaskState.DELETED if row else _names(path) == ["variables.json"]:
            yield path


def _unused_uploads(folder: Path, resources: Collection[str]) -> Iterator[Path]:
    finishing = {path.stem for path in folder.glob("*.finish")}
    for path in _entries(folder):
        if path.suffix == ".finish":
            if path.stem not in resources:
                yield path
        elif path.name not in finishing:
            yield path


def _names(folder: Path) -> list[str]:
    return [path.name for path in _entries(folder)]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _changed(path: Path) -> float:
    """Return when a file, or an entry of a folder, was last written; infinity if it is gone."""
    try:
        changed = path.lstat().st_mtime
        if path.is_dir():
            changed = max([changed, *(one.lstat().st_mtime for one in path.iterdir())])
    except FileNotFoundError:  # another process removes or writes it
        return math.inf
    return changed


def _size(path: Path) -> int:
    size = 0
    with suppress(FileNotFoundError):  # another process removes it
        for one in (path, *path.rglob("*")):
            if not one.is_dir():
                size += one.lstat().st_size
    return size


def _remove(path: Path) -> None:
    """Remove a file or folder; another process may do that, too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
