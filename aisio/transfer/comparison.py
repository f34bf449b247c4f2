"""Comparing two trees by size and checksum, without a request for data.

Checksums come from the listings. Where a listing has none, as of buckets of a cloud, the object is
asked for by a HEAD. The checksum of a local file is computed, and remembered until the file
changes. An entity tag that looks like an MD5 is compared as one, as that of S3's small objects is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from msgspec.structs import replace

from aisio.client.client import Client
from aisio.errors import AisioError
from aisio.formats.checksums import HASHERS
from aisio.patterns.name_patterns import NamePatterns
from aisio.records import Checksum, ObjectInfo
from aisio.sources.base import url_of
from aisio.sources.nothing_found import no_name_begins_so
from aisio.stores import store_for
from aisio.transfer.local_checksums import LocalChecksums
from aisio.transfer.trees import Entry, existing, open_tree
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.urls import FILE, ObjectUrl

__all__ = ["Comparison", "Difference", "DifferenceKind", "compare", "compare_trees"]

_MD5 = re.compile("[0-9a-f]{32}")
_ONLY_LOCAL_KIND = "xxhash2"
"""The checksum by which two local files are compared."""


class DifferenceKind(Enum):
    """How a name differs between two trees.

    Attributes:
        SAME: Both have the same bytes.
        NEW: Only the source has it.
        CHANGED: Size or checksum differ.
        UNVERIFIED: The sizes are the same, and there are no two checksums to compare.
        EXTRA: Only the destination has it.
    """

    SAME = "same"
    NEW = "new"
    CHANGED = "changed"
    UNVERIFIED = "unverified"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of one name.

    Attributes:
        name: The name in both trees.
        kind: How they differ.
        source: The source's object or file; None for EXTRA.
        destination: The destination's; None for NEW.
        error: Why it could not be compared; `kind` is then CHANGED.
    """

    name: str
    kind: DifferenceKind
    source: Entry | None
    destination: Entry | None
    error: AisioError | OSError | None = None


class Comparison:
    """Tells whether two objects or files have the same bytes; threads may share one.

    Args:
        checksums: Those of local files.
        size_only: Take equal sizes for equal bytes.
    """

    def __init__(self, checksums: LocalChecksums | None = None, *, size_only: bool = False) -> None:
        self.checksums = checksums or LocalChecksums()
        self._size_only = size_only

    def known(self, source: ObjectInfo, destination: ObjectInfo) -> DifferenceKind | None:
        """Compare by what is known already; None where a file must be read, or a store asked."""
        sizes = source.size_bytes, destination.size_bytes
        if None in sizes:
            return None
        if sizes[0] != sizes[1]:
            return DifferenceKind.CHANGED
        if self._size_only or not sizes[0]:
            return DifferenceKind.SAME
        if source.etag and source.etag == destination.etag and _MD5.fullmatch(source.etag):
            return DifferenceKind.SAME
        kind = _common_kind(source, destination)
        if kind is None:
            return None
        a, b = (self._known(info, kind) for info in (source, destination))
        return _difference(a, b) if a and b else None

    def _known(self, info: ObjectInfo, kind: str) -> Checksum | None:
        return self.checksums.known(info, kind) if _is_local(info) else checksum_of(info, kind)

    def settle(self, pair: _Unknown) -> Difference:
        """Compare two of the same name, reading local files and asking stores where need be."""
        source, destination = pair.source, pair.destination
        try:
            kind = self._computed(source, destination)
        except (AisioError, OSError) as error:
            return Difference(source.name, DifferenceKind.CHANGED, source, destination, error)
        return Difference(source.name, kind, source, destination)

    def _computed(self, source: Entry, destination: Entry) -> DifferenceKind:
        a, b = _asked(source), _asked(destination)
        known = self.known(a, b)
        kind = _common_kind(a, b)
        if known is not None or kind is None:
            return known or DifferenceKind.UNVERIFIED
        checksums = (
            self.checksums.compute(info, kind) if _is_local(info) else checksum_of(info, kind)
            for info in (a, b)
        )
        return _difference(*checksums)


def _difference(a: Checksum | None, b: Checksum | None) -> DifferenceKind:
    return DifferenceKind.SAME if a == b else DifferenceKind.CHANGED


