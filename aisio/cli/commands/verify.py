"""`aisio verify`: read tar shards whole, and compare them with their index."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import json_line, printable, write_lines, write_summary
from aisio.cli.shards import index_place, list_shards, read_progress, shard_sources
from aisio.cli.types import SOURCE, CatalogName
from aisio.errors import AisioError
from aisio.summary import counted
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aisio.shards.index_jobs import ListedShard
    from aisio.shards.index_loading import ShardLookup
    from aisio.shards.index_verify import Difference


@click.command("verify", short_help="Compare tar shards with their index.")
@click.argument("urls", metavar="URL...", type=SOURCE, nargs=-1, required=True)
@click.option(
    "--jobs",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="How many shards to read at once.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def command(
    cluster: Cluster, urls: tuple[ObjectUrl | CatalogName, ...], jobs: int, as_json: bool
) -> None:
    """Read the shards at each URL whole, and print which samples differ from the index.

    A URL is read as by `aisio index`, which makes the index. The status is 1 if anything differs,
    if a shard that the index beside the data has is missing, or if a shard has no index or cannot
    be read.
    """
    from aisio.shards.index_cache import IndexCache
    from aisio.shards.index_jobs import in_threads
    from aisio.shards.index_loading import ShardLookup

    sources = shard_sources(cluster, urls, "aisio verify")
    shards = list_shards(sources)
    lookup = ShardLookup(index_place(sources), IndexCache())
    missing = _missing(shards, lookup)
    failures = FailureCollector("shards")
    differences, samples = len(missing), 0
    line = _json if as_json else _line
    write_lines(map(line, missing), flush=True)
    with read_progress(shards, "verify") as progress:
        work = partial(_verify, lookup=lookup)
        results = in_threads(work, shards, jobs=jobs, on_read=progress.add)
        with closing(results):
            for shard, result in zip(shards, results, strict=True):
                with failures.collect(shard.info.url):
                    if isinstance(result, Exception):
                        raise result
                    found, shard_samples = result
                    samples += shard_samples
                    differences += len(found)
                    write_lines(map(line, found), flush=True)
    counts = [
        counted(len(shards), "shard"),
        counted(samples, "sample"),
        counted(differences, "difference"),
    ]
    write_summary(", ".join(counts))
    failures.raise_if_any()
    if differences:
        raise SystemExit(1)


def _missing(shards: Sequence[ListedShard], lookup: ShardLookup) -> list[Difference]:
    from aisio.shards.index_verify import missing_shards

    if lookup.beside is None:
        return []
    return list(missing_shards(lookup.beside, (shard.info for shard in shards)))


def _verify(
    shard: ListedShard, on_read: Callable[[int], None], *, lookup: ShardLookup
) -> tuple[list[Difference], int] | AisioError | OSError:
    """Return what differs in a shard and how many samples it has, or why it cannot be verified."""
    from aisio.shards.index_verify import verify_shard

    try:
        found = lookup.find_any(shard.info)
        if found is None:
            raise AisioError(f"{shard.info.url} has no index: `aisio index` makes one")
        index, number = found
        differences = verify_shard(shard.open, shard.info, index, number, on_read=on_read)
        return list(differences), index.shard(number).samples
    except (AisioError, OSError) as error:
        return error


def _line(difference: Difference) -> str:
    if difference.sample is None:
        return f"{printable(difference.url)}: {printable(difference.problem)}"
    name = f" {printable(difference.key)!r}" if difference.key else ""
    return (
        f"{printable(difference.url)}: sample {difference.sample}{name}"
        f" at byte {difference.offset}: {printable(difference.problem)}"
    )


def _json(difference: Difference) -> str:
    row: dict[str, Any] = difference._asdict()
    return json_line(row)
