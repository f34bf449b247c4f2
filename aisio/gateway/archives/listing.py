"""Listings that show what is inside archives: each archive's members follow it, under its name.

AIStore 5.0 cuts such a page at its size and loses the members behind the cut. Here the next page
goes on with them: all names, of objects and members, come in bytewise order, so that a name is a
place.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterator
from heapq import heappop, heappush, heapreplace
from typing import NamedTuple, TypeAlias

from aisio.gateway.archives.index import (
    FORMS,
    Archives,
    Index,
    form_of_name,
    listed_name,
)
from aisio.gateway.logs import SeldomLog
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.walk import Found

_damaged = SeldomLog(logging.getLogger(__name__))


class Shard(NamedTuple):
    """An object that is an archive.

    Attributes:
        name: Its name.
        path: Its file.
        content: What is in it.
    """

    name: str
    path: str
    content: Index

    def members(self, after: str = "") -> Iterator[Inside]:
        """Yield what is in it, in order, behind a name."""
        head, files = f"{self.name}/", self.content.listed
        start = 0
        if after.startswith(head):
            start = bisect_right(files, after[len(head) :], key=listed_name)
        elif after > head:
            return
        for position in range(start, len(files)):
            member = files[position]
            yield Inside(head + listed_name(member), member.size_bytes)


class Inside(NamedTuple):
    """A member of an archive.

    Attributes:
        name: The archive's name, a slash, and the member's.
        size_bytes: Of its payload.
    """

    name: str
    size_bytes: int


Listed: TypeAlias = "Found | Shard | Inside"


class ArchiveListing:
    """Puts the members of archives into a listing of objects.

    Args:
        folder: The served folder.
        archives: What is known of its archives.
        bucket: What is listed.
    """

    def __init__(self, folder: Folder, archives: Archives, bucket: BucketName) -> None:
        self._folder = folder
        self._archives = archives
        self._bucket = bucket

    def merge(self, found: Iterator[Found], prefix: str, after: str) -> Iterator[Listed]:
        """Yield objects and members in order.

        Args:
            found: The objects, in order.
            prefix: What the names of archives must begin with, too.
            after: Only names behind it.
        """
        waiting = list[tuple[Inside, int, Iterator[Inside]]]()
        for name in _archives_on_the_way(after):
            shard = self._open(Found(name, "")) if name.startswith(prefix) else None
            if shard is not None:
                _wait(waiting, shard.members(after))
        for item in found:
            yield from _take_until(waiting, lambda name, stop=item.name: name < stop)  # type: ignore[misc]
            shard = self._open(item)
            yield shard or item
            if shard is not None:
                _wait(waiting, shard.members())
        yield from _take_until(waiting, lambda name: True)

    def _open(self, found: Found) -> Shard | None:
        """Return the archive that an object is; None if it is none, or damaged."""
        form = form_of_name(found.name)
        if not form or found.path is None:
            return None
        try:
            opened = self._folder.open_object(self._bucket, found.name)
            with opened.file:
                index = self._archives.index(opened.file, opened.status, form)
        except Refusal:
            return None
        if index.damage:
            url = f"{self._bucket.url}/{found.name}"
            _damaged.warning(f"{url} is listed without its members: {index.damage}")
            return None
        return Shard(found.name, found.path, index)


def _wait(waiting: list[tuple[Inside, int, Iterator[Inside]]], members: Iterator[Inside]) -> None:
    first = next(members, None)
    if first is not None:
        heappush(waiting, (first, id(members), members))


def _take_until(
    waiting: list[tuple[Inside, int, Iterator[Inside]]], is_due: Callable[[str], bool]
) -> Iterator[Inside]:
    while waiting and is_due(waiting[0][0].name):
        member, number, members = waiting[0]
        yield member
        following = next(members, None)
        if following is None:
            heappop(waiting)
        else:
            heapreplace(waiting, (following, number, members))


def _archives_on_the_way(name: str) -> Iterator[str]:
    """Yield the names of archives whose members may come behind a name: it begins with them."""
    for ending in FORMS:
        start = 0
        while (start := name.find(ending, start)) >= 0:
            start += len(ending)
            yield name[:start]
