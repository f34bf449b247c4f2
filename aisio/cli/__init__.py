"""The command `aisio`: its options and the list of its commands.

Each command is a module of `aisio.cli.commands`. None of them imports anything slow before its
command runs, so that `aisio --help` is quick.
"""

from __future__ import annotations

import click

from aisio.cli.cluster import add_endpoint_option, cluster_at
from aisio.cli.commands import (
    bench,
    buckets,
    cache,
    cat,
    catalog,
    completion,
    cp,
    diff,
    du,
    get,
    index,
    info,
    load,
    ls,
    mv,
    pack,
    put,
    rm,
    serve,
    sync,
    tar,
    tasks,
    top,
    verify,
)
from aisio.cli.error_handler import CommandGroup
from aisio.cli.output import add_quiet_option
from aisio.version import __version__

__all__ = ["main"]


@click.group(
    cls=CommandGroup,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "-e",
    "--endpoint",
    "--endpoint-url",
    metavar="URL",
    help="The cluster's proxy or a gateway, as in http://127.0.0.1:8080; else AIS_ENDPOINT.",
)
@click.option("--traceback", is_flag=True, help="Show where in the program an error comes from.")
@click.version_option(
    __version__, "-V", "--version", prog_name="aisio", message="%(prog)s %(version)s"
)
@click.pass_context
def main(context: click.Context, endpoint: str | None, traceback: bool) -> None:
    """Work with the objects of an AIStore cluster, a gateway or a local folder.

    Objects are named by URLs: ais://bucket/name, s3://bucket/name and so on through the cluster,
    file:///folder/name or a plain path for local files. A token is taken from AIS_AUTHN_TOKEN or
    AIS_AUTHN_TOKEN_FILE.
    """
    # CommandGroup reads --traceback when an error occurs.
    context.obj = cluster_at(endpoint)


_COMMANDS = (
    serve.command,
    ls.command,
    get.command,
    put.command,
    cat.command,
    cp.command,
    mv.command,
    sync.command,
    rm.command,
    buckets.make,
    buckets.remove,
    du.command,
    diff.command,
    info.command,
    pack.command,
    tar.command,
    index.command,
    verify.command,
    bench.command,
    top.command,
    load.command,
    cache.command,
    catalog.command,
    tasks.command,
    completion.command,
)
_WITHOUT_CLUSTER = (
    serve.command,
    top.command,
    cache.command,
    catalog.command,
    tasks.command,
    completion.command,
)

for command in _COMMANDS:
    main.add_command(command)
    if command not in _WITHOUT_CLUSTER:
        add_endpoint_option(command)
add_endpoint_option(catalog.pin)
add_quiet_option(main)
