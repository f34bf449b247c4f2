"""Walking a local folder: every file once, in bytewise order of full names, from any name on.

The walk sorts a folder by its name with "/" behind it. Then depth-first order is the bytewise order
of full names: "a.txt" < "a/b", as "." < "/". A folder whose names all lie outside the prefix, or
before the start, is not read.

Symbolic links are followed, except a link to a folder that contains it: the walk has met those
files already. A broken link is an error, since a file that the caller counts on is missing. Pipes,
sockets and devices are skipped. What was skipped is logged in one line at the end of the walk, once
in a process; files that are still being written are skipped silently.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.errors import StorageError
from aisio.skipped import SkippedNames

_log = logging.getLogger("aisio.folders")


OnBrokenLink: TypeAlias = Callable[[str, StorageError], None]


class WalkedFile(NamedTuple):
    """A file that the walk has come to.

    Attributes:
        name: Its full name.
        path: Its path.
        stat: The result of os.stat, links followed.
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
    on_error: OnBrokenLink | None = None,
) -> Iterator[WalkedFile]:
    """Walk the files below a folder, lazily.

    Args:
        folder: Path of the folder.
        name: Full name of the folder, with "/" behind it; "" for the root.
        prefix: What names must begin with, counted from the folder.
        start_after: Skip full names up to and including this one.
        on_error: Called with the full name and the error of a broken link or a loop of links; then
            the walk goes on. Without it the error is raised.

    Raises:
        OSError: A folder cannot be read.
        StorageError: A link is broken or in a loop, and there is no `on_error`.
    """
    skipped = SkippedNames()
    # A stack instead of recursion: a folder may be deeper than Python's stack.
    stack = [_entries(_Folder(folder, name, prefix, ()), start_after, skipped, on_error)]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
        elif isinstance(entry, WalkedFile):
            yield entry
        else:
            stack.append(_entries(entry, start_after, skipped, on_error))
    if skipped:
        _warn_once(f"{folder}: {skipped}")


@lru_cache(maxsize=1024)
def _warn_once(text: str) -> None:
    _log.warning("%s", text)


class _Folder(NamedTuple):
    """A folder that the walk goes into.

    Attributes:
        path: Its path.
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
    skipped: SkippedNames,
    on_error: OnBrokenLink | None,
) -> Iterator[WalkedFile | _Folder]:
    """Yield the files of a folder, and the folders in it that must be read."""
    status = os.stat(folder.path)  # noqa: PTH116 - paths are strings: Path objects would cost more
    identity = (status.st_dev, status.st_ino)
    if identity in folder.parents:
        skipped.add(folder.path, "links to a folder that they are in")
        return
    parents = (*folder.parents, identity)
    head, slash, rest = folder.prefix.partition("/")
    for key, entry in _sorted_entries(folder.path, head):
        full_name = folder.name + key
        if not (key == f"{head}/" if slash else key.startswith(head)):
            continue
        if key.endswith("/"):
            if full_name > start_after or start_after.startswith(full_name):
                yield _Folder(entry.path, full_name, rest if slash else "", parents)
        elif full_name > start_after:
            try:
                special = "" if entry.is_file() else _special_kind(entry)
            except OSError as error:
                broken = _broken_link(entry, error.strerror)
                if on_error is None:
                    raise broken from error
                on_error(full_name, broken)
                continue
            if special:
                skipped.add(entry.path, special)
            else:
                yield WalkedFile(full_name, entry.path, entry.stat())


def _sorted_entries(folder: str, start: str) -> list[tuple[str, os.DirEntry[str]]]:
    """Return the entries whose names begin with `start`; a folder's name ends in "/"."""
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
    except OSError:  # a loop of links: the walk reports it when it comes to this name
        return False


def _special_kind(entry: os.DirEntry[str]) -> str:
    """Return what an entry is that is neither folder nor file, in the plural."""
    mode = entry.stat().st_mode
    kinds = ((stat.S_ISFIFO, "pipes"), (stat.S_ISSOCK, "sockets"))
    return next((kind for is_kind, kind in kinds if is_kind(mode)), "devices")


def _broken_link(entry: os.DirEntry[str], reason: str | None) -> StorageError:
    return StorageError(
        f"{entry.path} is a link that leads to no file ({reason}); remove or repair it"
    )
