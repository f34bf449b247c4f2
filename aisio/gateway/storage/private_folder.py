"""The gateway's private folder `.aisio` in the served one: its lock, uploads and metadata.

Whoever made the served folder may have put anything there, for example by unpacking an archive. So
no link is followed on the way to these files, and what is emptied or written is reached by the
descriptor of its folder.
"""

# ruff: noqa: PTH118, PTH208
# Paths are strings here, as in folder.py.

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import logging
import os
import secrets
import stat

from aisio.errors import ConfigError
from aisio.gateway.storage.safe_opener import FOLDER_FLAGS, LIST_FOLDER_FLAGS, open_without_links

PRIVATE_FOLDER = ".aisio"
_TEMPORARY = "tmp"
_METADATA = "metadata.db"
_SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")
_log = logging.getLogger(__name__)


class PrivateFolder:
    """The private folder of a gateway that writes to the served one.

    Args:
        root: The served folder, resolved.
        root_fd: Its descriptor.

    Attributes:
        temporary_fd: Descriptor of the folder for uploads.
        metadata_path: Path of the metadata's file.

    Raises:
        ConfigError: Another gateway writes to the served folder, or the private folder or something
            in it is a link or otherwise not what a gateway made.
    """

    def __init__(self, root: str, root_fd: int) -> None:
        self._path = os.path.join(root, PRIVATE_FOLDER)
        self.metadata_path = os.path.join(self._path, _METADATA)
        self._numbers = itertools.count(1)
        with contextlib.ExitStack() as opened:
            folder_fd = self._open_or_make(root_fd, PRIVATE_FOLDER)
            opened.callback(os.close, folder_fd)
            find_metadata(root, root_fd)
            opened.callback(os.close, self._lock(folder_fd, root))
            self.temporary_fd = self._open_or_make(folder_fd, _TEMPORARY)
            opened.callback(os.close, self.temporary_fd)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Release the lock, for another gateway to take."""
        self._opened.close()

    def new_temporary_name(self) -> str:
        """Return a name that is not in use in the folder for uploads."""
        return str(next(self._numbers))

    def remove_leftovers(self) -> None:
        """Remove the uploads and destroyed buckets that a killed gateway left behind."""
        folder_fd = open_without_links(self.temporary_fd, ".", LIST_FOLDER_FLAGS)
        try:
            names = os.listdir(folder_fd)
        finally:
            os.close(folder_fd)
        for name in names:
            self.remove_temporary(name)

    def remove_temporary(self, name: str) -> None:
        """Remove a file, link or whole folder from the folder for uploads.

        What cannot be removed is logged, and is tried again at the next start.
        """
        try:
            remove_tree(self.temporary_fd, name)
        except OSError as error:
            folder = os.path.join(self._path, _TEMPORARY)
            _log.warning("%s cannot be removed from %s: %s", error.filename, folder, error.strerror)

    def _open_or_make(self, parent_fd: int, name: str) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent_fd)
        try:
            return open_without_links(parent_fd, name, FOLDER_FLAGS)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            path = self._path if name == PRIVATE_FOLDER else os.path.join(self._path, name)
            raise _not_made_by_gateway(path, "a folder") from None

    def _lock(self, folder_fd: int, root: str) -> int:
        """Lock the served folder for this gateway; return the lock file's descriptor."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            lock_fd = os.open("lock", flags, 0o666, dir_fd=folder_fd)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise
            raise _not_made_by_gateway(os.path.join(self._path, "lock"), "a file") from None
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock_fd)
            advice = "stop it, or serve this one read-only"
            raise ConfigError(f"another gateway writes to {root}: {advice}") from None
        return lock_fd


def find_metadata(root: str, root_fd: int) -> str | None:
    """Return the path of the metadata's file; None if it does not exist.

    Args:
        root: The served folder, resolved.
        root_fd: Its descriptor.

    Raises:
        ConfigError: It, or a file that SQLite keeps beside it, is not a plain file: SQLite would
            follow a link.
    """
    folder = os.path.join(root, PRIVATE_FOLDER)
    try:
        folder_fd = open_without_links(root_fd, PRIVATE_FOLDER, FOLDER_FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise _not_made_by_gateway(folder, "a folder") from None
    try:
        exists = [
            _plain_file_exists(folder_fd, f"{_METADATA}{suffix}", folder)
            for suffix in _SQLITE_SUFFIXES
        ]
    finally:
        os.close(folder_fd)
    return os.path.join(folder, _METADATA) if exists[0] else None


def remove_tree(folder_fd: int, name: str) -> None:
    """Remove a file, link or folder, and all that is below it, however deep.

    Folders further down are moved up into the open folder before they are emptied: no path gets
    long, no function calls itself, and no link is followed.

    Args:
        folder_fd: Descriptor of the folder that holds it.
        name: Its name there.

    Raises:
        OSError: Something cannot be removed; what was moved up stays there.
    """
    pending, first_error = [name], None
    while pending:
        name = pending.pop()
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
                _empty_folder(folder_fd, name, pending)
                os.rmdir(name, dir_fd=folder_fd)
            else:
                os.unlink(name, dir_fd=folder_fd)
        except OSError as error:
            first_error = first_error or error
    if first_error is not None:
        raise first_error


def _empty_folder(parent_fd: int, name: str, moved: list[str]) -> None:
    """Empty a folder; add to `moved` the new names, in its parent, of the folders it held."""
    folder_fd = open_without_links(parent_fd, name, LIST_FOLDER_FLAGS)
    try:
        with os.scandir(folder_fd) as entries:
            for entry in list(entries):
                if entry.is_dir(follow_symlinks=False):
                    new_name = secrets.token_hex(8)
                    os.rename(entry.name, new_name, src_dir_fd=folder_fd, dst_dir_fd=parent_fd)
                    moved.append(new_name)
                else:
                    os.unlink(entry.name, dir_fd=folder_fd)
    finally:
        os.close(folder_fd)


def _plain_file_exists(folder_fd: int, name: str, folder: str) -> bool:
    try:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise _not_made_by_gateway(os.path.join(folder, name), "a file")
    return True


def _not_made_by_gateway(path: str, expected: str) -> ConfigError:
    return ConfigError(
        f"{path} is a link or otherwise not {expected} that a gateway made: remove it, "
        "or serve another folder"
    )
