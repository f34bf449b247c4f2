"""Loading the index of a listing: beside the data, or in the cache.

An index stands beside the data as one object, named after the URL that was indexed:

    ais://b/train/     ais://b/train/.aisio-index
    ais://b/a.tar      ais://b/a.tar.aisio-index

Where the store cannot be written, and for several URLs or a pattern, it is in the cache of the
machine. There is an index of each shard too: `aisio index` and the readers that build one keep it.
So what is known of some shards is used where the index of the whole listing is missing or stale.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from aisio.errors import AccessError, NotFoundError
from aisio.escapes import first_few
from aisio.formats.index_file import INDEX_SUFFIX
from aisio.records import ObjectInfo, same_version
from aisio.shards.index import ShardIndex
from aisio.shards.index_cache import IndexCache, covers
from aisio.shards.index_pins import is_current
from aisio.shards.other_index_loading import OtherIndexes
from aisio.stores import Store
from aisio.urls import ObjectUrl

__all__ = ["IndexPlace", "LoadedIndex", "ShardLookup", "load_index"]

_log = logging.getLogger("aisio.shard_index")


@dataclass(frozen=True)
class IndexPlace:
    """The object that the index of a prefix is.

    Attributes:
        store: The store that has it.
        url: Its URL.
        folder: The folder that has it and the shards, if they can be copied together; see
            `ShardIndex`.
    """

    store: Store
    url: ObjectUrl
    folder: str | None = None

    @classmethod
    def beside(cls, store: Store, url: ObjectUrl) -> IndexPlace:
        """Return the place of the index of what is at a URL: a prefix, folder or shard."""
        folder = f"{url.root}/{url.name}".rpartition("/")[0]
        return cls(store, url.with_name(f"{url.name}{INDEX_SUFFIX}"), f"{folder}/")

    def load(self, cache: IndexCache) -> ShardIndex | None:
        """Return the index; None if there is none.

        It is copied into the cache once, by one GET, and mapped from there. A local file too: if it
        was mapped where it is, a program that wrote into it would end this one (SIGBUS).

        Raises:
            IntegrityError: The object is not an index, or is damaged.
            ConfigError: A newer version of aisio has written it.
            StorageError: It cannot be read.
        """
        try:
            info = self.store.head(self.url)
        except (NotFoundError, AccessError):  # S3 refuses, where the user may not list
            return None
        copy = cache.copy(info, folder=self.folder)
        if copy is not None:
            return copy
        received, data = self.store.read_with_info(self.url)
        if not same_version(info, received):  # it was replaced in between
            info = received
        index = ShardIndex.from_buffer(data, str(self.url), folder=self.folder)
        try:
            return cache.save_copy(info, data, folder=self.folder)
        except OSError as error:
            _log.warning(
                "%s: it is held in memory, as the cache cannot be used: %s", self.url, error
            )
            return index


class ShardLookup:
    """Finds what is known of single shards: in the index beside the data, then in the cache.

    Args:
        place: Where the index of the listing is; None if it has no place.
        cache: The cache.
        needs_names: Find only indexes that have the names of the samples.

    Attributes:
        cache: The cache.
    """

    def __init__(
        self, place: IndexPlace | None, cache: IndexCache, *, needs_names: bool = False
    ) -> None:
        self._place = place
        self.cache = cache
        self._needs_names = needs_names

    @cached_property
    def beside(self) -> ShardIndex | None:
        """The index beside the data, loaded when it is first needed; see `IndexPlace.load`."""
        return self._place.load(self.cache) if self._place is not None else None

    def find(self, info: ObjectInfo) -> tuple[ShardIndex, int] | None:
        """Return an index and the number of the shard in it; None if no index has this version."""
        found = self._find_beside(info.url)
        if found is not None and is_current(found[0].shard(found[1]), info):
            return found
        fragment = self.cache.fragment(info)
        return (fragment, 0) if fragment is not None else None

    def find_any(self, info: ObjectInfo) -> tuple[ShardIndex, int] | None:
        """Do as `find`; if no index has this version, return one that has another."""
        found = self.find(info) or self._find_beside(info.url)
        if found is not None:
            return found
        fragment = self.cache.fragment(ObjectInfo(info.root, info.name))
        return (fragment, 0) if fragment is not None else None

    def _find_beside(self, url: str) -> tuple[ShardIndex, int] | None:
        number = self._numbers.get(url)
        if self.beside is None or number is None:
            return None
        return (self.beside, number) if self.beside.has_names or not self._needs_names else None

    def knows(self, info: ObjectInfo) -> bool:
        """Tell whether an index has the shard, in whatever version."""
        return info.url in self._numbers or self.cache.has_fragment(info.url)

    def beside_without(self, listed: Sequence[ObjectInfo]) -> tuple[str, ...]:
        """Return the URLs of shards in the index beside the data that are not in a listing."""
        urls = {info.url for info in listed}
        return tuple(url for url in self._numbers if url not in urls)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        if self.beside is None:
            return {}
        return {shard.url: number for number, shard in enumerate(self.beside.shards)}


@dataclass(frozen=True)
class LoadedIndex:
    """What was found for a listing.

    Attributes:
        index: The index of its shards, in their order; None if shards are missing or stale.
        missing: URLs of shards that no index has.
        stale: URLs of shards that an index has in another version.
        gone: URLs of shards that the index beside the data has, and the listing has not.
    """

    index: ShardIndex | None
    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return what is missing or stale as text; "" for nothing."""
        since = "it was" if len(self.stale) == 1 else "they were"
        kinds = ((self.missing, "not indexed"), (self.stale, f"replaced since {since} indexed"))
        return "; ".join(_named(urls, text) for urls, text in kinds if urls)

    def describe_gone(self) -> str:
        """Return which shards are gone as text; "" for none."""
        verb = "is" if len(self.gone) == 1 else "are"
        return _named(self.gone, f"{verb} in the index, and gone") if self.gone else ""


