"""ListingView: what one process has read of a ListingFile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aisio.forks import this_process
from aisio.sources.base import Source
from aisio.sources.listing_table import ListingTable
from aisio.training.listing.listing_file import MIN_MAPPED_BYTES, ListingFile, Record, RecordKind

__all__ = ["ListingView"]

_MAX_COPIED_BYTES = 16 << 20
"""How much of the file a process copies while the listing is made."""


class ListingView:
    """The tables of a ListingFile's parts; its threads share it. A forked process makes another.

    Args:
        file: The file.
        sources: The sources, by number.

    Attributes:
        process: The process that has this view.
        changed: Held while the view or the file is used; notified when there is more.
        ended: The parts that are complete.
        restarts: How often each part was listed anew, since the objects had changed.
        roles: PUBLISHED or UNSHARED, for the parts for which this rank has decided.
        listers: What lists a part in this process.
    """

    def __init__(self, file: ListingFile, sources: Sequence[Source]) -> None:
        self.process = this_process()
        self.changed = threading.Condition(threading.RLock())
        self.listers: dict[int, Any] = {}
        self._file = file
        self._sources = sources
        self._forget()

    def _forget(self) -> None:
        self._tables: dict[int, ListingTable] = {}
        self._end = 0
        self._copied_bytes = 0
        self.ended: set[int] = set()
        self.restarts: Counter[int] = Counter()
        self.roles: dict[int, RecordKind] = {}

    def table(self, part: int) -> ListingTable:
        """Return what is known of a part; it grows until the part is complete."""
        return self._tables.setdefault(part, ListingTable(self._sources))

    def has_more(self, part: int, known: int) -> bool:
        """Return whether a part is complete, or has more rows than are known."""
        return part in self.ended or len(self.table(part)) > known

    def update(self) -> None:
        """Read what processes have appended."""
        ended = len(self.ended)
        self._read()
        limit = MIN_MAPPED_BYTES if len(self.ended) > ended else _MAX_COPIED_BYTES
        if self._copied_bytes > limit:
            # All processes have the same pages of a file that is mapped.
            self._forget()
            self._read()

    def _read(self) -> None:
        records, self._end = self._file.read(self._end)
        for record in records:
            self._apply(record)

    def _apply(self, record: Record) -> None:
        part = record.part
        if record.kind is RecordKind.BLOCK:
            self.table(part).append(record.data, record.start)
            self._copied_bytes += len(record.data) if isinstance(record.data, bytes) else 0
        elif record.kind is RecordKind.END:
            self.ended.add(part)
        elif record.kind is RecordKind.RESTART:
            self._tables[part] = ListingTable(self._sources)
            self.restarts[part] += 1
        else:
            self.roles[part] = record.kind

    def append(self, kind: RecordKind, part: int, payload: bytes = b"") -> int:
        """Append to the file; return how many rows the part has gained.

        Raises:
            OSError: The file cannot be written.
        """
        with self.changed:
            before = len(self.table(part))
            self._file.append(kind, part, payload)
            self.update()
            self.changed.notify_all()
            return len(self.table(part)) - before

    def release(self, part: int) -> None:
        """Say that this process does not list a part any more."""
        self.listers.pop(part, None)
        self._file.unlock(part)
