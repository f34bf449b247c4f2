"""`aisio cp`: objects and files -> objects or files."""

from __future__ import annotations

from typing import Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.transfers import copy_arguments, run_copy


@click.command("cp", short_help="Copy objects and files.")
@copy_arguments
@click.pass_obj
def command(cluster: Cluster, /, **arguments: Any) -> None:
    """Copy SRC to DST; each is a URL or a local path.

    SRC may hold wildcards and braces, in quotation marks: 'ais://data/**/*.jpg',
    'ais://data/s-{000..099}.tar'. With one SRC that names an object, DST may be the name of the
    copy; else it is a folder or bucket. Copies get the names that they have in the folder SRC, or
    behind the last "/" before the first wildcard. Inside a cluster, the cluster copies. All bytes
    are verified; a file or object that cannot be copied is reported, and the others are copied.
    """
    run_copy(cluster, **arguments)
