"""Walking a bucket's names in bytewise order, from any point on.

A directory's entries are sorted with "/" added to the names of directories. Walked depth first,
that order is the bytewise order of the full names ("a.txt" < "a/b", as "." < "/"), so a walk can
start anywhere: what lies before that point or beside the prefix is skipped without reading the
directories that it is in.

A page of a listing needs a part of a directory, the file system gives it whole. So the last large
ones are kept sorted, for as long as their time of change says that they are the same.
"""

# ruff: noqa: PTH112, PTH116
# Paths are strings here: to make Path objects of them costs more than the system calls do.

from __future__ import annotations

import logging
import os
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_SETTLED_NS = 2_000_000_000
"""A directory that changed more recently may change again within the same tick of its clock."""

_LARGE = 1000
_MOST_KEPT = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Directory:
    """What is in a directory.

    Attributes:
        keys: Names of files, and names of directories with "/" at their end; sorted.
        links: Those directories that are symbolic links.
    """

    keys: list[str]
    links: frozenset[str]

    def select(self, prefix: str, after: str) -> Iterator[str]:
        """Yield, in order, the keys that are or may hold wanted names."""
        on_the_way = after[: after.find("/") + 1]
        if "/" in prefix:
            key = prefix[: prefix.find("/") + 1]
            if self._has(key) and (key > after or key == on_the_way):
                yield key
            return
        if on_the_way.startswith(prefix) and self._has(on_the_way):
            yield on_the_way
        start = max(bisect_right(self.keys, after), bisect_left(self.keys, prefix))
        for index in range(start, len(self.keys)):
            if not self.keys[index].startswith(prefix):
                return
            yield self.keys[index]

    def _has(self, key: str) -> bool:
        index = bisect_left(self.keys, key)
        return bool(key) and index < len(self.keys) and self.keys[index] == key


class Directories:
    """The directories below the served folder.

    Args:
        root: The served folder, resolved; links that lead out of it are left out.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._kept: dict[str, tuple[tuple[int, int], Directory]] = {}

    def read(self, path: str) -> Directory:
        """Return what is in a directory now."""
        status = os.stat(path)
        state = (status.st_ctime_ns, status.st_ino)
        kept = self._kept.get(path)
        if kept is not None and kept[0] == state:
            return kept[1]
        directory = self._scan(path)
        if len(directory.keys) >= _LARGE and time.time_ns() - status.st_ctime_ns > _SETTLED_NS:
            while len(self._kept) >= _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[path] = state, directory
        return directory

    def _scan(self, path: str) -> Directory:
        keys, links = [], []
        with os.scandir(path) as entries:
            for entry in entries:
                key = entry.name
                if entry.is_symlink() and not self._stays(entry):
                    continue
                if entry.is_dir():
                    key += "/"
                    if entry.is_symlink():
                        links.append(key)
                elif not entry.is_file():
                    continue
                if key.isascii() or _is_utf8(entry):
                    keys.append(key)
        keys.sort()
        return Directory(keys, frozenset(links))

    def _stays(self, entry: os.DirEntry[str]) -> bool:
        return not os.path.relpath(os.path.realpath(entry.path), self._root).startswith(".")


class Found(NamedTuple):
    """A name that the walk has come to; `path` is None for a directory."""

    name: str
    path: str | None


class Walk:
    """A walk over the names below a bucket.

    Args:
        directories: Where to read directories.
        prefix: Only names that begin with it.
        after: Only names behind it.
        recursive: False stops at the directories of one level, and yields these.
    """

    def __init__(
        self, directories: Directories, prefix: str, after: str, *, recursive: bool
    ) -> None:
        self._directories = directories
        self._prefix = prefix
        self._after = after
        self._recursive = recursive

    def below(self, path: str, base: str = "", parents: tuple[str, ...] = ()) -> Iterator[Found]:
        """Yield what is in a directory, sorted.

        Args:
            path: The directory, resolved.
            base: Its name in the bucket, with "/" at its end; "" for the bucket itself.
            parents: The resolved directories that links were followed from, so that loops end.
        """
        after = self._after[len(base) :] if self._after.startswith(base) else ""
        prefix = self._prefix[len(base) :] if self._prefix.startswith(base) else ""
        directory = self._directories.read(path)
        for key in directory.select(prefix, after):
            name = base + key
            if not key.endswith("/"):
                yield Found(name, f"{path}/{key}")
            elif not self._recursive and not self._above_level(name):
                if name > self._after:
                    yield Found(name, None)
            elif key not in directory.links:
                yield from self.below(f"{path}/{key[:-1]}", name, parents)
            else:
                target, chain = os.path.realpath(f"{path}/{key}"), (*parents, path)
                if not any(f"{parent}/".startswith(f"{target}/") for parent in chain):
                    yield from self.below(target, name, chain)

    def _above_level(self, name: str) -> bool:
        """Say whether a directory is above the level that is listed, to which the prefix leads."""
        return f"{self._prefix.rstrip('/')}/".startswith(name)


def prefix_in(root: str, prefix: str) -> str:
    """Return what AIStore lists for a prefix: where that names a folder, the folder alone.

    "train" gives train/a, and not train-b. Only listings have this; jobs take a prefix as it is
    (seen on a live cluster of AIStore 5.0).

    Args:
        root: The bucket's folder.
        prefix: As the client gave it, checked.
    """
    names_folder = prefix and not prefix.endswith("/") and os.path.isdir(f"{root}/{prefix}")
    return f"{prefix}/" if names_folder else prefix


def _is_utf8(entry: os.DirEntry[str]) -> bool:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        _log.warning("not listed, as its name is not UTF-8: %r", os.fsencode(entry.path))
        return False
    return True
