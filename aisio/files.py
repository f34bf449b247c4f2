"""Files that show their old bytes or all of the new ones, at any time."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL_SUFFIX = ".aisio-partial"
"""Ending of files that are being written; a local store never lists them."""


@contextmanager
def replaced_when_done(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside `path`, for reading and writing, that takes its place at the end.

    Where the block raises, nothing of it is left, and what was there before stays. A link is
    followed, not replaced. Permissions are those of any new file.

    Raises:
        OSError: It cannot be written there; IsADirectoryError before anything is.
    """
    path = path.resolve()
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    partial = path.with_name(f".{secrets.token_hex(8)}{PARTIAL_SUFFIX}")
    try:
        with partial.open("x+b") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
