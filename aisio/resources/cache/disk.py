"""The disk of the cache: errors that say what to do, and writes that survive a power cut."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from aisio.errors import AccessError, AisioError

__all__ = ["DISK_FULL_ERRNOS", "explain_disk_errors", "sync"]

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk, a quota or a limit of file sizes answers when it is full."""

_NOT_WRITABLE_ERRNOS = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
    }
)

# One fsync took 2.5 ms on ext4. os.sync() is one call for all, but waits for other programs' data.
_MAX_FSYNCS = 64


@contextmanager
def explain_disk_errors(doing: str, path: Path) -> Iterator[None]:
    """Raise errors of the file system with what was being done and what helps.

    Args:
        doing: What is being done, as in "unpacking".
        path: The file or folder that it is done to.

    Raises:
        AccessError: A PermissionError too: it cannot be written there.
        OSError: The disk is full, or any other error; with the same errno.
    """
    try:
        yield
    except AisioError:
        raise
    except OSError as error:
        if error.errno in _NOT_WRITABLE_ERRNOS:
            raise AccessError(
                f"Permission denied {doing} {path}: {error.strerror} ({error.filename or path}); "
                "set AISIO_CACHE_DIR, or pass cache_dir=, to a folder that can be written"
            ) from error
        if error.errno in DISK_FULL_ERRNOS:
            raise OSError(
                error.errno,
                f"{os.strerror(error.errno)} while {doing} {path}; free some, as by "
                "`aisio cache prune --max-size 20G`, or set AISIO_CACHE_DIR to a larger disk",
            ) from error
        raise


def sync(path: Path) -> None:
    """Write a file, or a folder with its content, and its name to the disk itself."""
    paths = list(islice(_files_and_folders(path), _MAX_FSYNCS + 1))
    if len(paths) > _MAX_FSYNCS:
        os.sync()
        return
    for each in (*paths, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _files_and_folders(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            paths = (Path(folder, name) for name in (*folders, *files))
            yield from (each for each in paths if _can_be_synced(each.lstat().st_mode))


def _can_be_synced(mode: int) -> bool:
    """Return False for links, and for pipes: opening one would wait for its other end."""
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
