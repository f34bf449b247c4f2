"""ReaderIndex: what AISShardReader does with the index of its shards."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

from aisio.errors import ConfigError, NotFoundError
from aisio.escapes import one_line
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_build import IndexRecorder
from aisio.shards.index_cache import IndexCache
from aisio.shards.index_loading import IndexPlace, ShardLookup
from aisio.shards.index_pins import pin_of
from aisio.shards.opening import ShardStream
from aisio.sources.base import Source
from aisio.sources.source_set import SourceSet
from aisio.training.folder_labels import folder_names

__all__ = ["IndexMode", "ReaderIndex"]

IndexMode: TypeAlias = Literal["use", "build"]
""""use" counts by the index; "build" also indexes, in the cache, each shard that is read whole."""

_log = logging.getLogger("aisio.shard_index")


class ReaderIndex:
    """Counts the samples of shards by their index, and indexes shards while they are read.

    It pickles without what it has loaded.

    Args:
        sources: What the reader reads.
        mode: See `IndexMode`; None does nothing.
        reader: Name of the class that reads, for errors and the log.
        has_etl: An ETL makes other bytes of the shards, of which no index knows.

    Raises:
        ConfigError: There is no such mode; or it is "build", and there is an ETL, or no folder for
            the cache.
    """

    def __init__(
        self, sources: SourceSet, mode: IndexMode | None, reader: str, *, has_etl: bool = False
    ) -> None:
        if mode is not None and mode not in get_args(IndexMode):
            raise ConfigError(f'index={mode!r}: "use", "build" or None is needed')
        if mode == "build" and has_etl:
            raise ConfigError('index="build" cannot index what an ETL makes of the shards')
        self._sources = sources
        self._mode = None if has_etl else mode
        self._reader = reader
        # A worker has the cache of the process that made the reader: a fork server has the
        # environment of its own start.
        self._cache = _cache_for(self._mode)
        self._has_warned = False

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lookup"}

    @cached_property
    def _lookup(self) -> ShardLookup | None:
        if self._cache is None:
            return None
        place = self._sources.place()
        beside = IndexPlace.beside(*place) if place is not None else None
        return ShardLookup(beside, self._cache)

    def forget(self) -> None:
        """Look again for indexes: they may have been built since."""
        self.__dict__.pop("_lookup", None)

    def find(self, source: Source, info: ObjectInfo) -> tuple[ShardIndex, int] | None:
        """Return an index and the number of a shard in it; None if none has this version of it.

        Raises:
            IntegrityError: The index is damaged.
            ConfigError: A newer version of aisio has written it.
        """
        lookup = self._lookup
        if lookup is None:
            return None
        found = lookup.find(info)
        if found is not None and info.size_bytes is None:
            # Names in braces have no size. A HEAD costs less than to read the shard.
            found = lookup.find(source.completed(info))
        return found

    def count(self, source: Source, info: ObjectInfo) -> int | None:
        """Return how many samples a shard has; None if no index knows. Errors as for `find`."""
        found = self.find(source, info)
        return found[0].shard(found[1]).samples if found is not None else None

    def folders(self, listed: Iterable[tuple[Source, ObjectInfo]]) -> set[str]:
        """Return the names of the folders in which the samples of shards are.

        Raises:
            ConfigError: A shard has no index, or its index no names; otherwise as for `find`.
        """
        folders: set[str] = set()
        for source, info in listed:
            found = self.find(source, info)
            if found is None:
                raise ConfigError(
                    f'<{self._reader}> label_from="folder": {one_line(info.url)} has no index that'
                    " says which folders there are: pass classes=, or run `aisio index`"
                )
            index, number = found
            shard = index.shard(number)
            first = shard.first_sample
            folders |= folder_names(index.keys(first, first + shard.samples))
        return folders

    def require_count(self, source: Source, info: ObjectInfo) -> int:
        """Return how many samples a shard has.

        Raises:
            ConfigError: No index knows.
        """
        count = self.count(source, info)
        if count is None:
            raise ConfigError(
                f'<{self._reader}> length="index": {one_line(info.url)} has no index:'
                " `aisio index` makes one"
            )
        return count

    def completed(self, source: Source, info: ObjectInfo) -> ObjectInfo:
        """Return a shard with its size, if that is needed to index it; a missing one as it is."""
        try:
            return source.completed(info) if self._mode == "build" else info
        except NotFoundError:  # to open it says so, where on_error= is obeyed
            return info

    def recorder(self, info: ObjectInfo, stream: ShardStream) -> IndexRecorder | None:
        """Return what indexes a shard while it is read; None if it is to be read as it is."""
        if self._mode != "build" or self._lookup is None:
            return None
        return None if self._lookup.find(info) is not None else IndexRecorder(stream)

    def keep(self, recorder: IndexRecorder, info: ObjectInfo) -> None:
        """Keep the index of a shard that was read to its end; a failure is logged once."""
        assert self._lookup is not None
        try:
            self._lookup.cache.save_fragment(recorder.finish(info.url, pin_of(info)))
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                _log.warning("<%s> cannot keep the index of a shard: %s", self._reader, error)


def _cache_for(mode: IndexMode | None) -> IndexCache | None:
    try:
        return None if mode is None else IndexCache()
    except ConfigError:  # there is no home folder, and no setting names a folder
        if mode == "build":
            raise
        return None
