"""Files that show their old bytes or all of the new ones, at any time."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

PARTIAL_SUFFIX = ".aisio-partial"
"""Ending of files that are being written; a local store never lists them."""

_COPY_BYTES = 1024 * 1024


@contextmanager
def replaced_when_done(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file beside `path`, for reading and writing, that takes its place at the end.

    Where the block raises, nothing of it is left, and what was there before stays. A link is
    followed, not replaced. Permissions are those of any new file. A pipe or a device is not
    replaced: the bytes are copied into it at the end, and wait in TMPDIR until then.

    Raises:
        OSError: It cannot be written there; IsADirectoryError, also for a path that ends in "/",
            before anything is.
    """
    kind = kind_of(path)
    if kind == stat.S_IFDIR or os.fspath(path).endswith("/"):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if kind not in (None, stat.S_IFREG):
        with opened_special(path) as out, tempfile.TemporaryFile() as spool:
            yield cast(BinaryIO, spool)
            spool.seek(0)
            shutil.copyfileobj(spool, out, _COPY_BYTES)
        return
    target = Path(path).resolve()
    partial = target.with_name(f".{secrets.token_hex(8)}{PARTIAL_SUFFIX}")
    try:
        with _new_file(partial, path) as file:
            yield file
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def kind_of(path: str | os.PathLike[str]) -> int | None:
    """Return the kind of a file, links followed, as stat.S_IFMT has it; None where there is none.

    Raises:
        OSError: That cannot be told, as of a link that leads to itself.
    """
    try:
        return stat.S_IFMT(Path(path).stat().st_mode)
    except FileNotFoundError:
        return None


def is_special(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a pipe, a device or a socket: neither file nor folder."""
    return kind_of(path) not in (None, stat.S_IFREG, stat.S_IFDIR)


def opened_special(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a pipe or device for writing; a pipe that nobody reads is waited for, as by the shell.

    Raises:
        OSError: It cannot be written to; a socket cannot be opened at all.
    """
    # Neither made nor emptied, whatever has taken its place meanwhile.
    return cast(BinaryIO, os.fdopen(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb"))


def _new_file(partial: Path, path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return cast(BinaryIO, partial.open("x+b"))
    except OSError as error:
        # The name that the caller knows, not the one of the moment.
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
