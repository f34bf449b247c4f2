"""ListingFile: what the processes of a rank know of a listing, in a file that they share.

Each record is appended as a whole. A process reads the records that follow those it has read. Locks
say which process lists what, and end with the process that has them.

Source:
    fcntl(2): a lock of a range belongs to a process. It is not inherited by a fork, and ends when
    the process ends, or closes any descriptor of the file; so the locks have a file of their own,
    which is never mapped.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from mmap import ACCESS_READ, ALLOCATIONGRANULARITY, mmap
from typing import NamedTuple

from aisio.anonymous_file import AnonymousFile

__all__ = ["MIN_MAPPED_BYTES", "ListingFile", "Record", "RecordKind"]

_HEAD = struct.Struct("=BIQ")
_END = struct.Struct("=Q")
MIN_MAPPED_BYTES = 1 << 20
"""More bytes than these are mapped, so that all processes have the same pages."""

_APPEND_LOCK = 0


class RecordKind(IntEnum):
    """What a record says of a part of the listing."""

    BLOCK = 1
    """The next rows."""
    END = 2
    """All rows are there."""
    RESTART = 3
    """The rows so far do not count: the objects have changed."""
    PUBLISHED = 4
    """This rank lists for the others."""
    UNSHARED = 5
    """This rank lists for itself."""


class Record(NamedTuple):
    """A record of a ListingFile.

    Attributes:
        kind: What it says.
        part: Of which part of the listing.
        data: What holds the payload: the payload, or a file.
        start: Where in it the payload begins.
    """

    kind: RecordKind
    part: int
    data: bytes | mmap
    start: int


class ListingFile:
    """A file of records, and locks. Threads of a process must take turns.

    It pickles only to a process that multiprocessing starts.
    """

    def __init__(self) -> None:
        self._file = AnonymousFile()
        self._locks = AnonymousFile()

    def append(self, kind: RecordKind, part: int, payload: bytes = b"") -> None:
        """Append a record.

        Raises:
            OSError: The file cannot be written.
        """
        with self._appending(fcntl.LOCK_EX):
            end = self._end()
            self._file.write(_HEAD.pack(kind, part, len(payload)) + payload, end)
            # Last: a process that is killed before has appended nothing.
            self._file.write(_END.pack(end + _HEAD.size + len(payload)), 0)

    def read(self, start: int = 0) -> tuple[list[Record], int]:
        """Return the records from a byte of the file on, and where the next will begin."""
        start = max(start, _END.size)
        with self._appending(fcntl.LOCK_SH):
            end = self._end()
        if end == start:
            return [], end
        data, offset = self._load(start, end)
        records = []
        while start < end:
            kind, part, length = _HEAD.unpack_from(data, start - offset)
            start += _HEAD.size
            at, stop = start - offset, start - offset + length
            is_mapped = isinstance(data, mmap)
            payload = (data, at) if is_mapped else (data[at:stop], 0)
            records.append(Record(RecordKind(kind), part, *payload))
            start += length
        return records, end

    def try_lock(self, part: int) -> bool:
        """Lock a part of the listing for this process; return False if another has it."""
        try:
            self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB, part + 1)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(self, part: int) -> None:
        """Let another process lock a part."""
        self._lock(fcntl.LOCK_UN, part + 1)

    def _load(self, start: int, end: int) -> tuple[bytes | mmap, int]:
        """Return bytes of the file, and the byte of the file that is their first."""
        descriptor = self._file.descriptor
        if end - start < MIN_MAPPED_BYTES:
            return os.pread(descriptor, end - start, start), start
        offset = start - start % ALLOCATIONGRANULARITY
        return mmap(descriptor, end - offset, access=ACCESS_READ, offset=offset), offset

    def _end(self) -> int:
        data = os.pread(self._file.descriptor, _END.size, 0)
        return int(_END.unpack(data)[0]) if data else _END.size

    @contextmanager
    def _appending(self, mode: int) -> Iterator[None]:
        self._lock(mode, _APPEND_LOCK)
        try:
            yield
        finally:
            self._lock(fcntl.LOCK_UN, _APPEND_LOCK)

    def _lock(self, mode: int, number: int) -> None:
        fcntl.lockf(self._locks.descriptor, mode, 1, number)
