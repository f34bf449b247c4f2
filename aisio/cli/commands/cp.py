"""`aisio cp`: objects and files -> objects or files."""

from __future__ import annotations

from typing import Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.transfers import destination_of, run_transfer, transfer_options, transfer_settings
from aisio.cli.types import SOURCE, CatalogName
from aisio.urls import ObjectUrl


@click.command("cp", short_help="Copy objects and files.")
@click.argument("sources", metavar="SRC...", type=SOURCE, nargs=-1, required=True)
@click.argument("destination", metavar="DST")
@click.option("-r", "--recursive", is_flag=True, help="What is in the folders or buckets SRC.")
@transfer_options()
@click.pass_obj
def command(
    cluster: Cluster,
    /,
    sources: tuple[ObjectUrl | CatalogName, ...],
    destination: str,
    recursive: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Copy SRC to DST; each is a URL or a local path.

    SRC may hold wildcards and braces, in quotation marks: 'ais://data/**/*.jpg',
    'ais://data/s-{000..099}.tar'. With one SRC that names an object, DST may be the name of the
    copy; else it is a folder or bucket. Copies get the names that they have in the folder SRC, or
    behind the last "/" before the first wildcard. Inside a cluster, the cluster copies. All bytes
    are verified; a file or object that cannot be copied is reported, and the others are copied.
    """
    options = transfer_settings(recursive=recursive, **flags)
    url = destination_of(sources, destination)
    run_transfer(cluster, sources, url, options, as_json=as_json)
