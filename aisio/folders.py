"""Walking local folders: every file once, in bytewise order of full names, from any point on.

A folder sorts as its name with "/" behind it: then depth-first order is the bytewise order of full
names ("a.txt" < "a/b", as "." < "/"). What lies before the start or beside the prefix is skipped
without reading the folders that it is in.

Links are followed; one that leads to a folder it is in itself is not, since all that is behind it
has been met. A link that leads nowhere is an error: a file that somebody counts on is missing.
Sockets and devices are passed over, and so are files that are being written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from aisio.errors import StorageError
from aisio.files import PARTIAL_SUFFIX


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
    folder: str, name: str = "", *, prefix: str = "", start_after: str = ""
) -> Iterator[Found]:
    """Walk the files below a folder, lazily.

    Args:
        folder: Where to look.
        name: Full name of the folder, with "/" behind it; "" for the root.
        prefix: What names must begin with, counted from the folder.
        start_after: Leave out full names up to and including this one.

    Raises:
        OSError: A folder cannot be read.
        StorageError: A link leads to no file.
    """
    yield from _walk(folder, name, prefix, start_after, ())


def _walk(
    folder: str, name: str, prefix: str, start_after: str, parents: tuple[tuple[int, int], ...]
) -> Iterator[Found]:
    here = os.stat(folder)  # noqa: PTH116 - paths are strings: Path objects would cost more
    if (here.st_dev, here.st_ino) in parents:
        return
    chain = (*parents, (here.st_dev, here.st_ino))
    head, slash, rest = prefix.partition("/")
    for key, entry in _sorted_entries(folder):
        full = name + key
        is_folder = key.endswith("/")
        if not (key == f"{head}/" if slash else key.startswith(head)):
            continue
        if is_folder:
            if full > start_after or start_after.startswith(full):
                yield from _walk(entry.path, full, rest if slash else "", start_after, chain)
        elif full > start_after and _is_file(entry):
            yield Found(full, entry.path, entry.stat())


def _sorted_entries(folder: str) -> list[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        rows = [
            (entry.name + "/" if entry.is_dir() else entry.name, entry)
            for entry in entries
            if not entry.name.endswith(PARTIAL_SUFFIX)
        ]
    # Python compares strings by code point, and UTF-8 bytes sort the same way.
    return sorted(rows, key=lambda row: row[0])


def _is_file(entry: os.DirEntry[str]) -> bool:
    if entry.is_file():
        return True
    if entry.is_symlink():
        raise StorageError(f"{entry.path} is a link that leads to no file; remove or mend it")
    return False
