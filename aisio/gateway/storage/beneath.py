"""Open files and folders below one folder, whatever happens to the names on the way.

A path that is checked first and opened afterwards can lead elsewhere by then: whoever may write to
the folder can swap a part of it for a link. So nothing here is opened by a path that may hold
links. A path is opened with the order to follow none; where the system finds one, the path is
resolved by name, the result is checked, and opened in the same way.

Linux does this in one call, openat2 (5.6 and later). Elsewhere each folder on the way is opened
from the one above it. Who changes a folder does so by its descriptor, which stays the same folder.

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
from typing import NamedTuple

_OPENAT2 = 437
"""Number of the system call, the same on all of Linux's machines but Alpha."""

_RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x04, 0x08
_MOST_TRIES = 20

FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""To open a folder that names are opened, made and removed in."""

FOLDER_TO_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

Open = Callable[[int, str, int], int]


class LeadsOutError(Exception):
    """A path that leads out of the folder by a link."""


class Place(NamedTuple):
    """Something below the folder, opened.

    Attributes:
        handle: Its descriptor.
        path: Where it is, counted from the folder, without links; "" for the folder itself.
    """

    handle: int
    path: str


class Beneath:
    """What lies below a folder, links that stay inside included.

    Args:
        root: An existing folder.
        barred: A name at its top that no link may lead to; "" for none.
    """

    def __init__(self, root: str, *, barred: str = "") -> None:
        self.root = os.path.realpath(root)
        self._barred = barred
        self.handle = os.open(self.root, FOLDER)

    def close(self) -> None:
        """Let the folder go."""
        os.close(self.handle)

    def open(self, path: str, flags: int) -> Place:
        """Open what a path means; the caller closes it.

        Args:
            path: Counted from the folder; without empty parts, "." and "..".
            flags: As of os.open.

        Raises:
            LeadsOutError: It leads out of the folder.
            OSError: It cannot be opened.
        """
        for _ in range(_MOST_TRIES):
            try:
                return Place(open_without_links(self.handle, path or ".", flags), path)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.EAGAIN):
                    raise
            path = self.resolve(path)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    @contextlib.contextmanager
    def folder(self, path: str, flags: int = FOLDER) -> Iterator[Place]:
        """Open a folder for the time of a `with` block.

        Raises:
            LeadsOutError: It leads out of the folder.
            OSError: It cannot be opened, or is no folder.
        """
        place = self.open(path, flags)
        try:
            yield place
        finally:
            os.close(place.handle)

    @contextlib.contextmanager
    def made_folder(self, path: str) -> Iterator[Place]:
        """Open a folder for the time of a `with` block; those that are missing are made.

        Raises:
            LeadsOutError: It leads out of the folder.
            OSError: It cannot be made or opened, or a file is in the way.
        """
        try:
            place = self.open(path, FOLDER)
        except FileNotFoundError:
            place = self._make(path)
        try:
            yield place
        finally:
            os.close(place.handle)

    def resolve(self, path: str) -> str:
        """Return a path without links, as it is now: what opens it must follow none.

        Raises:
            LeadsOutError: It leads out of the folder.
        """
        base = self.root.rstrip("/") + "/"
        found = os.path.realpath(base + path)
        inside = found.removeprefix(base) if found.startswith(base) else ""
        # Folders may not tell capitals from small letters, as macOS has it.
        if not inside or inside.partition("/")[0].lower() == self._barred:
            raise LeadsOutError(path)
        return inside

    def status(self, path: str) -> os.stat_result:
        """Return the status of what a path means.

        Raises:
            LeadsOutError: It leads out of the folder.
            OSError: It is not there.
        """
        if "\0" in path:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        for _ in range(_MOST_TRIES):
            above, _, name = path.rpartition("/")
            with self.folder(above) as place:
                status = os.stat(name or ".", dir_fd=place.handle, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                return status
            path = self.resolve(path)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def _make(self, path: str) -> Place:
        here = self.open("", FOLDER)
        try:
            for name in path.split("/"):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=here.handle)
                below = self.open(f"{here.path}/{name}".lstrip("/"), FOLDER)
                os.close(here.handle)
                here = below
        except BaseException:
            os.close(here.handle)
            raise
        return here


def open_without_links(folder: int, path: str, flags: int) -> int:
    """Open a path that is counted from a folder; return the descriptor.

    Raises:
        OSError: It cannot be opened; ELOOP where any part of it is a link.
    """
    if "\0" in path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return _way_to_open()(folder, path, flags)


def open_by_steps(folder: int, path: str, flags: int) -> int:
    """Do the same folder by folder, where the system has no single call for it."""
    *above, last = filter(None, path.split("/"))
    here = folder
    try:
        for name in above:
            below = _open_part(here, name, FOLDER)
            if here != folder:
                os.close(here)
            here = below
        return _open_part(here, last, flags)
    finally:
        if here != folder:
            os.close(here)


def _open_part(folder: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        # What systems say of a link depends on the flags and on the system.
        if error.errno not in (errno.ENOENT, errno.EACCES) and _is_link(folder, name):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


class _How(ctypes.Structure):
    """struct open_how of Linux."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@lru_cache(maxsize=1)
def _way_to_open() -> Open:
    """Return the system's own call, if it has one: old kernels have not, some containers bar it."""
    if not sys.platform.startswith("linux"):
        return open_by_steps
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    system_call.restype = ctypes.c_long
    size = ctypes.sizeof(_How)
    hows: dict[int, _How] = {}

    def open_at_once(folder: int, path: str, flags: int) -> int:
        how = hows.get(flags)
        if how is None:
            how = hows[flags] = _How(flags, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH)
        name = os.fsencode(path)
        handle: int = system_call(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(folder),
            ctypes.c_char_p(name),
            ctypes.byref(how),
            ctypes.c_size_t(size),
        )
        if handle < 0:
            number = ctypes.get_errno()
            if number == errno.EINTR:  # as Python does for its own system calls
                return open_at_once(folder, path, flags)
            raise OSError(number, os.strerror(number), path)
        return handle

    root = os.open("/", FOLDER)
    try:
        os.close(open_at_once(root, ".", FOLDER))
    except OSError:
        return open_by_steps
    finally:
        os.close(root)
    return open_at_once