def _named(urls: Sequence[str], text: str) -> str:
    return f"{len(urls):,} shard{'s' * (len(urls) != 1)} {text} ({first_few(urls)})"


def load_index(
    listed: Sequence[ObjectInfo],
    *,
    place: IndexPlace | None = None,
    cache: IndexCache | None = None,
) -> LoadedIndex:
    """Return the index of a listing, from the object beside the data or from the cache.

    A shard that was never indexed may have an index of another tool beside it, which is used if the
    listing has a place: see `aisio.shards.other_index_loading`.

    If all shards are found, but not in one index of exactly this listing, that index is put
    together and kept in the cache.

    Args:
        listed: The shards. A listing without checksums is compared by what it has.
        place: Where the index of the listing would be; None if it has no place.
        cache: The cache; by default the user's.

    Raises:
        IntegrityError: The index beside the data is damaged.
        ConfigError: A newer version of aisio has written it.
        ShardError: An index of another tool does not fit its shard.
        StorageError: It cannot be read.
    """
    cache = cache or IndexCache()
    lookup = ShardLookup(place, cache)
    if lookup.beside is not None and covers(lookup.beside, listed):
        return LoadedIndex(lookup.beside)
    gone = lookup.beside_without(listed)
    merged = cache.merged(listed)
    if merged is not None and merged.has_hashes:
        return LoadedIndex(merged, gone=gone)
    found = [lookup.find(info) for info in listed]
    if merged is not None and None in found:
        return LoadedIndex(merged, gone=gone)
    if place is not None:
        _add_others(found, OtherIndexes(place.store), lookup, listed)
    lost = [info for info, where in zip(listed, found, strict=True) if where is None]
    if lost:
        stale = tuple(info.url for info in lost if lookup.knows(info))
        missing = tuple(info.url for info in lost if not lookup.knows(info))
        return LoadedIndex(None, missing, stale, gone)
    return LoadedIndex(_join([where for where in found if where is not None], cache), gone=gone)


def _add_others(
    found: list[tuple[ShardIndex, int] | None],
    others: OtherIndexes,
    lookup: ShardLookup,
    listed: Sequence[ObjectInfo],
) -> None:
    """Put indexes of other tools in the place of those that were not found."""
    for number, info in enumerate(listed):
        # A shard that is stale is said to be so.
        if found[number] is None and not lookup.knows(info):
            other = others.find(info)
            found[number] = (other, 0) if other is not None else None


def _join(found: Sequence[tuple[ShardIndex, int]], cache: IndexCache) -> ShardIndex:
    index = ShardIndex.of_shards(found)
    try:
        return cache.save_merged(index)
    except OSError as error:
        _log.warning("the shard index is held in memory, as the cache cannot be used: %s", error)
        return index
