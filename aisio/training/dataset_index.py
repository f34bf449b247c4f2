"""Opens the index of a dataset's shards, and builds what is missing of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from aisio.errors import AisioError, ConfigError, NotFoundError
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_cache import IndexCache, covers
from aisio.shards.index_jobs import ListedShard, build_indexes
from aisio.shards.index_loading import IndexPlace, LoadedIndex, ShardLookup, load_index
from aisio.sources.base import Source, url_of
from aisio.stores import Store
from aisio.urls import ObjectUrl

__all__ = ["IndexLike", "common_folder", "open_index"]

IndexLike: TypeAlias = "Literal['auto', 'require'] | str | os.PathLike[str] | ShardIndex"
"""Where the index of a dataset is: see `AISShardDataset`."""

_log = logging.getLogger("aisio.shard_index")

_JOBS = 4

_WAITS = "<%s> %s: another process of this machine indexes them: waiting for it"


def open_index(
    index: IndexLike,
    shards: Sequence[ListedShard],
    data: tuple[Store, ObjectUrl] | None,
    *,
    folder: tuple[Store, ObjectUrl] | None = None,
    find_store: Callable[[ObjectUrl], Store],
    owner: str,
    whole_place: bool = True,
) -> ShardIndex:
    """Return the index of some shards, in their order.

    Args:
        index: Where it is; see `AISShardDataset`.
        shards: The shards.
        data: Where all of them stand; None for several places.
        folder: The folder that has all of them, whose index is used if there is none at `data`.
        find_store: Returns the store of the index's URL.
        owner: Name of the dataset's class, for errors and the log.
        whole_place: These are all shards of their place. So others that the index beside them has
            are gone, which is logged.

    Raises:
        ConfigError: There is no index, or it lacks shards, and none may be built.
        NotFoundError: There is nothing at the index's path or URL.
        IntegrityError: It is no index, or damaged.
        ShardError: A shard that is indexed is cut, damaged or not a tar.
    """
    listed = [shard.info for shard in shards]
    command = f"aisio index {data[1] if data is not None else 'URL...'}"
    if isinstance(index, ShardIndex):
        if not covers(index, listed):
            raise ConfigError(
                f"<{owner}> index= is not of these {len(listed):,} shards in their order and"
                " versions: leave it out, and the right one is found or built"
            )
        return index
    cache = IndexCache()
    if index in ("auto", "require"):
        place, found = _find(listed, data, folder, cache)
        if found.gone and whole_place:
            gone = found.describe_gone()
            _log.warning("<%s> %s: `%s` indexes what is left", owner, gone, command)
    else:
        place = _place_of(index, find_store, cache, owner)
        found = load_index(listed, place=place, cache=cache)
        command += f" --output {place.url}"
    if found.index is not None:
        return found.index
    if index != "auto":
        raise ConfigError(f"<{owner}> {found.describe()}: run `{command}`")
    with cache.building(listed, partial(_log.warning, _WAITS, owner, found.describe())):
        # Another process may have built it meanwhile.
        found = load_index(listed, place=place, cache=cache)
        if found.index is not None:
            return found.index
        return _build(shards, found, ShardLookup(place, cache), owner=owner, command=command)


def common_folder(objects: Iterable[tuple[Source, ObjectInfo]]) -> tuple[Store, ObjectUrl] | None:
    """Return the folder that has all of some objects, and its store; None for several buckets."""
    pairs = iter(objects)
    source, first = next(pairs, (None, None))
    if source is None or first is None:
        return None
    folder = first.name.rpartition("/")[0]
    for _, info in pairs:
        if info.root != first.root:
            return None
        while folder and not info.name.startswith(f"{folder}/"):
            folder = folder.rpartition("/")[0]
    name = f"{folder}/" if folder else ""
    return source.store_of(first), url_of(first).with_name(name)


def _find(
    listed: Sequence[ObjectInfo],
    data: tuple[Store, ObjectUrl] | None,
    folder: tuple[Store, ObjectUrl] | None,
    cache: IndexCache,
) -> tuple[IndexPlace | None, LoadedIndex]:
    """Look beside the data, then in their folder; return the place that knows most, and what."""
    place = IndexPlace.beside(*data) if data is not None else None
    found = load_index(listed, place=place, cache=cache)
    if found.index is not None or folder is None or folder == data:
        return place, found
    wider = IndexPlace.beside(*folder)
    if wider.load(cache) is None:
        return place, found
    in_folder = load_index(listed, place=wider, cache=cache)
    # What the folder has besides is no loss: only a part of it is asked for.
    return wider, replace(in_folder, gone=found.gone)


def _place_of(
    index: str | os.PathLike[str],
    find_store: Callable[[ObjectUrl], Store],
    cache: IndexCache,
    owner: str,
) -> IndexPlace:
    """Return the place of an index that the caller names; NotFoundError if there is none."""
    where = index
    if not isinstance(where, str) or "://" not in where:
        where = f"file://{Path(where).absolute()}"
    url = ObjectUrl.parse(where).require_object()
    place = IndexPlace(find_store(url), url)
    if place.load(cache) is None:
        raise NotFoundError(
            f"<{owner}> index={index!r}: there is no shard index {url}; other values are"
            ' "auto", "require" and a ShardIndex',
            url=str(url),
        )
    return place


def _build(
    shards: Sequence[ListedShard],
    found: LoadedIndex,
    lookup: ShardLookup,
    *,
    owner: str,
    command: str,
) -> ShardIndex:
    """Index the shards that are missing or stale, into the cache."""
    cache = lookup.cache
    wanted = {*found.missing, *found.stale}
    size_bytes = sum(shard.info.size_bytes or 0 for shard in shards if shard.info.url in wanted)
    _log.warning(
        "<%s> %s: reading them once (%s bytes), to index them into the cache of this machine; `%s`"
        " keeps an index beside the data, for all machines",
        owner,
        found.describe(),
        f"{size_bytes:,}",
        command,
    )
    parts: list[tuple[ShardIndex, int]] = []
    with closing(build_indexes(shards, cache=cache, lookup=lookup, jobs=_JOBS)) as built:
        for shard in built:
            if isinstance(shard.error, AisioError):
                raise shard.error
            if shard.error is not None:
                raise ConfigError(
                    f"<{owner}> the index cannot be kept in the cache: {shard.error}: set"
                    f" AISIO_CACHE_DIR to a folder that can be written, or run `{command}`"
                ) from shard.error
            assert shard.index is not None
            parts.append((shard.index, shard.number))
    return cache.save_merged(ShardIndex.of_shards(parts))
