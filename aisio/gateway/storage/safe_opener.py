"""Open files and folders below one root folder, and nothing outside it.

To check a path first and open it afterwards is not safe: whoever may write to the folder can
replace a part of the path by a link in between. So each path is opened with the order to follow no
link. Where the system meets a link, the path is resolved by name, the result is checked, and that
is opened in the same way.

Linux does this in one call, openat2 (5.6 and later). On other systems each folder of the path is
opened from the one above it. A caller that changes a folder does so by its descriptor, which
always means the same folder.

Source:
    Manual pages openat2(2) and path_resolution(7) of Linux.
"""

# Paths are strings here, as in folder.py.

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

_OPENAT2 = 437
"""Number of the system call, the same on all of Linux's machines but Alpha."""

_RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x04, 0x08
_MAX_TRIES = 20

FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""To open a folder in which names are opened, made and removed."""

LIST_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""To open a folder whose names are listed."""

OpenFunction: TypeAlias = Callable[[int, str, int], int]
"""Takes a folder's descriptor, a path and flags; returns the descriptor of the opened path."""


class PathEscapesError(Exception):
    """A link on the path leads out of the root folder."""


class OpenPath(NamedTuple):
    """An open file or folder below the root folder.

    Attributes:
        fd: Its descriptor.
        path: Its path from the root folder, without links; "" for the root folder itself.
    """

    fd: int
    path: str


class SafeOpener:
    """Opens what lies below a root folder; follows links that stay inside.

    Args:
        root: An existing folder.
        excluded: A name in the root folder that no link may lead to; "" for none.

    Attributes:
        root: The root folder, resolved.
        root_fd: Its descriptor.
    """

    def __init__(self, root: str, *, excluded: str = "") -> None:
        self.root = os.path.realpath(root)
        self._excluded = excluded
        self.root_fd = os.open(self.root, FOLDER_FLAGS)

    def close(self) -> None:
        """Close the root folder."""
        os.close(self.root_fd)

    def open(self, path: str, flags: int) -> OpenPath:
        """Open a path; the caller closes the descriptor.

        Args:
            path: From the root folder; without empty parts, "." and "..".
            flags: As of os.open.

        Raises:
            PathEscapesError: It leads out of the root folder.
            OSError: It cannot be opened.
        """
        for _ in range(_MAX_TRIES):
            try:
                return OpenPath(open_without_links(self.root_fd, path or ".", flags), path)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.EAGAIN):
                    raise
            path = self.resolve(path)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    @contextlib.contextmanager
    def open_folder(self, path: str, flags: int = FOLDER_FLAGS) -> Iterator[OpenPath]:
        """Keep a folder open for the `with` block.

        Raises:
            PathEscapesError: It leads out of the root folder.
            OSError: It cannot be opened, or is not a folder.
        """
        folder = self.open(path, flags)
        try:
            yield folder
        finally:
            os.close(folder.fd)

    @contextlib.contextmanager
    def open_or_make_folder(self, path: str) -> Iterator[OpenPath]:
        """Keep a folder open for the `with` block; make it and its parents where they are missing.

        Raises:
            PathEscapesError: It leads out of the root folder.
            OSError: It cannot be made or opened, or a file is in the way.
        """
        try:
            folder = self.open(path, FOLDER_FLAGS)
        except FileNotFoundError:
            folder = self._make_folders(path)
        try:
            yield folder
        finally:
            os.close(folder.fd)

    def resolve(self, path: str) -> str:
        """Return a path without links, as it is now: it must be opened without following any.

        Raises:
            PathEscapesError: It leads out of the root folder.
        """
        base = self.root.rstrip("/") + "/"
        resolved = os.path.realpath(base + path)
        inside = resolved.removeprefix(base) if resolved.startswith(base) else ""
        # lower(): a file system may ignore case, as that of macOS does.
        if not inside or inside.partition("/")[0].lower() == self._excluded:
            raise PathEscapesError(path)
        return inside

    def status(self, path: str) -> os.stat_result:
        """Return the status of a path, links followed.

        Raises:
            PathEscapesError: It leads out of the root folder.
            OSError: It does not exist.
        """
        if "\0" in path:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        for _ in range(_MAX_TRIES):
            parent_path, _, name = path.rpartition("/")
            with self.open_folder(parent_path) as parent:
                status = os.stat(name or ".", dir_fd=parent.fd, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                return status
            path = self.resolve(path)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def _make_folders(self, path: str) -> OpenPath:
        folder = self.open("", FOLDER_FLAGS)
        try:
            for name in path.split("/"):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder.fd)
                child = self._open_in(folder, name)
                os.close(folder.fd)
                folder = child
        except BaseException:
            os.close(folder.fd)
            raise
        return folder

    def _open_in(self, folder: OpenPath, name: str) -> OpenPath:
        """Open a folder in an open one, whose path is not resolved again, unless it is a link."""
        path = f"{folder.path}/{name}".lstrip("/")
        try:
            return OpenPath(open_without_links(folder.fd, name, FOLDER_FLAGS), path)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EAGAIN):
                raise
        return self.open(path, FOLDER_FLAGS)


