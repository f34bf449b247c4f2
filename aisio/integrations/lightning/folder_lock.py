"""folder_lock(): one program at a time replaces the shards of a folder of this machine.

Lightning prepares data on every node, and nodes may share a file system.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.file_locks import NO_LOCKS_ERRNOS, acquire, release

__all__ = ["folder_lock"]

_log = logging.getLogger("aisio.shard_sets")
_FILE = f".shards.lock{PARTIAL_SUFFIX}"
"""The lock of a folder that cannot be locked itself; local stores do not list it."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; wait for it as long as another program holds it.

    Where the file system has no locks, nothing is locked.

    Raises:
        OSError: There is no such folder.
    """
    descriptor = _acquire(folder.resolve())
    try:
        yield
    finally:
        if descriptor is not None:
            release(descriptor)


def _acquire(folder: Path) -> int | None:
    def say() -> None:
        _log.info("waiting for another program that replaces shards in %s", folder)

    try:
        try:
            return acquire(folder, on_wait=say)
        except IsADirectoryError:  # NFS locks only what can be opened for writing
            return acquire(folder / _FILE, on_wait=say)
    except OSError as error:
        if error.errno in NO_LOCKS_ERRNOS:
            return None
        raise
