"""Locks between processes and threads, by flock on empty files.

Such a lock is that of an open file. So it goes with its process, however that ends; threads that
each open the file exclude each other too; and what a process forks has a part in it. Nothing is
written: a file that another user has made is locked as well as an own one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["NO_LOCKS", "release", "take"]

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What flock answers where the file system has no locks."""

_QUIET_S = 1.0
_POLL_S = 0.05


def take(file: Path, *, shared: bool = False, on_wait: Callable[[], object] | None = None) -> int:
    """Lock a file, which is made where there is none, by the modes that the umask leaves.

    Args:
        file: To be left where it is: removing it would split those who wait over two files.
        shared: With others who share it; else with nobody.
        on_wait: Is called after a second in which others held it. Without it nobody waits.

    Returns:
        The descriptor that has the lock, for `release`; no program that is started inherits it.

    Raises:
        BlockingIOError: Another holds it, and `on_wait` was not given.
        OSError: It cannot be opened, is a link, or (`NO_LOCKS`) its file system has no locks.
    """
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        return _take(file, os.O_RDONLY, operation, on_wait)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
    # NFS gives an exclusive lock only to a descriptor that could write: flock(2), "NFS details".
    return _take(file, os.O_RDWR, operation, on_wait)


def release(descriptor: int) -> None:
    """Give a lock back, also where a fork has a copy of the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _take(file: Path, access: int, operation: int, on_wait: Callable[[], object] | None) -> int:
    # O_NONBLOCK: a pipe of this name, which somebody else may have made, is not waited for.
    descriptor = _opened(file, access | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _flock(descriptor, operation, on_wait)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _opened(file: Path, flags: int) -> int:
    # Not with O_CREAT at once: in a folder like /tmp Linux refuses that for what another user has
    # made (fs.protected_regular).
    while True:
        with suppress(FileNotFoundError):
            return os.open(file, flags)
        with suppress(FileExistsError):
            return os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o666)


def _flock(descriptor: int, operation: int, on_wait: Callable[[], object] | None) -> None:
    quiet_until = time.monotonic() + _QUIET_S
    while on_wait is None or time.monotonic() < quiet_until:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if on_wait is None:
                raise
            time.sleep(_POLL_S)
    on_wait()
    fcntl.flock(descriptor, operation)
