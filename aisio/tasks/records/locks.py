"""Locks in the home folder: one process and thread at a time works on what has a name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aisio.file_locks import acquire, release

__all__ = ["locked"]

_OPEN_TO_OWNER = 0o700
_DIGEST_BYTES = 16


@contextmanager
def locked(home: Path, name: str, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a name; wait for whoever holds it.

    Args:
        home: The home folder.
        name: Any text. Its digest names the file, as a text may be too long for that, or a path.
        wait: Wait for whoever holds it.

    Raises:
        BlockingIOError: Somebody holds it, and `wait` is false.
    """
    folder = home / "locks"
    folder.mkdir(mode=_OPEN_TO_OWNER, parents=True, exist_ok=True)
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=_DIGEST_BYTES)
    lock = acquire(folder / digest.hexdigest(), on_wait=(lambda: None) if wait else None)
    try:
        yield
    finally:
        release(lock)