def remove_empty_folders(folder_fd: int, names: list[str]) -> None:
    """Remove nested folders, from the innermost to the outermost.

    The path is halved again and again, so that the system resolves few names of a long one twice,
    and few descriptors are open.

    Args:
        folder_fd: Descriptor of the folder that holds the outermost.
        names: Their names, from the outermost to the innermost.

    Raises:
        OSError: One of them is not empty, a link, or does not exist; it stays, as do those above.
    """
    if len(names) > 1:
        half = len(names) // 2
        half_fd = open_without_links(folder_fd, "/".join(names[:half]), FOLDER_FLAGS)
        try:
            remove_empty_folders(half_fd, names[half:])
        finally:
            os.close(half_fd)
        remove_empty_folders(folder_fd, names[:half])
    else:
        os.rmdir(names[0], dir_fd=folder_fd)


def open_without_links(folder_fd: int, path: str, flags: int) -> int:
    """Open a path from an open folder; return the descriptor.

    Raises:
        OSError: It cannot be opened; ELOOP where any part of it is a link.
    """
    if "\0" in path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return _system_open()(folder_fd, path, flags)


def open_stepwise(folder_fd: int, path: str, flags: int) -> int:
    """Do the same folder by folder, for systems without openat2."""
    *parents, last = filter(None, path.split("/"))
    parent_fd = folder_fd
    try:
        for name in parents:
            child_fd = _open_name(parent_fd, name, FOLDER_FLAGS)
            if parent_fd != folder_fd:
                os.close(parent_fd)
            parent_fd = child_fd
        return _open_name(parent_fd, last, flags)
    finally:
        if parent_fd != folder_fd:
            os.close(parent_fd)


def _open_name(folder_fd: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder_fd)
    except OSError as error:
        # The error for a link differs between systems, and with the flags.
        if error.errno not in (errno.ENOENT, errno.EACCES) and is_link(folder_fd, name):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise


def is_link(folder_fd: int, name: str) -> bool:
    """Tell whether a name in an open folder is a symbolic link."""
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode)
    except OSError:
        return False


@lru_cache(maxsize=1)
def _system_open() -> OpenFunction:
    """Return openat2 where it works: old kernels lack it, and some containers forbid it."""
    if not sys.platform.startswith("linux"):
        return open_stepwise
    openat2 = _bind_openat2()
    root_fd = os.open("/", FOLDER_FLAGS)
    try:
        os.close(openat2(root_fd, ".", FOLDER_FLAGS))
    except OSError:
        return open_stepwise
    finally:
        os.close(root_fd)
    return openat2


class _OpenHow(ctypes.Structure):
    """struct open_how of Linux."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def _bind_openat2() -> OpenFunction:
    """Return openat2 as a Python function: the C library has no wrapper for it."""
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    system_call.restype = ctypes.c_long
    size = ctypes.sizeof(_OpenHow)
    how_by_flags: dict[int, _OpenHow] = {}

    def openat2(folder_fd: int, path: str, flags: int) -> int:
        how = how_by_flags.get(flags)
        if how is None:
            how = how_by_flags[flags] = _OpenHow(flags, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH)
        name = os.fsencode(path)
        fd: int = system_call(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(folder_fd),
            ctypes.c_char_p(name),
            ctypes.byref(how),
            ctypes.c_size_t(size),
        )
        if fd < 0:
            number = ctypes.get_errno()
            if number == errno.EINTR:  # retried, as Python does for its own system calls
                return openat2(folder_fd, path, flags)
            raise OSError(number, os.strerror(number), path)
        return fd

    return openat2
