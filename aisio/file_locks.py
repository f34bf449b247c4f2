"""Locks between processes and threads, by flock on empty files.

The lock belongs to the open file. So the kernel releases it when the process ends, however it ends;
threads that each open the file exclude one another too; and a forked process shares it. Nothing is
written to the file: a file that another user created can be locked as well as one's own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["NO_LOCKS_ERRNOS", "acquire", "release"]

NO_LOCKS_ERRNOS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What flock answers where the file system has no locks."""

_ON_WAIT_AFTER_S = 1.0
_POLL_INTERVAL_S = 0.05


def acquire(
    file: Path, *, shared: bool = False, on_wait: Callable[[], object] | None = None
) -> int:
    """Lock a file, which is created where there is none, with the permissions of the umask.

    Args:
        file: The lock file. Nobody may remove it: processes that wait would then lock two files.
        shared: Share the lock with others who share it; else hold it alone.
        on_wait: Called once, after another has held the lock for a second. Without it the call
            does not wait.

    Returns:
        The descriptor that holds the lock, for `release`; programs that are started do not
        inherit it.

    Raises:
        BlockingIOError: Another holds it, and there is no `on_wait`.
        OSError: It cannot be opened, is a link, or its file system has no locks
            (`NO_LOCKS_ERRNOS`).
    """
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        return _open_and_lock(file, os.O_RDONLY, operation, on_wait)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
    # NFS gives an exclusive lock only to a writable descriptor: flock(2), "NFS details".
    return _open_and_lock(file, os.O_RDWR, operation, on_wait)


def release(descriptor: int) -> None:
    """Release a lock, also where a forked process has a copy of the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _open_and_lock(
    file: Path, access: int, operation: int, on_wait: Callable[[], object] | None
) -> int:
    # With O_NONBLOCK, a pipe of this name that another user created is not waited for.
    descriptor = _open(file, access | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _flock(descriptor, operation, on_wait)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open(file: Path, flags: int) -> int:
    # O_CREAT comes second: in a folder like /tmp, Linux refuses it for a file that another user
    # created (fs.protected_regular).
    while True:
        with suppress(FileNotFoundError):
            return os.open(file, flags)
        with suppress(FileExistsError):
            return os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o666)


def _flock(descriptor: int, operation: int, on_wait: Callable[[], object] | None) -> None:
    poll_until = time.monotonic() + _ON_WAIT_AFTER_S
    while on_wait is None or time.monotonic() < poll_until:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if on_wait is None:
                raise
            time.sleep(_POLL_INTERVAL_S)
    on_wait()
    fcntl.flock(descriptor, operation)
