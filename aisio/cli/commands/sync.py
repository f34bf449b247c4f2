"""`aisio sync`: make a folder or bucket like another one."""

from __future__ import annotations

from typing import Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.transfers import destination_of, run_transfer, transfer_options, transfer_settings
from aisio.cli.types import SELECTION
from aisio.urls import ObjectUrl


@click.command("sync", short_help="Make a folder or bucket like another one.")
@click.argument("source", metavar="SRC", type=SELECTION)
@click.argument("destination", metavar="DST")
@click.option("--delete", is_flag=True, help="Delete at DST what SRC does not have.")
@click.option("--allow-empty", is_flag=True, help="Go on where SRC has nothing.")
@click.option("--size-only", is_flag=True, help="Compare sizes, not checksums.")
@transfer_options(existing=False)
@click.pass_obj
def command(
    cluster: Cluster,
    /,
    source: ObjectUrl,
    destination: str,
    as_json: bool,
    **flags: Any,
) -> None:
    """Copy from the folder or bucket SRC to DST what is not there with its size and checksum.

    Nothing is deleted without --delete, and with it nothing where SRC has no object, or where a
    copy failed. Unchanged objects and files are not read: checksums come from listings, and those
    of local files are remembered. Killed and run again, the command ends with the same tree.
    """
    options = transfer_settings(recursive=True, existing="compare", **flags)
    url = destination_of([source], destination)
    run_transfer(cluster, [source], url, options, as_json=as_json)
