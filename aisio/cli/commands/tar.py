"""`aisio tar`: files or objects -> one tar and its index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec.structs import asdict

from aisio.cli.cluster import Cluster, missing_bucket_hint
from aisio.cli.output import json_line, printable, write_lines, write_summary
from aisio.cli.types import DESTINATION, SELECTION, require_object
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from aisio.shards.tar_packing import PackedTar


@click.command("tar", short_help="Pack files or objects into one tar with an index.")
@click.option("--tar-path", "tar", type=DESTINATION, required=True, help="The tar.")
@click.option("--index-path", "index", type=DESTINATION, required=True, help="Its index.")
@click.option("--source-path", "source", type=SELECTION, help="The folder or prefix to pack.")
@click.option("--index-only", is_flag=True, help="Index a tar that exists.")
@click.option("--overwrite", is_flag=True, help="Replace a tar or an index that exists.")
@click.option("--create-bucket", is_flag=True, help="Create the bucket if there is none.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
@click.pass_obj
def command(
    cluster: Cluster,
    tar: ObjectUrl,
    index: ObjectUrl,
    source: ObjectUrl | None,
    index_only: bool,
    overwrite: bool,
    create_bucket: bool,
    as_json: bool,
) -> None:
    """Pack a folder, or all objects below a prefix, into one tar, and write its index.

    The index is that of Alibaba's OSS connector for PyTorch, and the options have the names of its
    generate_tar_archive.py. AISMapDataset.from_tar reads both. Members are sorted, with names that
    are relative to the folder, or to the prefix up to its last "/".
    """
    from aisio.shards.tar_packing import index_tar, pack_tar

    if index_only and source is not None:
        raise click.UsageError("--index-only reads the tar: --source-path has no meaning with it")
    if not index_only and source is None:
        raise click.UsageError("--source-path is needed, or --index-only")
    for written in (tar, index):
        require_object(written)
    client = cluster.client() if cluster.endpoint else None
    if create_bucket:
        for url in {index.root: index} if index_only else {tar.root: tar, index.root: index}:
            cluster.create_bucket(ObjectUrl.parse(f"{url}/"))
    with missing_bucket_hint(cluster.store(index)):
        if source is None:
            made = index_tar(str(tar), str(index), overwrite=overwrite, client=client)
        else:
            made = pack_tar(str(source), str(tar), str(index), overwrite=overwrite, client=client)
    _report(made, as_json=as_json)


def _report(made: PackedTar, *, as_json: bool) -> None:
    if as_json:
        write_lines([json_line(asdict(made) | {"checksum": _checksum(made)})])
        return
    write_lines([printable(made.url), printable(made.index_url)])
    write_summary(f"{made.members:,} files, {made.size_bytes:,} bytes")


def _checksum(made: PackedTar) -> dict[str, str] | None:
    known = made.checksum
    return None if known is None else {"kind": known.kind, "value": known.value}