def _asked(entry: Entry) -> ObjectInfo:
    """Return what is known of an entry, by a HEAD if the listing has no checksum or no size."""
    info = entry.info
    if _is_local(info) or (info.size_bytes is not None and _kinds(info)):
        return info
    found = entry.source.store_of(info).head(url_of(info))
    return replace(found, root=info.root, name=info.name)


def _is_local(info: ObjectInfo) -> bool:
    return info.root == f"{FILE}://"


def _kinds(info: ObjectInfo) -> list[str]:
    """Return the kinds of checksum that are known of an object, or can be computed of a file."""
    kinds = [info.checksum.kind] if info.checksum and info.checksum.kind in HASHERS else []
    return [*kinds, "md5"] if _MD5.fullmatch(info.etag) else kinds


def _common_kind(a: ObjectInfo, b: ObjectInfo) -> str | None:
    if _is_local(a) and _is_local(b):
        return _ONLY_LOCAL_KIND
    if _is_local(a) or _is_local(b):
        kinds = _kinds(b if _is_local(a) else a)
    else:
        kinds = [kind for kind in _kinds(a) if kind in _kinds(b)]
    return kinds[0] if kinds else None


def checksum_of(info: ObjectInfo, kind: str) -> Checksum | None:
    """Return the checksum of a kind that a store has said; that of MD5 may be the entity tag."""
    if info.checksum is not None and info.checksum.kind == kind:
        return Checksum(kind, info.checksum.value.lower())
    return Checksum("md5", info.etag) if kind == "md5" and _MD5.fullmatch(info.etag) else None


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Two of the same name and size that must be read, or asked for, to be compared."""

    source: Entry
    destination: Entry


def compare(
    source: Iterable[Entry], destination: Iterable[Entry], comparison: Comparison
) -> Iterator[Difference]:
    """Compare two trees; all names of both are in memory.

    Args:
        source: A tree.
        destination: Another one.
        comparison: How to compare two of the same name.

    Yields:
        Each name once: those of the source in its order, then those that it lacks.
    """
    there = {entry.name: entry for entry in destination}
    rows = [_listed(entry, there.pop(entry.name, None), comparison) for entry in source]
    unknown = [row for row in rows if isinstance(row, _Unknown)]
    try:
        computed = fetch_in_order(unknown, comparison.settle, result_bytes=lambda _: 0)
        for row in rows:
            yield next(computed) if isinstance(row, _Unknown) else row
    finally:
        comparison.checksums.save()
    for name, entry in there.items():
        yield Difference(name, DifferenceKind.EXTRA, None, entry)


def _listed(entry: Entry, other: Entry | None, comparison: Comparison) -> Difference | _Unknown:
    if other is None:
        return Difference(entry.name, DifferenceKind.NEW, entry, None)
    known = comparison.known(entry.info, other.info)
    if known is None:
        return _Unknown(entry, other)
    return Difference(entry.name, known, entry, other)


def compare_trees(
    source: str,
    destination: str,
    *,
    client: Client | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    size_only: bool = False,
    checksums: LocalChecksums | None = None,
) -> Iterator[Difference]:
    """Compare the objects or files of two folders, buckets or prefixes.

    Args:
        source: URL of a folder or bucket, or a pattern.
        destination: URL of a folder or bucket; one that does not exist is an empty one.
        client: The cluster; by default the one that the environment names.
        include: Compare only names that match one of these patterns.
        exclude: Leave out names that match one of these.
        size_only: Take equal sizes for equal bytes.
        checksums: Those of local files; by default what the cache folder remembers.

    Yields:
        Each name once: those of the source, then those that only the destination has.

    Raises:
        NotFoundError: The source has no object.
    """
    names = NamePatterns(tuple(include) or None, tuple(exclude) or None, owner="compare_trees")
    comparison = Comparison(checksums, size_only=size_only)
    here = _side(source, client, names, comparison)
    there = existing(_side(destination, client, names, comparison))
    first = next(here, None)
    if first is None:
        raise no_name_begins_so(source)
    yield from compare(chain([first], here), there, comparison)


def _side(
    text: str, client: Client | None, names: NamePatterns, comparison: Comparison
) -> Iterator[Entry]:
    url = ObjectUrl.parse(text)
    if url.provider == FILE:
        comparison.checksums.load(url.name)
    tree = open_tree(store_for(url, client), url, recursive=True)
    return (entry for entry in tree.entries if names.takes(entry.name))
