"""The index of shards that several processes write: a part of each, joined when all have ended.

    .shard-r00003.aisio-index    beside the shards: the index of those that rank 3 has written

Its name ends as that of an index, so readers leave it out of their listings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aisio.errors import ConfigError, ConflictError, ShardError
from aisio.escapes import first_few
from aisio.formats.index_file import INDEX_SUFFIX
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_loading import IndexPlace
from aisio.shards.shard_folder import ShardFolder
from aisio.urls import ObjectUrl

__all__ = ["combine_parts", "delete_part", "write_part"]

_SHOWN = 5


def write_part(folder: ShardFolder, written: Sequence[tuple[ShardIndex, int]]) -> None:
    """Write the index of the shards of one process, which may have none.

    Args:
        folder: The folder of that process.
        written: As for `ShardFolder.write_index`.
    """
    place = IndexPlace.beside(folder.store, folder.url)
    index = ShardIndex.of_shards(written, folder=place.folder)
    folder.store.put(_part_url(folder), index.to_bytes())


def delete_part(folder: ShardFolder) -> None:
    """Delete what an earlier run of this process has written."""
    folder.store.delete(_part_url(folder), missing_ok=True)


def _part_url(folder: ShardFolder) -> ObjectUrl:
    assert folder.rank is not None
    return folder.url.join(f".{folder.prefix}-r{folder.rank:05d}{INDEX_SUFFIX}")


def combine_parts(folder: ShardFolder, ranks: int) -> str:
    """Write the index of the folder from the parts of ranks 0 to ranks - 1; delete these.

    Returns:
        The URL of the index.

    Raises:
        ConfigError: No rank has a shard.
        ConflictError: A part is missing, or there are shards or parts of other ranks.
        ShardError: Two shards have a sample of the same key.
    """
    parts = _parts(folder)
    missing = [rank for rank in range(ranks) if rank not in parts]
    if missing:
        done = "" if parts else "; or combine() was called before: it deletes what they noted"
        raise ConflictError(
            f"{folder.url}: {len(missing):,} of {ranks:,} writers were not closed, or not without"
            f" an error: rank {first_few(missing, _SHOWN)}{done}",
            url=str(folder.url),
        )
    base = IndexPlace.beside(folder.store, folder.url).folder
    written = []
    for rank in range(ranks):
        url = folder.url.with_name(parts[rank].name)
        index = ShardIndex.from_buffer(folder.store.read(url), str(url), folder=base)
        written += [(index, number) for number in range(len(index.shards))]
    if not written:
        raise ConfigError(f"{folder.url}: no sample was written")
    _check_others(folder, {index.shard(number).url for index, number in written}, parts, ranks)
    _check_keys(written)
    where = folder.write_index(written)
    for info in parts.values():
        folder.store.delete(folder.url.with_name(info.name), missing_ok=True)
    return where


def _parts(folder: ShardFolder) -> dict[int, ObjectInfo]:
    """List the parts that are there, by rank."""
    start = folder.url.join(f".{folder.prefix}-r")
    name = re.compile(f"{re.escape(start.name)}([0-9]{{5,}}){re.escape(INDEX_SUFFIX)}")
    found = ((name.fullmatch(info.name), info) for info in folder.list(start))
    return {int(match[1]): info for match, info in found if match}


def _check_others(
    folder: ShardFolder, written: set[str], parts: dict[int, ObjectInfo], ranks: int
) -> None:
    others = [url for url in folder.existing() if url not in written]
    others += [info.url for rank, info in sorted(parts.items()) if rank >= ranks]
    if others:
        raise ConflictError(
            f"{folder.url} has shards that none of the {ranks:,} writers has written, as of an"
            f" earlier run: delete {first_few(others, _SHOWN)}",
            url=str(folder.url),
        )


def _check_keys(written: Sequence[tuple[ShardIndex, int]]) -> None:
    shard_of: dict[str, str] = {}
    for index, number in written:
        shard = index.shard(number)
        for key in index.keys(shard.first_sample, shard.first_sample + shard.samples):
            other = shard_of.setdefault(key, shard.url)
            if other != shard.url:
                raise ShardError(f"the key {key!r} is in two shards: {other} and {shard.url}")
