"""Which entries of a cache are in use: those that a process which still runs has loaded.

A process that loads an entry shares a lock on a file beside it until it ends, and so do those that
it forks; whoever prunes wants that lock alone. The file is only opened for reading, so that it can
be shared by users who may not write.

All of it is best effort: a folder that cannot be written may have no such file, and some file
systems have no locks. There, as for other programs that were given a path, only the time of the
last load counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aisio.resources.cache.locks import release, take
from aisio.resources.cache.side_files import IN_USE, beside

__all__ = ["hold", "is_held", "unused"]

# A process may often have 1,024 files open, on some systems 256.
_MOST_HELD = 128
# By process: what a fork inherits holds too, but not where it then closes all that it has open.
_held: dict[tuple[int, str], int] = {}


def hold(path: Path) -> bool:
    """Have an entry count as in use until this process ends; a second call costs next to nothing.

    To be called before the entry is looked at: what was removed is missed then, and nothing is
    removed later. Only the first 128 entries of a process are held.

    Args:
        path: Of the download, whether it is there or not.

    Returns:
        False: it is being removed now; wait for the entry's lock, and call this again.
    """
    file = beside(path, IN_USE)
    key = (os.getpid(), str(file))
    held = _held.get(key)
    if held is not None and _is_open(held, file):
        return True
    _held.pop(key, None)
    if len(_held) >= _MOST_HELD:
        return True
    try:
        descriptor = take(file, shared=True)
    except BlockingIOError:
        return False
    except OSError:
        return True
    if _held.setdefault(key, descriptor) != descriptor:
        os.close(descriptor)  # another thread was faster
    return True


def _is_open(descriptor: int, file: Path) -> bool:
    """Tell whether a descriptor still is the file: somebody may have removed the whole folder."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except OSError:
        return False


@contextmanager
def unused(path: Path) -> Iterator[None]:
    """Keep an entry from coming into use; the caller holds its lock.

    Raises:
        BlockingIOError: It is in use, or that may not be asked.
        OSError: The file system has no locks, or no room for the file.
    """
    try:
        descriptor = take(beside(path, IN_USE))
    except PermissionError as error:
        raise BlockingIOError(f"{path}: whether it is in use cannot be told: {error}") from error
    try:
        yield
    finally:
        release(descriptor)


def is_held(path: Path) -> bool:
    """Tell whether an entry is in use, for now; makes no file, and raises no errors."""
    if not beside(path, IN_USE).exists():
        return False
    try:
        with unused(path):
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False
