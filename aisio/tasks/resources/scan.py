"""Scanning a folder: its files, with the pieces of those that have not changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aisio.errors import ConfigError
from aisio.folder_walk import walk
from aisio.tasks.resources.stat_cache import CachedFile, StatCache, stat_key
from aisio.tasks.resources.tree import TreeFile
from aisio.urls import check_prefix

__all__ = ["ScannedFile", "scan_file", "scan_folder"]


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file of this machine.

    Attributes:
        name: Its name in the resource.
        path: Its path.
        stat: Its state.
        known: Its pieces and checksum, if it has not changed since they were computed.
    """

    name: str
    path: Path
    stat: os.stat_result
    known: CachedFile | None

    @property
    def executable(self) -> bool:
        """Whether its owner may run it."""
        return bool(self.stat.st_mode & 0o100)

    def tree_file(self, cached: CachedFile) -> TreeFile:
        """Return its entry in a tree."""
        return TreeFile(self.name, cached[0], self.executable)


def scan_folder(folder: Path, cache: StatCache) -> list[ScannedFile]:
    """Return the files below a folder, links followed, in bytewise order of their names.

    Raises:
        ConfigError: It is no folder, has no files, or a name that no store takes.
        StorageError: A link in it is broken.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not an existing folder")
    files = list(_scan(folder, cache))
    if not files:
        raise ConfigError(f"{folder} has no files: there is nothing to upload")
    return files


def _scan(folder: Path, cache: StatCache) -> Iterator[ScannedFile]:
    known = cache.load(folder)
    for file in walk(str(folder)):
        check_prefix(file.name, file.path)
        key, cached = known.get(file.path, ("", None))
        unchanged = cached is not None and key == stat_key(file.stat)
        yield ScannedFile(file.name, Path(file.path), file.stat, cached if unchanged else None)


def scan_file(path: Path, cache: StatCache) -> ScannedFile:
    """Return one file.

    Raises:
        ConfigError: There is no such file.
    """
    path = path.absolute()
    if not path.is_file():
        raise ConfigError(f"{path} is not an existing file")
    stat = path.stat()
    return ScannedFile(path.name, path, stat, cache.find(path, stat))
