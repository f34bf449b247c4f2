"""The files that a load writes: made and opened so that no link is followed.

Several users may share a cache. One of them can put a link under a name that another's load is
about to write, to have it write over that user's own files; or a pipe, to have it wait for ever.
So what is written is either made anew, or is known to be a regular file with no other name.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["new_file", "own_file", "read_regular"]

# Without O_NONBLOCK, opening a pipe waits until another process opens its other end.
_AS_IT_IS = os.O_NOFOLLOW | os.O_NONBLOCK
# There is none; it is a link (ELOOP; EMLINK on FreeBSD); it is a socket.
_NO_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.EMLINK, errno.ENXIO})


def new_file(path: Path) -> int:
    """Make a file in the place of whatever has its name, and return a descriptor to write to.

    Raises:
        OSError: It cannot be made, or what has its name cannot be removed.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def own_file(path: Path) -> int:
    """Return a descriptor to read and write what is in a file, which is made where there is none.

    What is no regular file, or has a second name, is removed first.

    Raises:
        OSError: It cannot be opened for writing, or as for `new_file`.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | _AS_IT_IS)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return new_file(path)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    return new_file(path)


def read_regular(path: Path, most_bytes: int) -> bytes | None:
    """Return the contents of a small file; None where there is no regular file, or a larger one.

    Args:
        path: Where; a link at its end is not followed.
        most_bytes: The largest file that is read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _AS_IT_IS)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most_bytes:
            return None
        return file.read(most_bytes)
