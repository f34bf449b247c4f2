"""The gateway's own folder `.aisio` in the served one: its lock, uploads and metadata.

Whoever made the served folder may have put anything there, as an archive that was unpacked can. So
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
from aisio.gateway.storage.beneath import FOLDER, FOLDER_TO_READ, open_without_links

OWN_FOLDER = ".aisio"
_TEMPORARY = "tmp"
_METADATA = "metadata.db"
_ENDINGS = ("", "-wal", "-shm", "-journal")
_log = logging.getLogger(__name__)


class OwnFiles:
    """The files of a gateway that writes to its folder.

    Args:
        root: The served folder, resolved.
        handle: Its descriptor.

    Attributes:
        temporary: Descriptor of the folder for uploads.
        metadata: Path of the metadata's file.

    Raises:
        ConfigError: Another gateway writes to the folder, or the own folder or something in it is
            a link or otherwise not what the gateway made.
    """

    def __init__(self, root: str, handle: int) -> None:
        self._path = os.path.join(root, OWN_FOLDER)
        self.metadata = os.path.join(self._path, _METADATA)
        self._numbers = itertools.count(1)
        with contextlib.ExitStack() as opened:
            own = self._open_folder(handle, OWN_FOLDER)
            opened.callback(os.close, own)
            check_metadata(root, handle)
            self._lock = self._take_lock(own, root)
            opened.callback(os.close, self._lock)
            self.temporary = self._open_folder(own, _TEMPORARY)
            opened.callback(os.close, self.temporary)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Let the folder go, for another gateway to take."""
        self._opened.close()

    def new_name(self) -> str:
        """Return a name in the folder for uploads that nothing has yet."""
        return str(next(self._numbers))

    def empty(self) -> None:
        """Remove the uploads and destroyed buckets that a killed gateway left."""
        handle = open_without_links(self.temporary, ".", FOLDER_TO_READ)
        try:
            names = os.listdir(handle)
        finally:
            os.close(handle)
        for name in names:
            self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file, link or whole folder, which is in the folder for uploads.

        What cannot be removed is told in the log, and is tried again at the next start.
        """
        try:
            remove_tree(self.temporary, name)
        except OSError as error:
            place = os.path.join(self._path, _TEMPORARY)
            _log.warning("%s cannot be removed from %s: %s", error.filename, place, error.strerror)

    def _open_folder(self, above: int, name: str) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
        try:
            return open_without_links(above, name, FOLDER)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            path = self._path if name == OWN_FOLDER else os.path.join(self._path, name)
            raise ConfigError(_not_ours(path, "a folder")) from None

    def _take_lock(self, own: int, root: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            lock = os.open("lock", flags, 0o666, dir_fd=own)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise
            raise ConfigError(_not_ours(os.path.join(self._path, "lock"), "a file")) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            advice = "stop it, or serve this one read-only"
            raise ConfigError(f"another gateway writes to {root}: {advice}") from None
        return lock


def check_metadata(root: str, handle: int) -> str:
    """Return the path of the metadata's file, or "" where there is none.

    Args:
        root: The served folder, resolved.
        handle: Its descriptor.

    Raises:
        ConfigError: It, or what SQLite keeps beside it, is no plain file: SQLite would follow it.
    """
    path = os.path.join(root, OWN_FOLDER, _METADATA)
    try:
        own = open_without_links(handle, OWN_FOLDER, FOLDER)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise ConfigError(_not_ours(os.path.dirname(path), "a folder")) from None  # noqa: PTH120
    try:
        found = [_is_plain(own, f"{_METADATA}{ending}", path) for ending in _ENDINGS]
    finally:
        os.close(own)
    return path if found[0] else ""


def remove_tree(folder: int, name: str) -> None:
    """Remove what a name in a folder stands for, and all that is below it, however deep.

    Folders below are moved up into the folder before they are emptied: no path gets long, nothing
    is called again and again, and no link is followed.

    Args:
        folder: Descriptor of the folder.
        name: The name.

    Raises:
        OSError: Something cannot be removed; what was moved up stays there.
    """
    waiting, failed = [name], None
    while waiting:
        name = waiting.pop()
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                _empty(folder, name, waiting)
                os.rmdir(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _empty(folder: int, name: str, moved: list[str]) -> None:
    """Empty a folder; add to `moved` what its folders are called in the folder above."""
    handle = open_without_links(folder, name, FOLDER_TO_READ)
    try:
        with os.scandir(handle) as entries:
            for entry in list(entries):
                if entry.is_dir(follow_symlinks=False):
                    new_name = secrets.token_hex(8)
                    os.rename(entry.name, new_name, src_dir_fd=handle, dst_dir_fd=folder)
                    moved.append(new_name)
                else:
                    os.unlink(entry.name, dir_fd=handle)
    finally:
        os.close(handle)


def _is_plain(folder: int, name: str, path: str) -> bool:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        beside = os.path.join(os.path.dirname(path), name)  # noqa: PTH120
        raise ConfigError(_not_ours(beside, "a file"))
    return True


def _not_ours(path: str, expected: str) -> str:
    return (
        f"{path} is a link or otherwise not {expected} that a gateway made: remove it, "
        "or serve another folder"
    )
