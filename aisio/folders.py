"""Walking local folders: every file once, in bytewise order of full names, from any point on.

A folder sorts as its name with "/" behind it: then depth-first order is the bytewise order of full
names ("a.txt" < "a/b", as "." < "/"). What lies before the start or beside the prefix is skipped
without reading the folders that it is in.

Links are followed; one that leads to a folder it is in itself is not, since all that is behind it
has been met. A link that leads nowhere is an error: a file that somebody counts on is missing.
Pipes, sockets and devices are passed over. What is passed over is logged, in one line at the end of
the walk, once in a process; files that are being written are not worth a word.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from aisio.errors import StorageError
from aisio.files import PARTIAL_SUFFIX
from aisio.left_out import LeftOut

_log = logging.getLogger("aisio.folders")


BadLink: TypeAlias = Callable[[str, StorageError], None]


class Found(NamedTuple):
    """A file that the walk has come to.

    Attributes:
        name: Its full name.
        path: Where it is.
        stat: What the file system says of it, links followed.
    """

    name: str
    path: str
    stat: os.stat_result


def walk(
    folder: str,
    name: str = "",
    *,
    prefix: str = "",
    start_after: str = "",
    on_error: BadLink | None = None,
) -> Iterator[Found]:
    """Walk the files below a folder, lazily.

    Args:
        folder: Where to look.
        name: Full name of the folder, with "/" behind it; "" for the root.
        prefix: What names must begin with, counted from the folder.
        start_after: Leave out full names up to and including this one.
        on_error: Is called with the full name and the error of a link that leads to no file, or in
            a circle; then the walk goes on. Without it the error is raised.

    Raises:
        OSError: A folder cannot be read.
        StorageError: A link leads to no file, or in a circle, and there is no `on_error`.
    """
    left_out = LeftOut()
    # A stack of our own: a folder may be deeper than Python's has room for.
    open_folders = [_entries(_Folder(folder, name, prefix, ()), start_after, left_out, on_error)]
    while open_folders:
        step = next(open_folders[-1], None)
        if step is None:
            open_folders.pop()
        elif isinstance(step, Found):
            yield step
        else:
            open_folders.append(_entries(step, start_after, left_out, on_error))
    if left_out:
        _warn_once(f"{folder}: {left_out}")


@lru_cache(maxsize=1024)
def _warn_once(text: str) -> None:
    _log.warning("%s", text)


class _Folder(NamedTuple):
    """A folder that the walk goes into.

    Attributes:
        path: Where it is.
        name: Its full name, with "/" behind it; "" for the root.
        prefix: What names in it must begin with.
        parents: Device and inode of the folders that it is in.
    """

    path: str
    name: str
    prefix: str
    parents: tuple[tuple[int, int], ...]


def _entries(
    folder: _Folder,
    start_after: str,
    left_out: LeftOut,
    on_error: BadLink | None,
) -> Iterator[Found | _Folder]:
    here = os.stat(folder.path)  # noqa: PTH116 - paths are strings: Path objects would cost more
    if (here.st_dev, here.st_ino) in folder.parents:
        left_out.add(folder.path, "links to a folder that they are in")
        return
    chain = (*folder.parents, (here.st_dev, here.st_ino))
    head, slash, rest = folder.prefix.partition("/")
    for key, entry in _sorted_entries(folder.path, head):
        full = folder.name + key
        if not (key == f"{head}/" if slash else key.startswith(head)):
            continue
        if key.endswith("/"):
            if full > start_after or start_after.startswith(full):
                yield _Folder(entry.path, full, rest if slash else "", chain)
        elif full > start_after:
            try:
                kind = "" if entry.is_file() else _kind(entry)
            except OSError as error:
                dead = _dead_link(entry, error.strerror)
                if on_error is None:
                    raise dead from error
                on_error(full, dead)
                continue
            if kind:
                left_out.add(entry.path, kind)
            else:
                yield Found(full, entry.path, entry.stat())


def _sorted_entries(folder: str, start: str) -> list[tuple[str, os.DirEntry[str]]]:
    """Return the entries whose names begin so; no look is taken at the others."""
    with os.scandir(folder) as entries:
        rows = [
            (entry.name + "/" if _is_folder(entry) else entry.name, entry)
            for entry in entries
            if entry.name.startswith(start) and not entry.name.endswith(PARTIAL_SUFFIX)
        ]
    # Python compares strings by code point, and UTF-8 bytes sort the same way.
    return sorted(rows, key=lambda row: row[0])


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle: an error when its turn comes
        return False


def _kind(entry: os.DirEntry[str]) -> str:
    """Say what an entry is that is neither folder nor file."""
    mode = entry.stat().st_mode
    kinds = ((stat.S_ISFIFO, "pipes"), (stat.S_ISSOCK, "sockets"))
    return next((kind for is_kind, kind in kinds if is_kind(mode)), "devices")


def _dead_link(entry: os.DirEntry[str], why: str | None) -> StorageError:
    return StorageError(f"{entry.path} is a link that leads to no file ({why}); remove or mend it")
