"""Walking a bucket's names in bytewise order, from any point on.

A directory's entries are sorted with "/" added to the names of directories. Walked depth first,
that order is the bytewise order of the full names ("a.txt" < "a/b", as "." < "/"), so a walk can
start anywhere: what lies before that point or beside the prefix is skipped without reading the
directories that it is in.

A page of a listing needs a part of a directory, the file system gives it whole. So the last large
ones are kept sorted, for as long as their time of change says that they are the same.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.storage.beneath import (
    FOLDER_TO_READ,
    Beneath,
    LeadsOutError,
    Place,
)
from aisio.gateway.storage.left_out import (
    NO_FILE,
    NOT_UTF8,
    TOO_DEEP,
    LeftOut,
    link_status,
)

_SETTLED_NS = 2_000_000_000
"""A directory that changed more recently may change again within the same tick of its clock."""

_LARGE = 1000
_MOST_KEPT = 16


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
        beneath: The served folder.
        left_out: Where to note what is there and is no object.
    """

    def __init__(self, beneath: Beneath, left_out: LeftOut) -> None:
        self.left_out = left_out
        self._beneath = beneath
        self._kept: dict[str, tuple[tuple[int, int, int], Directory]] = {}

    def read(self, path: str) -> Directory:
        """Return what is in a directory now.

        Args:
            path: Counted from the served folder.

        Raises:
            LeadsOutError: It leads out of the served folder.
            OSError: It cannot be read.
        """
        with self._beneath.folder(path, FOLDER_TO_READ) as place:
            status = os.fstat(place.handle)
            state = (status.st_ctime_ns, status.st_ino, status.st_dev)
            kept = self._kept.get(place.path)
            if kept is not None and kept[0] == state:
                return kept[1]
            directory = self._scan(place)
        if len(directory.keys) >= _LARGE and time.time_ns() - status.st_ctime_ns > _SETTLED_NS:
            while len(self._kept) >= _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[place.path] = state, directory
        return directory

    def locate(self, path: str) -> str:
        """Return where a directory is, without links.

        Raises:
            LeadsOutError: It leads out of the served folder.
            OSError: It is not there.
        """
        with self._beneath.folder(path) as place:
            return place.path

    def _scan(self, place: Place) -> Directory:
        keys, links = [], []
        with os.scandir(place.handle) as entries:
            for entry in entries:
                key = entry.name
                if not key.isascii() and not _is_utf8(key):
                    self.left_out.add(f"{place.path}/{key}", NOT_UTF8)
                    continue
                is_link = entry.is_symlink()
                if is_link:
                    status = link_status(self._beneath, f"{place.path}/{key}", self.left_out)
                    if status is None:
                        continue
                    is_file, is_folder = stat.S_ISREG(status.st_mode), stat.S_ISDIR(status.st_mode)
                else:
                    is_file = entry.is_file(follow_symlinks=False)
                    is_folder = not is_file and entry.is_dir(follow_symlinks=False)
                if is_file:
                    keys.append(key)
                elif is_folder:
                    keys.append(f"{key}/")
                    if is_link:
                        links.append(f"{key}/")
                else:
                    self.left_out.add(f"{place.path}/{key}", NO_FILE)
        keys.sort()
        return Directory(keys, frozenset(links))


class Found(NamedTuple):
    """A name that the walk has come to.

    Attributes:
        name: Counted from the bucket.
        path: Counted from the served folder; None for a directory.
    """

    name: str
    path: str | None


class _Level(NamedTuple):
    """A directory that the walk goes into.

    Attributes:
        path: Counted from the served folder, without links.
        base: Its name in the bucket, with "/" at its end; "" for the bucket itself.
        parents: The directories that links were followed from, so that loops end.
    """

    path: str
    base: str = ""
    parents: tuple[str, ...] = ()


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

    def below(self, path: str) -> Iterator[Found]:
        """Yield what is in a directory, sorted. What goes while the walk is under way is left out.

        Args:
            path: The directory, counted from the served folder, without links.

        Raises:
            FileNotFoundError: The directory itself is not there.
            OSError: A directory cannot be read.
            Refusal: The gateway may not read a directory.
        """
        # A stack instead of calls in calls: names may have thousands of parts.
        under_way = [self._items(_Level(path), self._directories.read(path))]
        try:
            while under_way:
                item = next(under_way[-1], None)
                if item is None:
                    under_way.pop()
                elif isinstance(item, Found):
                    yield item
                elif (directory := self._read(item.path)) is not None:
                    under_way.append(self._items(item, directory))
        finally:
            self._directories.left_out.tell()

    def _items(self, level: _Level, directory: Directory) -> Iterator[Found | _Level]:
        """Yield the files of a directory, and the directories to go into."""
        path, base, parents = level
        after = self._after[len(base) :] if self._after.startswith(base) else ""
        prefix = self._prefix[len(base) :] if self._prefix.startswith(base) else ""
        for key in directory.select(prefix, after):
            name = base + key
            if not key.endswith("/"):
                yield Found(name, f"{path}/{key}")
            elif not self._recursive and not self._above_level(name):
                if name > self._after:
                    yield Found(name, None)
            elif key not in directory.links:
                yield _Level(f"{path}/{key[:-1]}", name, parents)
            elif (target := self._locate(f"{path}/{key[:-1]}")) is not None:
                chain = (*parents, path)
                if not any(f"{parent}/".startswith(f"{target}/") for parent in chain):
                    yield _Level(target, name, chain)

    def _read(self, path: str) -> Directory | None:
        """Return what is in a directory; None if it has gone meanwhile, or is out of reach.

        Raises:
            Refusal: The gateway may not read it: without it a listing would be short.
        """
        try:
            return self._directories.read(path)
        except (FileNotFoundError, NotADirectoryError, LeadsOutError):
            return None
        except PermissionError:
            raise Refusal(403, f"{path}: the gateway may not read this folder") from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            self._directories.left_out.add(path, TOO_DEEP)
            return None

    def _locate(self, path: str) -> str | None:
        try:
            return self._directories.locate(path)
        except (OSError, LeadsOutError):
            return None

    def _above_level(self, name: str) -> bool:
        """Say whether a directory is above the level that is listed, to which the prefix leads."""
        return f"{self._prefix.rstrip('/')}/".startswith(name)


def prefix_in(directories: Directories, root: str, prefix: str) -> str:
    """Return what AIStore lists for a prefix: where that names a folder, the folder alone.

    "train" gives train/a, and not train-b. Only listings have this; jobs take a prefix as it is
    (seen on a live cluster of AIStore 5.0).

    Args:
        directories: Where to read directories.
        root: The bucket's folder, counted from the served folder.
        prefix: As the client gave it, checked.
    """
    if not prefix or prefix.endswith("/"):
        return prefix
    try:
        directories.locate(f"{root}/{prefix}")
    except (OSError, ValueError, LeadsOutError):
        return prefix
    return f"{prefix}/"


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
