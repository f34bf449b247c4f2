"""LocalFolder: where copies become files of this machine, each as a whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from aisio.atomic_write import atomic_write, is_special, remove_abandoned_partials, write_bytes
from aisio.errors import AisioError, ConfigError, ConflictError

__all__ = ["AbandonedError", "LocalFolder", "behind_link_error"]


class AbandonedError(AisioError):
    """Nobody wants the file any more."""


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
        self._parents: dict[str, str] = {}
        self._open: set[str] = set()
        self._is_abandoned = False
        self._lock = threading.Lock()

    @contextmanager
    def open(self, path: str, url: str) -> Iterator[BinaryIO]:
        """Open a file of the folder for writing; it replaces the old one when the block ends.

        Args:
            path: The file.
            url: The object that it becomes a copy of, for errors.

        Raises:
            ConfigError: A link leads out of the folder.
            ConflictError: Another kind of file is in the way.
            AbandonedError: See `abandon`.
            OSError: It cannot be written.
        """
        with atomic_write(self._target(path, url)) as file, self._open_file(file.name):
            yield file

    @contextmanager
    def _open_file(self, partial: str) -> Iterator[None]:
        with self._lock:
            if self._is_abandoned:
                raise AbandonedError(f"{partial}: nothing more is written")
            self._open.add(partial)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(partial)

    def abandon(self) -> None:
        """Remove the temporary files that other threads still write; they get an error.

        A thread may wait for its store for longer than the process lives, as after Ctrl-C.
        """
        with self._lock:
            self._is_abandoned = True
            for partial in self._open:
                Path(partial).unlink(missing_ok=True)

    def write(self, path: str, url: str, data: bytes) -> None:
        """Write a small file of the folder; otherwise as `open`."""
        write_bytes(self._target(path, url), data)

    def _target(self, path: str, url: str) -> str:
        """Check a path and make its folder; return the path that is written, links followed."""
        # A Path would cost a tenth of what it takes to write a small file.
        parent, _, name = path.rpartition("/")
        real_parent = self._parents.get(parent) or self._prepare(Path(parent or "/"), url)
        target = f"{real_parent}/{name}"
        try:
            mode = os.lstat(target).st_mode
        except FileNotFoundError:
            return target
        if stat.S_ISREG(mode):
            return target
        if not _resolved(path).is_relative_to(self._root):
            raise self._leads_out(path, url)
        is_folder = Path(path).is_dir()
        if is_folder or is_special(path):
            kind = "folder" if is_folder else "pipe, device or socket"
            raise ConflictError(f"get {url}: {path} is a {kind}; get it alone, under another name")
        return os.path.realpath(path)

    def _prepare(self, parent: Path, url: str) -> str:
        """Make a folder, and remove what killed processes left there; return its real path."""
        # One thread at a time: a file that another has just created is not locked yet.
        with self._lock:
            if (known := self._parents.get(os.fspath(parent))) is not None:
                return known
            self._check_parent(parent, url)
            parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned_partials(parent)
            real = self._parents[os.fspath(parent)] = os.path.realpath(parent)
            return real

    def _check_parent(self, parent: Path, url: str) -> None:
        if not _resolved(parent).is_relative_to(self._root):
            raise self._leads_out(parent, url)
        places = (parent, *parent.parents)
        nearest = next((place for place in places if os.path.lexists(place)), None)
        if nearest is not None and not nearest.is_dir():
            raise ConflictError(f"get {url}: a file is where {parent} should be a folder")

    def _leads_out(self, place: Path | str, url: str) -> ConfigError:
        return ConfigError(f"get {url}: {place} is a link that leads out of {self.path}")

    def is_behind_link(self, name: str) -> bool:
        """Tell whether a link to a folder leads from this folder to a file of it.

        Args:
            name: The file's name, relative to this folder.
        """
        folder = name.rpartition("/")[0]
        return bool(folder) and _resolved(self.path / folder) != self._root / folder

    def remove_empty_parents(self, path: Path) -> None:
        """Remove the folders above a file that was deleted, up to this one, if they are empty."""
        with suppress(OSError):
            for parent in path.parents:
                if parent == self.path or not parent.is_relative_to(self.path):
                    return
                parent.rmdir()


def behind_link_error(action: str, path: Path) -> ConfigError:
    """Return the error for a file that `LocalFolder.is_behind_link`."""
    return ConfigError(
        f"{action} {path} is behind a link to a folder, through which nothing is deleted: remove "
        f"the link first, or leave it out with --exclude"
    )


def _resolved(path: Path | str) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve() raises RuntimeError for a cycle of links
