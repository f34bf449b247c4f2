"""Listings that show what is inside archives: each archive's members follow it, under its name.

AIStore 5.0 cuts such a page at its size and loses the members after the cut. Here the next page
continues with them: all names, of objects and members, come in bytewise order, so a name is enough
to continue from.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterator
from heapq import heappop, heappush, heapreplace
from typing import NamedTuple, TypeAlias

from aisio.gateway.archives.formats import FORMATS, format_of_name
from aisio.gateway.archives.index import Index, display_name
from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.logs import RateLimitedLog
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, check_name
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.walk import WalkEntry

_damage_log = RateLimitedLog(logging.getLogger(__name__))


class MemberEntry(NamedTuple):
    """A member of an archive.

    Attributes:
        name: The archive's name, a slash, and the member's.
        size_bytes: Of its payload.
    """

    name: str
    size_bytes: int


class ArchiveEntry(NamedTuple):
    """An object that is an archive.

    Attributes:
        name: Its name.
        path: Its file.
        content: What is in it.
    """

    name: str
    path: str
    content: Index

    def members(self, after: str = "") -> Iterator[MemberEntry]:
        """Yield its members in order, those that sort after a name."""
        base, files = f"{self.name}/", self.content.sorted_files
        start = 0
        if after.startswith(base):
            start = bisect_right(files, after[len(base) :], key=display_name)
        elif after > base:
            return
        for position in range(start, len(files)):
            member = files[position]
            yield MemberEntry(base + display_name(member), member.size_bytes)


ListingEntry: TypeAlias = "WalkEntry | ArchiveEntry | MemberEntry"


class ArchiveListing:
    """Puts the members of archives into a listing of objects.

    Args:
        folder: The served folder.
        indexes: The indexes of its archives.
        bucket: The bucket that is listed.
    """

    def __init__(self, folder: Folder, indexes: IndexCache, bucket: BucketName) -> None:
        self._folder = folder
        self._indexes = indexes
        self._bucket = bucket

    def merge(
        self, objects: Iterator[WalkEntry], prefix: str, after: str
    ) -> Iterator[ListingEntry]:
        """Yield objects and members in order.

        Args:
            objects: The objects that sort after a name, in order.
            prefix: What the names of archives must begin with, too.
            after: The name that members must sort after, too.
        """
        members = _MemberHeap()
        for name in _possible_archives(after):
            archive = self._open(WalkEntry(name, "")) if name.startswith(prefix) else None
            if archive is not None:
                members.push(archive.members(after))
        for entry in objects:
            yield from members.pop_before(entry.name)
            archive = self._open(entry)
            yield archive or entry
            if archive is not None:
                members.push(archive.members())
        yield from members.pop_before(None)

    def _open(self, entry: WalkEntry) -> ArchiveEntry | None:
        """Return an object as an archive; None if it is not one, or damaged."""
        archive_format, url = format_of_name(entry.name), f"{self._bucket.url}/{entry.name}"
        if not archive_format or entry.path is None:
            return None
        try:
            # The name may be a client's, and lead out of the bucket.
            opened = self._folder.open_object(self._bucket, check_name(entry.name))
            with opened.file:
                index = self._indexes.load(opened.file, opened.status, archive_format)
        except Refusal as refusal:
            if refusal.status == 501:
                _damage_log.warning(f"{url} is listed without its members: {refusal.message}")
            return None
        if index.damage:
            _damage_log.warning(f"{url} is listed without its members: {index.damage}")
            return None
        return ArchiveEntry(entry.name, entry.path, index)


class _MemberHeap:
    """Merges the members of several archives, each of which yields them in order."""

    def __init__(self) -> None:
        # The next member of each archive, a number that breaks ties, and the members after it.
        self._heap: list[tuple[MemberEntry, int, Iterator[MemberEntry]]] = []

    def push(self, members: Iterator[MemberEntry]) -> None:
        """Add the members of an archive."""
        first = next(members, None)
        if first is not None:
            heappush(self._heap, (first, id(members), members))

    def pop_before(self, stop: str | None) -> Iterator[MemberEntry]:
        """Yield, in order, the members whose names sort before one; None for all."""
        heap = self._heap
        while heap and (stop is None or heap[0][0].name < stop):
            member, number, members = heap[0]
            yield member
            following = next(members, None)
            if following is None:
                heappop(heap)
            else:
                heapreplace(heap, (following, number, members))


def _possible_archives(name: str) -> Iterator[str]:
    """Yield the names of archives whose members may sort after a name: it begins with them."""
    for ending in FORMATS:
        start = 0
        while (start := name.find(ending, start)) >= 0:
            start += len(ending)
            yield name[:start]
