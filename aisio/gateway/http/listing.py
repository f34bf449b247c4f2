"""Listing a bucket page by page. A page's token is its last name: no state is kept in between."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.archives.listing import ArchiveEntry, ArchiveListing, ListingEntry, MemberEntry
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, check_prefix
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.records import FileState, Record
from aisio.gateway.storage.status_reader import StatusReader
from aisio.gateway.storage.walk import DirectoryReader, Walk, listing_prefix
from aisio.wire.listing import (
    ARCHIVES,
    CACHED,
    DIFF,
    IN_ARCHIVE,
    IN_CLUSTER,
    IN_PARTS,
    INVENTORY,
    IS_ARCHIVE,
    IS_DIRECTORY,
    NAME_ONLY,
    NAME_SIZE,
    NO_RECURSION,
    NOT_CACHED,
    PackedEntry,
)

MAX_PAGE_ENTRIES = 10_000
"""AIStore's own limit for `ais://` buckets."""

_FROM_RECORD = frozenset({"checksum", "version", "custom", "chunked"})
_FROM_FILE = _FROM_RECORD | {"size", "atime"}


class ListMessage(msgspec.Struct):
    """A listing request: AIStore's LsoMsg, without the fields that have no meaning for a folder."""

    uuid: str = ""
    props: str = ""
    prefix: str = ""
    start_after: str = ""
    continuation_token: str = ""
    flags: str = "0"
    pagesize: int = 0

    @property
    def mask(self) -> int:
        """The flags as a number."""
        return int(self.flags or "0")

    @property
    def wanted(self) -> frozenset[str]:
        """The properties to send; flags that imply some take precedence over the list."""
        if self.mask & NAME_ONLY:
            return frozenset({"name"})
        if self.mask & NAME_SIZE:
            return frozenset({"name", "size"})
        if self.props:
            return frozenset(self.props.replace(" ", "").split(","))
        return frozenset(
            {"name", "size", "checksum", "atime"} if self.mask & CACHED else {"name", "size"}
        )


class Page(NamedTuple):
    """One page, and the token of the next one ("" after the last)."""

    entries: list[PackedEntry]
    token: str


class BucketListing:
    """Lists the buckets of a folder.

    Args:
        folder: The served folder.
        directories: Its directories' contents.
        archives: The indexes of its archives.
        location: The value of the property "location".
    """

    def __init__(
        self, folder: Folder, directories: DirectoryReader, archives: IndexCache, location: str
    ) -> None:
        self._folder = folder
        self._directories = directories
        self._archives = archives
        self._location = location

    def page(self, bucket: BucketName, message: ListMessage) -> Page:
        """Return one page of a bucket's listing.

        Args:
            bucket: The bucket.
            message: What to list, and where to start.

        Raises:
            Refusal: There is no such bucket, or AIStore refuses such a message.
        """
        _check(bucket, message)
        root = self._folder.bucket_path(bucket)
        names = self._names(bucket, root, message)
        size = min(message.pagesize or MAX_PAGE_ENTRIES, MAX_PAGE_ENTRIES)
        try:
            on_page = list(islice(names, size))
        except FileNotFoundError:
            self._folder.bucket_path(bucket)  # 404 if the bucket was destroyed meanwhile
            raise
        is_full = len(on_page) == size
        if is_full:
            on_page += _same_name(names, on_page[-1].name)
        entries = self._entries(bucket, on_page, message.wanted)
        return Page(entries, on_page[-1].name if is_full else "")

    def _names(self, bucket: BucketName, root: str, message: ListMessage) -> Iterator[ListingEntry]:
        """Return the names from the message's start on, with members of archives if requested."""
        after = max(message.continuation_token, message.start_after)
        prefix = listing_prefix(self._directories, root, check_prefix(message.prefix))
        recursive = not message.mask & NO_RECURSION
        objects = Walk(self._directories, prefix, after, recursive=recursive).below(root)
        if message.mask & ARCHIVES:
            listing = ArchiveListing(self._folder, self._archives, bucket)
            return listing.merge(objects, prefix, after)
        return objects

    def _entries(
        self, bucket: BucketName, listed: list[ListingEntry], wanted: frozenset[str]
    ) -> list[PackedEntry]:
        """Describe each name, except those whose file has been removed since it was listed."""
        metadata, records = self._folder.metadata, dict[str, Record]()
        if listed and not wanted.isdisjoint(_FROM_RECORD):
            # Not from the first to the last: between two folders there may be a million objects.
            records = metadata.records_of(bucket, [item.name for item in listed if _is_file(item)])
        version_step = int(metadata.props(bucket).counts_versions)
        needs_status = not wanted.isdisjoint(_FROM_FILE)
        entries = list[PackedEntry]()
        with StatusReader(self._folder.opener) as statuses:
            for item in listed:
                entry = _entry(item)
                if isinstance(item, MemberEntry) or item.path is None:
                    entries.append(entry)
                    continue
                if needs_status:
                    status = statuses.read(item.path)
                    if status is None:
                        continue
                    _describe(entry, status, wanted, records.get(item.name), version_step)
                if "location" in wanted:
                    entry.t = self._location
                if "copies" in wanted:
                    entry.c = 1
                entries.append(entry)
        return entries


