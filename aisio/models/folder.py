"""ModelFolder: the folder that programs load a model from.

Small files are real. A large one is a link to shared memory, or, as long as it is not there yet, a
stand-in. A file with the name of `MARKER` lists what was put there, so that nothing else is ever
removed. Several processes may use one folder, for the same model; the last one empties it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

import msgspec

from aisio.atomic_write import atomic_write
from aisio.errors import ConfigError
from aisio.escapes import first_and_count
from aisio.models.files import MARKER, ModelFile, is_file_name
from aisio.models.locked_folder import LockedFolder

__all__ = ["ModelFolder"]

_FORMAT = 1
_MAX_MARKER_BYTES = 64 << 20
_MAX_TRIES = 100
_WAIT_S = 0.02
"""Between two tries. Where the process that filled the folder was killed, those that waited for it
keep one another from having it alone, until one of them tries while no other does."""


class _Marker(msgspec.Struct, frozen=True):
    """What the folder holds.

    Attributes:
        format: Version of this format.
        url: Where the model is.
        key: Which version of it.
        files: The names of all files that are, or may be, in the folder.
        is_filled: Whether all of them are there.
        is_made: Whether the folder was made for the model.
    """

    format: int
    url: str
    key: str
    files: list[str]
    is_filled: bool
    is_made: bool


class ModelFolder:
    """A folder with the files of a model, in use until `leave`.

    Args:
        path: The folder; it and its parents are made where they are missing.
        url: Where the model is.
        key: Which version of it.
        files: All of its files.
        fill: Puts small files and stand-ins into the folder; called unless another process uses the
            folder for the same model.

    Attributes:
        path: The folder, links followed.

    Raises:
        ConfigError: The folder holds files that were not put there for a model; or other processes
            use it for another one, or nobody knows what for.
        OSError: It cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        url: str,
        key: str,
        files: Sequence[ModelFile],
        fill: Callable[[ModelFolder], None],
    ) -> None:
        self.path = path.resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._marker = _Marker(_FORMAT, url, key, [one.name for one in files], False, False)
        for _ in range(_MAX_TRIES):
            if self._open(fill):
                return
            time.sleep(_WAIT_S)
        raise ConfigError(
            f"{self.path}: other processes use it, and its {MARKER}, which says what for, is not "
            f"there, or is damaged; take another folder"
        )

    def lend(self) -> int:
        """Return a descriptor that keeps the folder for a program that inherits it."""
        return self._folder.lend()

    def path_of(self, name: str) -> Path:
        """Return the path of a file."""
        return self.path / name

    def write(self, name: str, data: bytes) -> Path:
        """Write a file, and return its path."""
        path = self.path_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(data)
        return path

    def link(self, name: str, target: Path) -> None:
        """Make a file a link; what had its name is replaced at once."""
        path = self.path_of(name)
        with suppress(OSError):
            if path.readlink() == target:
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{secrets.token_hex(8)}.aisio-partial")
        new.symlink_to(target)
        new.replace(path)

    def leave(self) -> None:
        """Use the folder no longer; empty it if nobody does, and remove it if it was made."""
        try:
            if self._folder.try_alone():
                self._remove_files(self._read_marker())
        finally:
            self._folder.close()

    def _open(self, fill: Callable[[ModelFolder], None]) -> bool:
        """Open the folder; return False if another process has changed it meanwhile."""
        self._folder = LockedFolder(self.path)
        try:
            if self._folder.is_alone:
                self._fill(fill)
                self._folder.share()
            return self._has_model()
        except BaseException:
            self._folder.close()
            raise

    def _has_model(self) -> bool:
        """Tell whether the folder holds the model; it is closed if not."""
        found = self._read_marker()
        if found is None or not found.is_filled:  # the process that filled it was killed
            self._folder.close()
            return False
        if found.key != self._marker.key:
            raise ConfigError(
                f"{self.path}: other processes use it for {found.url}, or for another version or "
                f"other files of {self._marker.url}; take another folder"
            )
        return True

    def _fill(self, fill: Callable[[ModelFolder], None]) -> None:
        found = self._read_marker()
        is_made = self._folder.is_new or (found is not None and found.is_made)
        self._remove_files(found, keep_folder=True)
        others = sorted(entry.name for entry in self.path.iterdir())
        if others:
            raise ConfigError(
                f"{self.path} holds files that are not of a model: {first_and_count(others)}; "
                f"they stay as they are: take another folder, or an empty one"
            )
        self._write_marker(msgspec.structs.replace(self._marker, is_made=is_made))
        try:
            fill(self)
            self._write_marker(
                msgspec.structs.replace(self._marker, is_made=is_made, is_filled=True)
            )
        except BaseException:
            self._remove_files(self._read_marker())
            raise

    def _write_marker(self, marker: _Marker) -> None:
        self.write(MARKER, msgspec.json.encode(marker))

    def _read_marker(self) -> _Marker | None:
        """Return the marker; None if there is none that this program can have written."""
        try:
            with self.path_of(MARKER).open("rb") as file:
                marker = msgspec.json.decode(file.read(_MAX_MARKER_BYTES), type=_Marker)
        except (OSError, ValueError, msgspec.DecodeError):
            return None
        is_own = marker.format == _FORMAT and all(is_file_name(name) for name in marker.files)
        return marker if is_own else None

    def _remove_files(self, marker: _Marker | None, *, keep_folder: bool = False) -> None:
        """Remove what the marker lists, and nothing else; then the marker."""
        if marker is None:
            return
        folders: set[PurePosixPath] = set()
        for name in marker.files:
            path = self.path_of(name)
            # Somebody may have replaced a folder by a link to another place.
            if path.parent.resolve().is_relative_to(self.path):
                with suppress(IsADirectoryError, NotADirectoryError):
                    path.unlink(missing_ok=True)
                folders.update(PurePosixPath(name).parents)
        self._remove_partials(folders)
        for folder in sorted(folders - {PurePosixPath()}, reverse=True):
            with suppress(OSError):  # the user's own files are in it
                (self.path / folder).rmdir()
        self.path_of(MARKER).unlink(missing_ok=True)
        if marker.is_made and not keep_folder:
            with suppress(OSError):
                self.path.rmdir()

    def _remove_partials(self, folders: set[PurePosixPath]) -> None:
        """Remove what a process that was killed had not yet put into place."""
        for folder in folders | {PurePosixPath()}:
            path = self.path / folder
            if path.resolve().is_relative_to(self.path):
                for partial in path.glob(".*.aisio-partial"):
                    partial.unlink(missing_ok=True)
