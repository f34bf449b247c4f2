"""The files that are packed: those of a folder, and small ones that packing makes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec
from xxhash import xxh3_64_intdigest

from aisio.errors import StorageError
from aisio.folder_walk import OnBrokenLink, walk
from aisio.shards.samples import split_name

__all__ = [
    "FolderFile",
    "GeneratedFile",
    "NameCount",
    "NameCounter",
    "PackFile",
    "PackSample",
    "file_version",
    "folder_samples",
    "walk_folder",
]

_EXAMPLES = 3


class FolderFile(msgspec.Struct, frozen=True, gc=False):
    """A file below a folder.

    Attributes:
        name: Its path from the folder, with "/".
        size_bytes: Its size when the folder was walked.
        version: What differs where the file was written again; see `file_version`.
    """

    name: str
    size_bytes: int
    version: int = 0


class GeneratedFile(msgspec.Struct, frozen=True, gc=False):
    """A member of a shard that is no file of the folder, such as a label.

    Attributes:
        name: Its name in the shard.
        data: Its content.
    """

    name: str
    data: bytes

    @property
    def size_bytes(self) -> int:
        """Size of the content."""
        return len(self.data)


PackFile: TypeAlias = FolderFile | GeneratedFile


class PackSample(msgspec.Struct, frozen=True, gc=False):
    """A sample that is to be packed.

    Attributes:
        key: Its key.
        members: Its files, sorted by extension.
        label: The name of its class; None if it has none.
    """

    key: str
    members: tuple[PackFile, ...]
    label: str | None = None

    @property
    def folder(self) -> str:
        """The first folder of the key; "" for none."""
        return self.key.partition("/")[0] if "/" in self.key else ""

    @property
    def extensions(self) -> list[str]:
        """The extensions of the files, in order."""
        return [member.name[len(self.key) + 1 :] for member in self.members]

    def with_member(self, member: PackFile) -> PackSample:
        """Return the sample with one more file, in its place."""
        members = sorted((*self.members, member), key=lambda one: one.name)
        return msgspec.structs.replace(self, members=tuple(members))


class NameCount(msgspec.Struct, frozen=True):
    """How many samples or files are of one kind.

    Attributes:
        what: The kind: a set of extensions as in "cls, jpg", or why files are left out.
        count: Number of samples or files.
        examples: Names of the first few.
    """

    what: str
    count: int
    examples: tuple[str, ...]

    def describe(self, link: str = "") -> str:
        """Return the count as text, with an optional word between number and kind."""
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.count:,} {link}{self.what} ({', '.join(self.examples)}{more})"


class NameCounter:
    """Counts names by kind, and keeps the first few of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, what: str, name: str) -> None:
        """Count a name."""
        self._counts[what] = self._counts.get(what, 0) + 1
        examples = self._examples.setdefault(what, [])
        if len(examples) < _EXAMPLES:
            examples.append(name)

    def counts(self) -> tuple[NameCount, ...]:
        """Return the kinds in the order in which they were met."""
        return tuple(
            NameCount(what, count, tuple(self._examples[what]))
            for what, count in self._counts.items()
        )


def walk_folder(folder: Path, *, on_error: OnBrokenLink | None = None) -> Iterator[FolderFile]:
    """Walk the regular files below a folder, links followed, hidden ones included.

    Args:
        folder: Where to look.
        on_error: See `walk`.

    Raises:
        StorageError: The folder cannot be read, or a link leads to no file.
    """
    try:
        for file in walk(str(folder), on_error=on_error):
            yield FolderFile(file.name, file.stat.st_size, file_version(file.stat))
    except OSError as error:
        raise StorageError(f"{error.filename or folder}: {error.strerror}") from error


def file_version(status: os.stat_result) -> int:
    """Return a number that changes when the file is written again, replaced or given other times.

    The time of the last change to the inode is in it, which no program can set.
    """
    state = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)
    return xxh3_64_intdigest("-".join(map(str, state)).encode())


def folder_samples(folder: Path, skipped: NameCounter) -> list[PackSample]:
    """Return the samples of a folder, sorted by key; count the files that are part of none.

    Raises:
        StorageError: See `walk_folder`.
    """
    rows = []
    for file in walk_folder(folder):
        if any(part.startswith(".") for part in file.name.split("/")):
            skipped.add("hidden", file.name)
        elif (split := split_name(file.name)) is None:
            skipped.add("without extension", file.name)
        else:
            rows.append((*split, file))
    rows.sort(key=lambda row: row[:2])
    return list(_grouped(rows))


def _grouped(rows: Iterable[tuple[str, str, FolderFile]]) -> Iterator[PackSample]:
    key, members = None, list[FolderFile]()
    for row_key, _, file in rows:
        if key is not None and row_key != key:
            yield PackSample(key, tuple(members))
            members = []
        key = row_key
        members.append(file)
    if key is not None:
        yield PackSample(key, tuple(members))
