"""LockedFolder: a folder that processes share, and that the last of them removes.

The lock is that of the folder itself, so there is no lock file to leave behind. Whoever finds a
folder that nobody has locked has it alone, until it shares the lock. The kernel releases the lock
when the process and all that it forked have ended, however they end.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from weakref import WeakSet

from aisio import forks
from aisio.errors import ConfigError, StorageError
from aisio.file_locks import NO_LOCKS_ERRNOS

__all__ = ["LockedFolder"]

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_TRIES = 100

_lenders: WeakSet[LockedFolder] = WeakSet()


class LockedFolder:
    """A folder, made where there is none, with a lock on it.

    It waits while another process has the folder alone.

    Args:
        path: The folder, no link; its parents must exist.
        permissions: Those of a new folder, before the umask.

    Attributes:
        path: The folder.
        descriptor: Holds the lock.
        is_alone: Whether no other process has the folder; `share` ends that.
        is_new: Whether this object made it.

    Raises:
        ConfigError: The file system has no locks.
        OSError: The folder cannot be made or opened.
    """

    def __init__(self, path: Path, *, permissions: int = 0o777) -> None:
        self.path = path
        self._lent: int | None = None
        for _ in range(_MAX_TRIES):
            self.is_new = _make(path, permissions)
            try:
                self.descriptor = os.open(path, _FLAGS)
            except FileNotFoundError:  # its last user has just removed it
                continue
            try:
                self.is_alone = self._lock()
                if self._is_in_place():
                    return
            except BaseException:
                os.close(self.descriptor)
                raise
            os.close(self.descriptor)
        raise StorageError(f"{path}: it is removed and made again all the time")

    def share(self) -> None:
        """Let others use the folder too. Another may have it alone for a moment before."""
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)
        self.is_alone = False

    def lend(self) -> int:
        """Return a descriptor of its own lock: a program that inherits it has the folder too.

        The lock is another one than that of `descriptor`, which this process could make exclusive
        while the program shares it. It is closed here by `try_alone` and `close`.
        """
        if self._lent is None:
            lent = os.open(".", _FLAGS, dir_fd=self.descriptor)
            try:
                fcntl.flock(lent, fcntl.LOCK_SH)
            except BaseException:
                os.close(lent)
                raise
            self._lent = lent
            _lenders.add(self)
        return self._lent

    def try_alone(self) -> bool:
        """Have the folder alone, if nobody else uses it; if not, the own lock may be gone."""
        self._take_back()
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.is_alone = True
        return True

    def close(self) -> None:
        """Release the lock."""
        self._take_back()
        os.close(self.descriptor)

    def _take_back(self) -> None:
        lent, self._lent = self._lent, None
        if lent is not None:
            os.close(lent)

    def _lock(self) -> bool:
        try:
            if self.try_alone():
                return True
            fcntl.flock(self.descriptor, fcntl.LOCK_SH)
        except OSError as error:
            # NFS locks no folder: its exclusive locks need a writable descriptor.
            if error.errno not in NO_LOCKS_ERRNOS | {errno.EBADF}:
                raise
            raise ConfigError(
                f"{self.path}: its file system has no locks; take a folder of a local disk"
            ) from error
        return False

    def _is_in_place(self) -> bool:
        """Tell whether the path still leads to the folder that was locked."""
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False


@forks.in_child
def _take_back_all() -> None:
    # A child would keep the folder in use after its parent has closed it.
    for folder in list(_lenders):
        folder._take_back()


def _make(path: Path, permissions: int) -> bool:
    try:
        path.mkdir(permissions)
    except FileExistsError:
        return False
    return True
