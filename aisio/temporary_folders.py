"""Temporary folders that go with the process that made them, however that ends.

A process that is killed, or terminated by a signal that it does not handle, removes nothing. So
each folder is locked by the process that made it, and the next process that makes such a folder
removes those that nobody holds any more. What a process forks has a part in its locks: the folder
stays as long as a worker may still write to it.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["make_owned_folder", "remove_owned_folder"]

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_TRIES = 10


def make_owned_folder(kind: str) -> tuple[str, int]:
    """Make a temporary folder.

    Args:
        kind: What its name says; those of the same kind that were left behind are removed.

    Returns:
        Its path, and the descriptor that holds it, for `remove_owned_folder`.

    Raises:
        OSError: There is no place for temporary folders.
    """
    prefix = f"aisio-{kind}-owned-"
    _sweep(tempfile.gettempdir(), prefix, os.getpid())
    for _ in range(_MOST_TRIES):
        folder = tempfile.mkdtemp(prefix=prefix)
        # Until it is locked, another process may take it for one that was left.
        with suppress(FileNotFoundError):
            return folder, _hold(folder)
    raise FileNotFoundError(f"temporary folders vanish again and again: {prefix}*")


def _hold(folder: str) -> int:
    """Lock a folder; return the descriptor that has the lock.

    Raises:
        FileNotFoundError: It has gone.
    """
    descriptor = os.open(folder, _FLAGS)
    try:
        with suppress(OSError):  # a file system without locks: then nobody sweeps, either
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        Path(folder).stat()
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove_owned_folder(folder: str, descriptor: int) -> None:
    """Remove a folder with the files in it, and let go of it.

    Where somebody goes on writing to it, it stays until it is swept.
    """
    for _ in range(_MOST_TRIES):
        if _removed(folder, descriptor):
            break
    with suppress(OSError):
        os.close(descriptor)


@cache
def _sweep(parent: str, prefix: str, pid: int) -> None:
    """Remove the folders that nobody holds, once in a process."""
    pattern = re.compile(re.escape(prefix) + r"\w+")
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                _sweep_one(entry.path)


def _sweep_one(folder: str) -> None:
    with suppress(OSError):  # gone, another user's, or held
        descriptor = os.open(folder, _FLAGS)
        try:
            # Another user can put a link in place of a folder of theirs: it is not emptied by name.
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _removed(folder, descriptor)
        finally:
            os.close(descriptor)


def _removed(folder: str, descriptor: int) -> bool:
    """Remove a folder; False if somebody put a file there just then."""
    with suppress(OSError):
        for name in os.listdir(descriptor):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=descriptor)
    with suppress(OSError):
        Path(folder).rmdir()
    return not Path(folder).exists()
