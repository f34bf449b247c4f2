"""`aisio mv`: objects and files -> objects or files elsewhere."""

from __future__ import annotations

from typing import Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.transfers import destination_of, run_transfer, transfer_options, transfer_settings
from aisio.cli.types import SOURCE
from aisio.urls import ObjectUrl


@click.command("mv", short_help="Move objects and files.")
@click.argument("sources", metavar="SRC...", type=SOURCE, nargs=-1, required=True)
@click.argument("destination", metavar="DST")
@click.option("-r", "--recursive", is_flag=True, help="What is in the folders or buckets SRC.")
@transfer_options()
@click.pass_obj
def command(
    cluster: Cluster,
    /,
    sources: tuple[ObjectUrl, ...],
    destination: str,
    recursive: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Copy SRC to DST as `cp` does, and delete each SRC once its copy is verified.

    What is skipped, or could not be copied, is not deleted. Nor is an object or file that has
    changed since it was copied.
    """
    options = transfer_settings(recursive=recursive, **flags)
    url = destination_of(sources, destination)
    run_transfer(cluster, sources, url, options, as_json=as_json, move=True)
