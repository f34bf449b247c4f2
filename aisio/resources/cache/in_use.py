"""Which entries of a cache are in use: those that a running process has loaded.

A process that loads an entry shares a lock on a file beside it until the process ends, and so do
the processes that it forks. Pruning takes that lock exclusively. The file is only opened for
reading, so that users who may not write can share it.

All of this is best effort. A folder that cannot be written may lack the file, and some file systems
have no locks. There, and for other programs that were given a path, only the time of the last load
counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aisio.file_locks import acquire, release
from aisio.resources.cache.side_files import IN_USE, side_file

__all__ = ["is_in_use", "keep_unused", "mark_in_use"]

# Processes may often have 1,024 files open, on some systems 256.
_MAX_DESCRIPTORS = 128
# For the whole process, as the locks are, and by process id: a forked process shares the locks of
# its parent, unless it closes all inherited descriptors.
_descriptors: dict[tuple[int, str], int] = {}


def mark_in_use(path: Path) -> bool:
    """Mark an entry as in use until this process ends; a second call costs next to nothing.

    Call this before looking at the entry. Whatever pruning removed is then noticed as missing, and
    nothing is removed later. Only the first 128 entries of a process are marked.

    Args:
        path: The download, which need not exist.

    Returns:
        False if another process is removing it now: wait for the entry's lock, and call this again.
    """
    file = side_file(path, IN_USE)
    key = (os.getpid(), str(file))
    marked = _descriptors.get(key)
    if marked is not None and _is_open(marked, file):
        return True
    _descriptors.pop(key, None)
    if len(_descriptors) >= _MAX_DESCRIPTORS:
        return True
    try:
        descriptor = acquire(file, shared=True)
    except BlockingIOError:
        return False
    except OSError:
        return True
    if _descriptors.setdefault(key, descriptor) != descriptor:
        os.close(descriptor)  # another thread was faster
    return True


def _is_open(descriptor: int, file: Path) -> bool:
    """Return whether a descriptor is of this file: the whole folder may have been removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except OSError:
        return False


@contextmanager
def keep_unused(path: Path) -> Iterator[None]:
    """Keep other processes from marking an entry as in use; the caller holds the entry's lock.

    Raises:
        BlockingIOError: It is in use, or this user may not find out.
        OSError: The file system has no locks, or no space for the file.
    """
    try:
        descriptor = acquire(side_file(path, IN_USE))
    except PermissionError as error:
        raise BlockingIOError(f"{path}: cannot find out whether it is in use: {error}") from error
    try:
        yield
    finally:
        release(descriptor)


def is_in_use(path: Path) -> bool:
    """Return whether an entry is in use now; creates no file, and raises no errors."""
    if not side_file(path, IN_USE).exists():
        return False
    try:
        with keep_unused(path):
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False