def _is_file(item: ListingEntry) -> bool:
    return not isinstance(item, MemberEntry) and item.path is not None


def _same_name(listed: Iterator[ListingEntry], name: str) -> Iterator[ListingEntry]:
    """Yield the further items with the name of a page's last entry: the next page starts after it.

    An archive may hold the same name twice.
    """
    for item in listed:
        if item.name != name:
            return
        yield item


def _check(bucket: BucketName, message: ListMessage) -> None:
    if message.pagesize < 0:
        raise Refusal(400, f"bad list-objects request: pagesize={message.pagesize} is negative")
    if not re.fullmatch("[0-9]{0,20}", message.flags):
        raise Refusal(400, f"bad list-objects request: flags={message.flags[:40]!r}")
    for text in (message.prefix, message.start_after, message.continuation_token):
        if "\0" in text:
            raise Refusal(400, f"bad list-objects request: {text[:200]!r} is no part of a name")
    if message.mask & NOT_CACHED:
        raise Refusal(
            400, f"{bucket.url} is not a remote bucket - cannot list 'not cached' objects"
        )
    if message.mask & DIFF:
        raise Refusal(
            400,
            "cannot perform remote versions check (or diff vs remote bucket): "
            f"bucket {bucket.url} does not provide remote versioning info",
        )
    if message.mask & INVENTORY:
        raise Refusal(400, f'bucket "{bucket.url}" has no inventories')


def _entry(item: ListingEntry) -> PackedEntry:
    """Return the entry of a name, with its flags and without the properties of its file."""
    if isinstance(item, MemberEntry):
        return PackedEntry(item.name, s=item.size_bytes, f=IN_CLUSTER | IN_ARCHIVE)
    if item.path is None:
        return PackedEntry(item.name, f=IS_DIRECTORY)
    return PackedEntry(
        item.name, f=IN_CLUSTER | (IS_ARCHIVE if isinstance(item, ArchiveEntry) else 0)
    )


def _describe(
    entry: PackedEntry,
    status: os.stat_result,
    wanted: frozenset[str],
    record: Record | None,
    version_step: int,
) -> None:
    if "size" in wanted:
        entry.s = status.st_size
    if "atime" in wanted:
        entry.a = time.strftime("%d %b %y %H:%M UTC", time.gmtime(status.st_atime))
    # A record of other bytes only says which version came before.
    is_current = record is not None and record.state == FileState.of(status)
    if "version" in wanted:
        version = record.version if record else 0
        version += 0 if is_current else version_step
        entry.v = str(version) if version else ""
    if record is None or not is_current:
        return
    if record.multipart is not None:
        entry.f |= IN_PARTS
    if "checksum" in wanted:
        entry.cs = record.checksum
    if "custom" in wanted and record.custom:
        entry.m = (
            "[" + " ".join(f"{key}:{value}" for key, value in sorted(record.custom.items())) + "]"
        )
