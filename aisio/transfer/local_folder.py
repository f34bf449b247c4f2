"""LocalFolder: where copies become files of this machine, each as a whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from aisio.atomic_write import atomic_write, is_special, remove_abandoned_partials
from aisio.errors import ConfigError, ConflictError

__all__ = ["LocalFolder"]


class LocalFolder:
    """A folder that gets files; threads may share one.

    Args:
        path: The folder; it is made when the first file is written.

    Raises:
        NotADirectoryError: Something else has this path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = _resolved(path)
        if self._root.exists() and not self._root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        self._cleaned: set[Path] = set()

    @contextmanager
    def open(self, path: Path, url: str) -> Iterator[BinaryIO]:
        """Open a file of the folder for writing; it replaces the old one when the block ends.

        Args:
            path: The file.
            url: The object that it becomes a copy of, for errors.

        Raises:
            ConfigError: A link leads out of the folder.
            ConflictError: Another kind of file is in the way.
            OSError: It cannot be written.
        """
        self._check(path, url)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.clean(path.parent)
        with atomic_write(path) as file:
            yield file

    def clean(self, folder: Path) -> None:
        """Remove what killed processes have left in a folder; once."""
        if folder not in self._cleaned:
            self._cleaned.add(folder)
            remove_abandoned_partials(folder)

    def _check(self, path: Path, url: str) -> None:
        for place in (path.parent, path):
            if not _resolved(place).is_relative_to(self._root):
                raise ConfigError(f"get {url}: {place} is a link that leads out of {self.path}")
        nearest = next((place for place in path.parents if os.path.lexists(place)), None)
        if nearest is not None and not nearest.is_dir():
            raise ConflictError(f"get {url}: a file is where {path.parent} should be a folder")
        if path.is_dir() or is_special(path):
            kind = "folder" if path.is_dir() else "pipe, device or socket"
            raise ConflictError(f"get {url}: {path} is a {kind}; get it alone, under another name")

    def remove_empty_parents(self, path: Path) -> None:
        """Remove the folders above a file that was deleted, up to this one, if they are empty."""
        with suppress(OSError):
            for parent in path.parents:
                if parent == self.path or not parent.is_relative_to(self.path):
                    return
                parent.rmdir()


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve() raises RuntimeError for a cycle of links
