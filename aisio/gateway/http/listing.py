"""Listing a bucket page by page, with no state kept between the pages: a token is the last name."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from aisio.gateway.archives.index import Archives
from aisio.gateway.archives.listing import (
    ArchiveListing,
    Inside,
    Listed,
    Shard,
)
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, check_prefix
from aisio.gateway.storage.file_statuses import Statuses
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.metadata import FileState, Record
from aisio.gateway.storage.walk import Directories, Walk, prefix_in
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

LARGEST_PAGE = 10_000
"""AIStore's own limit for `ais://` buckets."""


class ListMessage(msgspec.Struct):
    """What a client asks for: AIStore's LsoMsg, less what has no meaning for a folder."""

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
        """The properties to send; those implied by flags take precedence over the named ones."""
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
    """One page and where the next begins ("" after the last)."""

    entries: list[PackedEntry]
    token: str


def list_page(
    folder: Folder,
    directories: Directories,
    archives: Archives,
    bucket: BucketName,
    message: ListMessage,
    location: str,
) -> Page:
    """Return one page of a bucket's listing.

    Args:
        folder: The served folder.
        directories: Its folders' contents.
        archives: What is known of its archives.
        bucket: One of its buckets.
        message: What to list, and from where.
        location: What to say where the property "location" is asked for.

    Raises:
        Refusal: No such bucket, or a message that AIStore refuses too.
    """
    _check(bucket, message)
    root = folder.bucket_path(bucket)
    after = max(message.continuation_token, message.start_after)
    size = min(message.pagesize or LARGEST_PAGE, LARGEST_PAGE)
    recursive = not message.mask & NO_RECURSION
    prefix = prefix_in(directories, root, check_prefix(message.prefix))
    walk = Walk(directories, prefix, after, recursive=recursive)
    listed: Iterator[Listed] = walk.below(root)
    if message.mask & ARCHIVES:
        listed = ArchiveListing(folder, archives, bucket).merge(walk.below(root), prefix, after)
    try:
        found = list(islice(listed, size))
    except FileNotFoundError:
        folder.bucket_path(bucket)  # a bucket that was destroyed meanwhile is a 404
        raise
    if is_full := len(found) == size:
        found += _same_name(listed, found[-1].name)
    records = _records(folder, bucket, found, message.wanted)
    with Statuses(folder.beneath) as statuses:
        entries = [
            _entry(folder, statuses, bucket, item, message.wanted, records, location)
            for item in found
        ]
    return Page([entry for entry in entries if entry], found[-1].name if is_full else "")


def _same_name(listed: Iterator[Listed], name: str) -> Iterator[Listed]:
    """Yield what has the name of a page's last entry: the next page begins behind that name."""
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


def _records(
    folder: Folder, bucket: BucketName, found: list[Listed], wanted: frozenset[str]
) -> dict[str, Record]:
    if not found or wanted.isdisjoint({"checksum", "version", "custom", "chunked"}):
        return {}
    return folder.metadata.page(bucket, found[0].name, found[-1].name)


def _entry(
    folder: Folder,
    statuses: Statuses,
    bucket: BucketName,
    found: Listed,
    wanted: frozenset[str],
    records: dict[str, Record],
    location: str,
) -> PackedEntry | None:
    """Describe a name; None if the file has gone since the walk saw it."""
    if isinstance(found, Inside):
        return PackedEntry(found.name, s=found.size_bytes, f=IN_CLUSTER | IN_ARCHIVE)
    if found.path is None:
        return PackedEntry(found.name, f=IS_DIRECTORY)
    entry = PackedEntry(found.name, f=IN_CLUSTER | (IS_ARCHIVE if isinstance(found, Shard) else 0))
    if wanted.isdisjoint({"size", "atime", "checksum", "version", "custom", "chunked"}):
        status = None
    else:
        status = statuses.of(found.path)
        if status is None:
            return None
    if status is not None:
        step = int(folder.metadata.props(bucket).counts_versions)
        _describe(entry, status, wanted, records.get(found.name), step)
    if "location" in wanted:
        entry.t = location
    if "copies" in wanted:
        entry.c = 1
    return entry


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
    known = record is not None and record.state == FileState.of(status)
    if "version" in wanted:
        version = record.version if record else 0
        version += 0 if known else version_step
        entry.v = str(version) if version else ""
    if record is None or not known:
        return
    if record.parted is not None:
        entry.f |= IN_PARTS
    if "checksum" in wanted:
        entry.cs = record.checksum
    if "custom" in wanted and record.custom:
        entry.m = (
            "[" + " ".join(f"{key}:{value}" for key, value in sorted(record.custom.items())) + "]"
        )
