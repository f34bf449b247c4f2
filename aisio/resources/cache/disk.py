"""What a disk refuses, said so that the reader knows what to do."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from aisio.errors import AccessError, AisioError

__all__ = ["clear_errors", "sync"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset(
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

# A call took 2.5 ms on ext4; one call for everything waits for what others write, too.
_MOST_SYNCS = 64


@contextmanager
def clear_errors(doing: str, path: Path) -> Iterator[None]:
    """Have errors of the file system say what was done and what helps.

    Args:
        doing: The work, as in "unpacking".
        path: The file or folder that it is about.

    Raises:
        AccessError: A PermissionError too: it cannot be written there.
        OSError: The disk is full, or what else it was; with the same errno.
    """
    try:
        yield
    except AisioError:
        raise
    except OSError as error:
        if error.errno in _FORBIDDEN:
            raise AccessError(
                f"Permission denied {doing} {path}: {error.strerror} ({error.filename or path}); "
                "set AISIO_CACHE_DIR, or pass cache_dir=, to a folder that can be written"
            ) from error
        if error.errno in _FULL:
            raise OSError(
                error.errno,
                f"{os.strerror(error.errno)} while {doing} {path}; free some, as by "
                "`aisio cache prune --max-size 20G`, or set AISIO_CACHE_DIR to a larger disk",
            ) from error
        raise


def sync(path: Path) -> None:
    """Have a file, or a folder and all in it, and its name outlast a power cut."""
    found = list(islice(_with_all_below(path), _MOST_SYNCS + 1))
    if len(found) > _MOST_SYNCS:
        os.sync()
        return
    for one in (*found, path.parent):
        descriptor = os.open(one, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _with_all_below(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            found = (Path(folder, name) for name in (*folders, *files))
            yield from (one for one in found if _can_be_synced(one.lstat().st_mode))


def _can_be_synced(mode: int) -> bool:
    """Tell a file or folder from a link, and from a pipe, whose opening waits for its other end."""
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
