"""`aisio index`: index the samples of tar shards."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from aisio.cli.cluster import Cluster
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import json_line, printable, write_lines, write_note, write_summary
from aisio.cli.shards import index_place, list_shards, read_progress, shard_sources
from aisio.cli.types import SOURCE, URL, CatalogName, require_object
from aisio.errors import AisioError, IntegrityError
from aisio.summary import counted
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aisio.shards.index import ShardIndex
    from aisio.shards.index_cache import IndexCache
    from aisio.shards.index_jobs import BuiltShard, ListedShard
    from aisio.shards.index_loading import IndexPlace, ShardLookup


@click.command("index", short_help="Index the samples of tar shards.")
@click.argument("urls", metavar="URL...", type=SOURCE, nargs=-1, required=True)
@click.option("--cache", "in_cache", is_flag=True, help="Keep it in the cache of this machine.")
@click.option("--output", type=URL, help="Write it as this object, or file, instead.")
@click.option(
    "--jobs",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="How many shards to read at once.",
)
@click.option("--rebuild", is_flag=True, help="Read all shards again.")
@click.option("--names/--no-names", default=True, show_default=True, help="Names of the samples.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
@click.pass_obj
def command(
    cluster: Cluster,
    urls: tuple[ObjectUrl | CatalogName, ...],
    in_cache: bool,
    output: ObjectUrl | None,
    jobs: int,
    rebuild: bool,
    names: bool,
    as_json: bool,
) -> None:
    """Read the shards at each URL whole, and write down where each sample is, and its hash.

    A URL is read as AISShardReader reads it: a folder, prefix, shard or pattern. The index of one
    URL is written beside the data, as URL.aisio-index (folder/.aisio-index); that of several, of a
    pattern, and where the store cannot be written, is kept in the cache of this machine. What was
    indexed before is not read again unless it was replaced, so an interrupted command can be
    repeated. A shard that cannot be read is reported, and the others are indexed; then nothing is
    written beside the data, and the status is 1.
    """
    from aisio.shards.index_cache import IndexCache
    from aisio.shards.index_loading import IndexPlace

    if in_cache and output is not None:
        raise click.UsageError("--cache and --output exclude each other")
    if output is not None:
        require_object(output)
    sources = shard_sources(cluster, urls, "aisio index")
    shards = list_shards(sources)
    place = index_place(sources)
    folder = place.folder if place is not None else None
    if output is not None:
        place = IndexPlace(cluster.store(output), output)
    cache = IndexCache()
    cache.remove_abandoned()
    lookup = None if rebuild else _lookup(place, cache, names=names)
    with read_progress(shards, "index") as progress:
        built = _build(shards, cache, lookup, jobs, progress.add)
    bytes_per_s = progress.size_bytes / progress.elapsed_s
    index = _joined(built, names=names, folder=folder)
    if in_cache or place is None:
        where = _write_to_cache(cache, index)
    else:
        where = _write_beside(place, cache, index, lookup, must=output is not None)
    _report(built, index, where, bytes_per_s, as_json=as_json)


def _lookup(place: IndexPlace | None, cache: IndexCache, *, names: bool) -> ShardLookup:
    """Return where to look for what was indexed before; a damaged index is built again."""
    from aisio.shards.index_loading import ShardLookup

    lookup = ShardLookup(place, cache, needs_names=names)
    try:
        lookup.beside  # noqa: B018 - it is loaded here
    except IntegrityError as error:
        write_note(f"warning: {error}")
        return ShardLookup(None, cache, needs_names=names)
    return lookup


def _build(
    shards: Sequence[ListedShard],
    cache: IndexCache,
    lookup: ShardLookup | None,
    jobs: int,
    on_read: Callable[[int], None],
) -> list[BuiltShard]:
    """Index the shards.

    Raises:
        AisioError: At least one could not be indexed; the others are in the cache.
    """
    from aisio.shards.index_jobs import build_indexes

    failures = FailureCollector("shards")
    built = []
    jobs_done = build_indexes(shards, cache=cache, lookup=lookup, jobs=jobs, on_read=on_read)
    with closing(jobs_done):
        for shard in jobs_done:
            with failures.collect(shard.info.url):
                if shard.error is not None:
                    raise shard.error
                built.append(shard)
    failures.raise_if_any()
    return built


def _joined(built: Sequence[BuiltShard], *, names: bool, folder: str | None) -> ShardIndex:
    from aisio.shards.index import ShardIndex

    shards = ((shard.index, shard.number) for shard in built if shard.index is not None)
    return ShardIndex.of_shards(shards, names=names, folder=folder)


def _write_to_cache(cache: IndexCache, index: ShardIndex) -> str:
    return str(cache.save_merged(index).path)


def _write_beside(
    place: IndexPlace,
    cache: IndexCache,
    index: ShardIndex,
    lookup: ShardLookup | None,
    *,
    must: bool,
) -> str:
    """Write the index as an object, unless it is there; into the cache if it cannot be written.

    Raises:
        AisioError: It cannot be written, and `must` is true.
    """
    old = lookup.beside if lookup is not None else None
    if old is not None and old.view == index.view:
        return str(place.url)
    try:
        place.store.put(place.url, index.to_bytes())
    except AisioError as error:
        if must:
            raise
        write_note(f"the index is kept in the cache, as it cannot be written: {error}")
        return _write_to_cache(cache, index)
    return str(place.url)


def _report(
    built: Sequence[BuiltShard],
    index: ShardIndex,
    where: str,
    bytes_per_s: float,
    *,
    as_json: bool,
) -> None:
    current = sum(shard.was_current for shard in built)
    not_ranged = sum(not shard.is_ranged for shard in index.shards)
    if as_json:
        summary = {
            "index": where,
            "shards": len(index.shards),
            "samples": len(index),
            "current": current,
            "not_ranged": not_ranged,
            "gb_per_s": bytes_per_s / 1e9,
            "digest": index.digest,
            "size_bytes": len(index.view),
        }
        write_lines([json_line(summary)])
        return
    write_lines([printable(where)])
    others = f", the others at {bytes_per_s / 1e9:.2f} GB/s" if current < len(built) else ""
    write_summary(
        f"{counted(len(index.shards), 'shard')}, {counted(len(index), 'sample')};"
        f" {current:,} indexed before{others}"
    )
    if not_ranged:
        write_note(
            f"{not_ranged:,} shard{'s' * (not_ranged != 1)} cannot be read by ranges, only whole:"
            " compressed, interleaved, or with a global PAX header"
        )
