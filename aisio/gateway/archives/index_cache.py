"""Keeps the indexes of archives in memory, so that further members of an archive cost one seek.

An index belongs to one state of the file. 1,000,000 members take about 300 MB: that is the limit,
for one archive and for all together.
"""

from __future__ import annotations

import io
import os
import threading
from typing import TypeAlias

from aisio.gateway.archives.index import MAX_MEMBERS, Index, read_index
from aisio.gateway.storage.records import FileState

_LOAD_LOCKS = 16

_Key: TypeAlias = tuple[int, FileState, str]


class IndexCache:
    """The indexes of the archives that are in use; for any number of threads.

    Args:
        max_members: How many members to keep in all; the archives used last stay. Long names count
            as several members.
    """

    def __init__(self, *, max_members: int = MAX_MEMBERS) -> None:
        self._max_members = max_members
        self._lock = threading.Lock()
        self._load_locks = tuple(threading.Lock() for _ in range(_LOAD_LOCKS))
        # The least recently used one is the first.
        self._indexes: dict[_Key, Index] = {}
        self._members = 0

    def cached(self, status: os.stat_result, archive_format: str) -> Index | None:
        """Return the index of an archive, if it was read in its present state."""
        key = _key(status, archive_format)
        with self._lock:
            index = self._indexes.pop(key, None)
            if index is not None:
                self._indexes[key] = index
        return index

    def load(self, file: io.FileIO, status: os.stat_result, archive_format: str) -> Index:
        """Return the index of an open archive; reads it through if it is not cached.

        Raises:
            Refusal: Its format cannot be read on this machine.
        """
        key = _key(status, archive_format)
        # Several requests for a new archive wait for one of them to read it through.
        with self._load_locks[hash(key) % len(self._load_locks)]:
            index = self.cached(status, archive_format)
            if index is None:
                index = read_index(file, archive_format)
                self._add(key, index)
        return index

    def _add(self, key: _Key, index: Index) -> None:
        with self._lock:
            self._indexes[key] = index
            self._members += index.cost
            while self._members > self._max_members and len(self._indexes) > 1:
                oldest = next(iter(self._indexes))
                self._members -= self._indexes.pop(oldest).cost


def _key(status: os.stat_result, archive_format: str) -> _Key:
    return status.st_dev, FileState.of(status), archive_format
