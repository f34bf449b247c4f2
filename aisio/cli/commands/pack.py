"""`aisio pack`: a folder of files -> tar shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster, missing_bucket_hint
from aisio.cli.output import byte_progress, json_line, printable, write_lines, write_note
from aisio.cli.types import URL, SizeType
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aisio.shards.packing import PackedShard
    from aisio.shards.plan import Plan


@click.command("pack", short_help="Pack a folder into tar shards.")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.argument("url", type=URL)
@click.option("--samples", type=click.IntRange(min=1), help="Samples in each shard.")
@click.option("--bytes", "size_bytes", type=SizeType(), help="Or most bytes, as in 64M [256M].")
@click.option("--prefix", default="shard", show_default=True, help="What shard names begin with.")
@click.option("--strict", is_flag=True, help="Refuse samples whose extensions differ.")
@click.option("--overwrite", is_flag=True, help="Replace the shards of an earlier run.")
@click.option("--create-bucket", is_flag=True, help="Create the bucket if there is none.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each shard.")
@click.pass_obj
def command(
    cluster: Cluster,
    folder: Path,
    url: ObjectUrl,
    samples: int | None,
    size_bytes: int | None,
    prefix: str,
    strict: bool,
    overwrite: bool,
    create_bucket: bool,
    as_json: bool,
) -> None:
    """Pack the files below DIR into tar shards PREFIX-000000.tar, PREFIX-000001.tar ... below URL.

    Files that have the same path up to the first dot of their names make a sample: 0001.jpg and
    0001.cls. Samples are sorted and stay whole, and the same files give the same bytes. The URL of
    each shard is written to stdout once it is stored.
    """
    from aisio.shards.packing import write_shards
    from aisio.shards.plan import plan_folder

    if samples is not None and size_bytes is not None:
        raise click.UsageError("--samples and --bytes cannot be combined")
    if not prefix or "/" in prefix:
        raise click.UsageError(f"--prefix {prefix!r} must be the beginning of a name, without '/'")
    plan = plan_folder(folder, samples=samples, size_bytes=size_bytes, prefix=prefix, strict=strict)
    for text in plan.warnings():
        write_note(f"warning: {text}")
    if create_bucket:
        cluster.create_bucket(url)
    store = cluster.store(url)
    shards = write_shards(plan, url, store=store, overwrite=overwrite)
    with missing_bucket_hint(store):
        write_lines(_lines(plan, shards, as_json=as_json), flush=True)


def _lines(plan: Plan, shards: Iterator[PackedShard], *, as_json: bool) -> Iterator[str]:
    done = 0
    with byte_progress(sum(shard.size_bytes for shard in plan.shards), plan.folder.name) as show:
        for shard in shards:
            done += shard.size_bytes
            show(done)
            yield json_line(_as_dict(shard)) if as_json else printable(shard.url)


def _as_dict(shard: PackedShard) -> dict[str, Any]:
    checksum = {"kind": shard.checksum.kind, "value": shard.checksum.value}
    return {
        "url": shard.url,
        "samples": shard.samples,
        "size_bytes": shard.size_bytes,
        "checksum": checksum,
    }
