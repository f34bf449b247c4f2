"""Walking a bucket's names in bytewise order, from any point on.

A directory's entries are sorted with "/" added to the names of directories. Walked depth first,
that order is the bytewise order of the full names ("a.txt" < "a/b", as "." < "/"), so a walk can
start anywhere: directories that lie wholly before that point, or outside the prefix, are not read.

A page of a listing needs a part of a directory, but the file system returns it whole. So the last
large directories stay in memory, sorted, for as long as their time of change says that they are
the same.
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
from aisio.gateway.storage.safe_opener import (
    LIST_FOLDER_FLAGS,
    OpenPath,
    PathEscapesError,
    SafeOpener,
)
from aisio.gateway.storage.skipped import (
    NOT_A_FILE,
    NOT_UTF8,
    PATH_TOO_LONG,
    SkippedNames,
    link_status,
)

_SETTLED_NS = 2_000_000_000
"""A directory that changed more recently may change again within the same tick of its clock."""

_MIN_CACHED_NAMES = 1000
_MAX_CACHED = 16


@dataclass(frozen=True, slots=True)
class Directory:
    """The entries of a directory.

    Attributes:
        keys: Names of files, and names of directories with "/" at their end; sorted.
        links: Those directories that are symbolic links.
    """

    keys: list[str]
    links: frozenset[str]

    def select(self, prefix: str, after: str) -> Iterator[str]:
        """Yield, in order, the keys that are wanted or may have wanted names below them.

        Args:
            prefix: What wanted names begin with, counted from this directory.
            after: The name that wanted ones come after, counted likewise.
        """
        parent_of_after = after[: after.find("/") + 1]
        if "/" in prefix:
            key = prefix[: prefix.find("/") + 1]
            if self._has(key) and (key > after or key == parent_of_after):
                yield key
            return
        if parent_of_after.startswith(prefix) and self._has(parent_of_after):
            yield parent_of_after
        start = max(bisect_right(self.keys, after), bisect_left(self.keys, prefix))
        for index in range(start, len(self.keys)):
            if not self.keys[index].startswith(prefix):
                return
            yield self.keys[index]

    def _has(self, key: str) -> bool:
        index = bisect_left(self.keys, key)
        return bool(key) and index < len(self.keys) and self.keys[index] == key


class DirectoryReader:
    """Reads the directories of the served folder, and caches large ones.

    Args:
        opener: Opens paths of the served folder.
        skipped: Where to note entries that are not served.
    """

    def __init__(self, opener: SafeOpener, skipped: SkippedNames) -> None:
        self.skipped = skipped
        self._opener = opener
        self._cache: dict[str, tuple[tuple[int, int, int], Directory]] = {}

    def read(self, path: str) -> Directory:
        """Return the entries of a directory as they are now.

        Args:
            path: Counted from the served folder.

        Raises:
            PathEscapesError: It leads out of the served folder.
            OSError: It cannot be read.
        """
        with self._opener.open_folder(path, LIST_FOLDER_FLAGS) as folder:
            status = os.fstat(folder.fd)
            state = (status.st_ctime_ns, status.st_ino, status.st_dev)
            cached = self._cache.get(folder.path)
            if cached is not None and cached[0] == state:
                return cached[1]
            directory = self._scan(folder)
        is_settled = time.time_ns() - status.st_ctime_ns > _SETTLED_NS
        if len(directory.keys) >= _MIN_CACHED_NAMES and is_settled:
            while len(self._cache) >= _MAX_CACHED:
                self._cache.pop(next(iter(self._cache)), None)
            self._cache[folder.path] = state, directory
        return directory

    def resolve(self, path: str) -> str:
        """Return the path of an existing directory without links.

        Raises:
            PathEscapesError: It leads out of the served folder.
            OSError: It does not exist.
        """
        with self._opener.open_folder(path) as folder:
            return folder.path

    def _scan(self, folder: OpenPath) -> Directory:
        keys, links = [], []
        with os.scandir(folder.fd) as entries:
            for entry in entries:
                key = entry.name
                if not key.isascii() and not _is_utf8(key):
                    self.skipped.add(f"{folder.path}/{key}", NOT_UTF8)
                    continue
                is_link = entry.is_symlink()
                if is_link:
                    status = link_status(self._opener, f"{folder.path}/{key}", self.skipped)
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
                    self.skipped.add(f"{folder.path}/{key}", NOT_A_FILE)
        keys.sort()
        return Directory(keys, frozenset(links))


class WalkEntry(NamedTuple):
    """A name that a walk yields.

    Attributes:
        name: Counted from the bucket.
        path: Counted from the served folder; None for a directory.
    """

    name: str
    path: str | None


class _Level(NamedTuple):
    """A directory that the walk enters.

    Attributes:
        path: Counted from the served folder, without links.
        base: Its name in the bucket, with "/" at its end; "" for the bucket itself.
        parents: The directories that links were followed from, so that loops end.
    """

    path: str
    base: str = ""
    parents: tuple[str, ...] = ()


class Walk:
    """A walk over the names of a bucket.

    Args:
        directories: Reads directories.
        prefix: Only names that begin with it.
        after: Only names that sort after it.
        recursive: False stops at the directories of one level, and yields these.
    """

    def __init__(
        self, directories: DirectoryReader, prefix: str, after: str, *, recursive: bool
    ) -> None:
        self._directories = directories
        self._prefix = prefix
        self._after = after
        self._recursive = recursive
        self._entered: list[tuple[str, Iterator[WalkEntry | _Level]]] = []

    def below(self, path: str) -> Iterator[WalkEntry]:
        """Yield what is in a directory, sorted. What is deleted during the walk is left out.

        Args:
            path: The directory, counted from the served folder, without links.

        Raises:
            FileNotFoundError: The directory itself does not exist.
            OSError: A directory cannot be read.
            Refusal: The gateway may not read a directory.
        """
        # A stack instead of recursion: names may have thousands of parts.
        self._enter(_Level(path), self._directories.read(path))
        try:
            while self._entered:
                item = next(self._entered[-1][1], None)
                if item is None:
                    self._entered.pop()
                elif isinstance(item, WalkEntry):
                    yield item
                elif (directory := self._read(item.path)) is not None:
                    self._enter(item, directory)
        finally:
            self._directories.skipped.log()

    def leave(self, base: str) -> None:
        """Go on behind a directory: no more names below it are yielded.

        Args:
            base: Its name, with "/" at its end; the last yielded name is below it.
        """
        while self._entered[-1][0].startswith(base):
            self._entered.pop()

    def _enter(self, level: _Level, directory: Directory) -> None:
        self._entered.append((level.base, self._entries(level, directory)))

    def _entries(self, level: _Level, directory: Directory) -> Iterator[WalkEntry | _Level]:
        """Yield the files of a directory, and the directories to enter."""
        path, base, parents = level
        after = self._after[len(base) :] if self._after.startswith(base) else ""
        prefix = self._prefix[len(base) :] if self._prefix.startswith(base) else ""
        for key in directory.select(prefix, after):
            name = base + key
            if not key.endswith("/"):
                yield WalkEntry(name, f"{path}/{key}")
            elif not self._recursive and not self._leads_to_prefix(name):
                if name > self._after:
                    yield WalkEntry(name, None)
            elif key not in directory.links:
                yield _Level(f"{path}/{key[:-1]}", name, parents)
            elif (target := self._resolve(f"{path}/{key[:-1]}")) is not None:
                chain = (*parents, path)
                if not any(f"{parent}/".startswith(f"{target}/") for parent in chain):
                    yield _Level(target, name, chain)

    def _read(self, path: str) -> Directory | None:
        """Return the entries of a directory; None if it no longer exists or is out of reach.

        Raises:
            Refusal: The gateway may not read it: without it a listing would be short.
        """
        try:
            return self._directories.read(path)
        except (FileNotFoundError, NotADirectoryError, PathEscapesError):
            return None
        except PermissionError:
            raise Refusal(403, f"{path}: the gateway may not read this folder") from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            self._directories.skipped.add(path, PATH_TOO_LONG)
            return None

    def _resolve(self, path: str) -> str | None:
        try:
            return self._directories.resolve(path)
        except (OSError, PathEscapesError):
            return None

    def _leads_to_prefix(self, name: str) -> bool:
        """Tell whether a directory contains the level that the prefix selects."""
        return f"{self._prefix.rstrip('/')}/".startswith(name)


def listing_prefix(directories: DirectoryReader, bucket_path: str, prefix: str) -> str:
    """Return the prefix that a listing means: where it names a folder, the names in that folder.

    "train" selects train/a, and not train-b. Only listings have this; jobs take a prefix as it is
    (seen on a live cluster of AIStore 5.0).

    Args:
        directories: Reads directories.
        bucket_path: The bucket's folder, counted from the served folder.
        prefix: As the client sent it, checked.
    """
    if not prefix or prefix.endswith("/"):
        return prefix
    try:
        directories.resolve(f"{bucket_path}/{prefix}")
    except (OSError, ValueError, PathEscapesError):
        return prefix
    return f"{prefix}/"


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
