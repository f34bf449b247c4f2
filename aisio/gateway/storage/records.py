"""Values about stored objects: the state of a file, and what is on record for it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aisio.records import Checksum

_INT64 = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class FileState:
    """What of a file must be unchanged for its record to count.

    Anyone can set size and mtime, as programs that copy or unpack files do. Nobody can set ctime.
    """

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """Return the state that a stat call shows."""
        inode = status.st_ino & _INT64  # as SQLite can store it
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode)

    def has_same_bytes_as(self, before: FileState) -> bool:
        """Tell whether an open file was not written to; its name and mode may have changed."""
        return (self.size_bytes, self.mtime_ns) == (before.size_bytes, before.mtime_ns)


class FileIdentity(NamedTuple):
    """Which file a name stands for at some moment, to compare with a later one, as an ETag is.

    Attributes:
        device: Of the file; 0 if there is none.
        state: Of the file; None if there is none.
    """

    device: int = 0
    state: FileState | None = None

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """Return the identity that a stat call shows."""
        return cls(status.st_dev, FileState.of(status))


NO_FILE = FileIdentity()
"""The identity where a name stands for no file."""


class MultipartInfo(NamedTuple):
    """The parts that an object was uploaded in.

    Attributes:
        part_count: How many there are.
        largest_part_bytes: The size of the largest.
        runs: Their sizes in order, each with the number of parts in a row that have it; () where an
            earlier gateway recorded none.
    """

    part_count: int
    largest_part_bytes: int
    runs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, sizes: Sequence[int]) -> MultipartInfo:
        """Return what there is to say of parts of these sizes."""
        runs = tuple((size, len([*same])) for size, same in itertools.groupby(sizes))
        return cls(len(sizes), max(sizes), runs)

    def bounds(self, number: int) -> tuple[int, int] | None:
        """Return the start and stop of a part, the first of which has number 1; None for none."""
        start, left = 0, number - 1
        for size, count in self.runs if left >= 0 else ():
            if left < count:
                start += left * size
                return start, start + size
            start += count * size
            left -= count
        return None


@dataclass(frozen=True, slots=True)
class Record:
    """What is on record for one object.

    Attributes:
        state: Of the file that it was recorded for.
        checksum: XXH64 of the whole object, hexadecimal.
        version: 1 for the first content of that name, +1 each time it is replaced; 0 for none.
        custom: Custom metadata.
        multipart: How it was uploaded in parts; None if it was not.
    """

    state: FileState
    checksum: str
    version: int
    custom: Mapping[str, str] = field(default_factory=dict)
    multipart: MultipartInfo | None = None

    @property
    def full_checksum(self) -> Checksum:
        """The checksum with its type."""
        return Checksum("xxhash2", self.checksum)
