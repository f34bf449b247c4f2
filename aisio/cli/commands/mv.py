"""`aisio mv`: objects and files -> objects or files elsewhere."""

from __future__ import annotations

from typing import Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.transfers import copy_arguments, run_copy


@click.command("mv", short_help="Move objects and files.")
@copy_arguments
@click.pass_obj
def command(cluster: Cluster, /, **arguments: Any) -> None:
    """Copy SRC to DST as `cp` does, and delete each SRC once its copy is verified.

    What is skipped, or could not be copied, is not deleted. Nor is an object or file that has
    changed since it was copied.
    """
    run_copy(cluster, **arguments, move=True)
