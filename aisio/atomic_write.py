"""Writing a file so that readers see its old bytes or all of the new ones, never a part."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

PARTIAL_SUFFIX = ".aisio-partial"
"""Ending of the names of files that are still being written; a local store never lists them."""

_COPY_BYTES = 1024 * 1024
_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

_own_partials: set[Path] = set()
"""The temporary files that this process has open."""


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` when the block ends.

    The temporary file is in the same folder and can be read and written. If the block raises, it is
    removed, and the file at `path` stays as it was. If the process is killed, it stays, until
    `remove_abandoned_partials` removes it. A symbolic link is followed, not replaced. The new file
    has the permissions of any new file.

    A pipe or device is not replaced: the bytes are spooled in TMPDIR, and copied into it when the
    block ends.

    Raises:
        IsADirectoryError: `path` is a folder or ends in "/"; the block is not entered.
        OSError: The file cannot be written.
    """
    kind = file_type(path)
    if kind == stat.S_IFDIR or os.fspath(path).endswith("/"):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if kind not in (None, stat.S_IFREG):
        with open_special(path) as out, tempfile.TemporaryFile() as spool:
            yield cast(BinaryIO, spool)
            spool.seek(0)
            shutil.copyfileobj(spool, out, _COPY_BYTES)
        return
    target, partial, opened = open_partial(path)
    try:
        with _naming(path), opened as file:
            yield file
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        forget_partial(partial)


def write_bytes(path: str, data: bytes | memoryview) -> None:
    """Write a small file as `atomic_write` does, in half of its time.

    Args:
        path: A regular file, or one that does not exist, with its folder; a link would be replaced.
        data: All its bytes.

    Raises:
        OSError: It cannot be written.
    """
    folder, _, _ = path.rpartition("/")
    partial = f"{folder}/.{os.urandom(8).hex()}{PARTIAL_SUFFIX}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(partial, flags, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    try:
        try:
            _lock(descriptor)
            view = memoryview(data)
            with _naming(path):
                while view:
                    view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        os.replace(partial, path)  # noqa: PTH105 - a Path would cost more than the call
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add the file to the error of a full or broken disk: a failed write does not name it."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _DISK_ERRNOS:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise


def remove_abandoned_partials(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files of processes that were killed, and none that is being written.

    Each is locked by the process that writes it. Where the file system has no locks, none is
    removed.
    """
    for partial in Path(folder).glob(f".*{PARTIAL_SUFFIX}"):
        with suppress(OSError), closing(partial.open("r+b")) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()


def forget_partial(partial: Path) -> None:
    """Record that a temporary file of `open_partial` is not there any more."""
    _own_partials.discard(partial)


def remove_own_partials() -> None:
    """Remove the temporary files that this process has open: it ends before they are whole."""
    for partial in list(_own_partials):
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def is_being_written(partial: Path) -> bool:
    """Tell whether a process has locked a temporary file, as its writer does.

    False where the file system has no locks, or the file cannot be opened.
    """
    try:
        with closing(partial.open("r+b")) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock(descriptor: int) -> None:
    """Lock a temporary file that was just created.

    Raises:
        OSError: `remove_abandoned_partials` came in between.
    """
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if not os.fstat(descriptor).st_nlink:
        raise OSError(errno.EBUSY, "the temporary file was removed before it was locked")


def file_type(path: str | os.PathLike[str]) -> int | None:
    """Return the type of a file as stat.S_IFMT has it, or None if the file does not exist.

    Symbolic links are followed.

    Raises:
        OSError: The type cannot be found out, as of a link that leads to itself.
    """
    try:
        return stat.S_IFMT(Path(path).stat().st_mode)
    except FileNotFoundError:
        return None


def is_special(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a pipe, a device or a socket."""
    return file_type(path) not in (None, stat.S_IFREG, stat.S_IFDIR)


def open_special(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a pipe or device for writing; for a pipe, wait for a reader, as a shell does.

    Raises:
        OSError: It cannot be written to; a socket cannot be opened at all.
    """
    # Without O_CREAT and O_TRUNC: another process may have put a regular file in its place.
    return cast(BinaryIO, os.fdopen(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb"))


def open_partial(path: str | os.PathLike[str]) -> tuple[Path, Path, BinaryIO]:
    """Open a temporary file in the folder of a file that it is to replace, and lock it.

    The caller removes or renames it, and then calls `forget_partial`.

    Returns:
        The file to replace, with symbolic links followed; the temporary file, and it, open for
        reading and writing.

    Raises:
        OSError: It cannot be made; the error names `path`.
    """
    target = Path(path).resolve()
    partial = target.with_name(f".{os.urandom(8).hex()}{PARTIAL_SUFFIX}")
    _own_partials.add(partial)
    try:
        file = partial.open("x+b")
    except OSError as error:
        forget_partial(partial)
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    try:
        _lock(file.fileno())
    except BaseException:
        file.close()
        partial.unlink(missing_ok=True)
        forget_partial(partial)
        raise
    return target, partial, cast(BinaryIO, file)
