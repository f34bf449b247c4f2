"""Temporary folders that are removed with the process that made them, however it ends.

A process that is killed, or terminated by a signal that it does not handle, removes nothing. So
each process locks its folder, and the next process that makes a folder of the same kind removes
those that no process has locked. A forked process shares the locks of its parent: the folder stays
as long as a worker may still write to it.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = [
    "make_owned_folder",
    "owned_folder_prefix",
    "remove_owned_folder",
    "remove_stale_folders",
]

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_TRIES = 10


def make_owned_folder(kind: str, *, parent: str | None = None) -> tuple[str, int]:
    """Make a temporary folder.

    Args:
        kind: A part of its name. Folders of the same kind that dead processes left are removed.
        parent: The folder to make it in; without it that of all temporary files.

    Returns:
        Its path, and the descriptor that locks it, for `remove_owned_folder`.

    Raises:
        OSError: No temporary folder can be made.
    """
    prefix = owned_folder_prefix(kind)
    parent = parent or tempfile.gettempdir()
    _remove_stale_once(parent, kind, os.getpid())
    for _ in range(_MAX_TRIES):
        folder = tempfile.mkdtemp(prefix=prefix, dir=parent)
        # Until it is locked, another process may remove it as stale.
        with suppress(FileNotFoundError):
            return folder, _lock(folder)
    raise FileNotFoundError(f"new temporary folders are removed again and again: {prefix}*")


def _lock(folder: str) -> int:
    """Lock a folder; return the descriptor that holds the lock.

    Raises:
        FileNotFoundError: Another process has removed it.
    """
    descriptor = os.open(folder, _FLAGS)
    try:
        with suppress(OSError):  # a file system without locks: nothing is stale there
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        Path(folder).stat()
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove_owned_folder(folder: str, descriptor: int) -> None:
    """Remove a folder with the files in it, and unlock it.

    If another process goes on writing to it, it stays until a later process removes it as stale.
    """
    for _ in range(_MAX_TRIES):
        if _try_remove(folder, descriptor):
            break
    with suppress(OSError):
        os.close(descriptor)


def owned_folder_prefix(kind: str) -> str:
    """Return what the names of folders of a kind begin with; letters and digits follow."""
    return f"aisio-{kind}-owned-"


@cache
def _remove_stale_once(parent: str, kind: str, pid: int) -> None:
    """Remove the folders that no process has locked; once in a process."""
    remove_stale_folders(parent, kind)


def remove_stale_folders(parent: str, kind: str) -> None:
    """Remove the folders of a kind that no process has locked, with the files in them."""
    pattern = re.compile(re.escape(owned_folder_prefix(kind)) + r"\w+")
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                _remove_if_stale(entry.path)


def _remove_if_stale(folder: str) -> None:
    with suppress(OSError):  # removed meanwhile, another user's, or locked
        descriptor = os.open(folder, _FLAGS)
        try:
            # Another user may replace their folder by a link, so it is emptied by its descriptor.
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _try_remove(folder, descriptor)
        finally:
            os.close(descriptor)


def _try_remove(folder: str, descriptor: int) -> bool:
    """Remove a folder; return False if another process put a file there meanwhile."""
    with suppress(OSError):
        for name in os.listdir(descriptor):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=descriptor)
    with suppress(OSError):
        Path(folder).rmdir()
    return not Path(folder).exists()
