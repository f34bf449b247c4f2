"""The files that a load writes itself, opened so that no link is followed.

Several users may share a cache. One of them can put a link where the load of another user is about
to write, so that the load overwrites that user's own files. Or a pipe, so that the load waits for
ever. Therefore what is written is either a new file, or known to be a regular file with one name.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["create_file", "open_or_create_file", "read_regular_file"]

# Without O_NONBLOCK, opening a pipe waits until another process opens its other end.
_NO_LINK_NO_WAIT = os.O_NOFOLLOW | os.O_NONBLOCK
# No file; a link (ELOOP, and EMLINK on FreeBSD); a socket.
_NOT_A_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.EMLINK, errno.ENXIO})


def create_file(path: Path) -> int:
    """Create a file in place of whatever has its name, and return a descriptor to write to.

    Raises:
        OSError: It cannot be created, or what has its name cannot be removed.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def open_or_create_file(path: Path) -> int:
    """Return a descriptor to read and write a file, which is created where there is none.

    Whatever is not a regular file, or has a second name, is removed first.

    Raises:
        OSError: It cannot be opened for writing, or as for `create_file`.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | _NO_LINK_NO_WAIT)
    except OSError as error:
        if error.errno not in _NOT_A_FILE:
            raise
        return create_file(path)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    return create_file(path)


def read_regular_file(path: Path, max_bytes: int) -> bytes | None:
    """Return the content of a small file; None where there is no regular file, or a larger one.

    Args:
        path: The file; a link at the end of the path is not followed.
        max_bytes: The size of the largest file that is read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_LINK_NO_WAIT)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
            return None
        return file.read(max_bytes)
