"""MemoryFolder: the large files of one model in shared memory, for all processes of this user.

A file gets its name when all of its bytes are there and verified. So a process that is killed while
it reads leaves nothing that another would take for a file. The next one that has the lock reads
what is missing. The last process that uses the folder removes it; if that was killed, the next
process that opens any folder of this kind does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from aisio import forks
from aisio.errors import AccessError, ConfigError
from aisio.file_locks import acquire, release
from aisio.models.locked_folder import LockedFolder
from aisio.temporary_folders import owned_folder_prefix, remove_stale_folders

__all__ = ["MemoryFolder"]

_KIND = "model"
_LOCK = "lock"
_PARTIAL_SUFFIX = ".partial"

_held_locks: set[int] = set()


class MemoryFolder:
    """A folder in memory, in use until `leave`.

    Args:
        parent: A folder of a file system in memory.
        key: What tells one model from another; letters and digits.

    Attributes:
        path: The folder.

    Raises:
        ConfigError: There is no such parent.
        AccessError: Another user has a folder of this name.
        OSError: The folder cannot be made.
    """

    def __init__(self, parent: str, key: str) -> None:
        if not Path(parent).is_dir():
            raise ConfigError(
                f"there is no folder {parent} for shared memory: name one by "
                f"memory=MemoryOptions(folder=...)"
            )
        self.path = Path(parent).resolve() / f"{owned_folder_prefix(_KIND)}{key}"
        self._folder = LockedFolder(self.path, permissions=0o700)
        try:
            if os.fstat(self._folder.descriptor).st_uid != os.geteuid():
                raise AccessError(f"{self.path} belongs to another user: remove it")
            self._folder.share()
            remove_stale_folders(str(self.path.parent), _KIND)
        except BaseException:
            self._folder.close()
            raise

    def lend(self) -> int:
        """Return a descriptor that keeps the folder for a program that inherits it."""
        return self._folder.lend()

    def path_of(self, name: str) -> Path:
        """Return the path of a file, which exists once the file is complete."""
        return self.path / name

    def try_lock(self) -> int | None:
        """Lock the folder for reading files into it; None if another does that now.

        Returns:
            The descriptor for `unlock`.
        """
        try:
            descriptor = acquire(self.path / _LOCK)
        except BlockingIOError:
            return None
        _held_locks.add(descriptor)
        return descriptor

    def unlock(self, descriptor: int) -> None:
        """Let others read files into the folder."""
        _held_locks.discard(descriptor)
        release(descriptor)

    def write(self, name: str, fill: Callable[[int], None]) -> None:
        """Make a file that is read only; the caller has the lock.

        Args:
            name: Its name.
            fill: Writes all of it to a descriptor. If that raises, there is no file.
        """
        partial = self.path_of(name + _PARTIAL_SUFFIX)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fill(descriptor)
            os.fchmod(descriptor, 0o400)
            partial.replace(self.path_of(name))
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def leave(self) -> None:
        """Use the folder no longer; remove it if nobody does."""
        try:
            if self._folder.try_alone():
                for file in list(self.path.iterdir()):
                    file.unlink(missing_ok=True)
                self.path.rmdir()
        finally:
            self._folder.close()


@forks.in_child
def _close_locks() -> None:
    # A child would keep the lock of its parent, and no process would ever take over.
    for descriptor in _held_locks:
        os.close(descriptor)
    _held_locks.clear()
