"""`aisio cat`: objects -> stdout."""

from __future__ import annotations

import click

from aisio.cli.cluster import URL, Cluster
from aisio.cli.get import byte_range_of, copy
from aisio.cli.output import binary_stdout
from aisio.urls import ObjectUrl


@click.command("cat", short_help="Write objects to stdout.")
@click.argument("urls", metavar="URL...", type=URL, nargs=-1, required=True)
@click.option("--start", type=click.IntRange(min=0), help="First byte, counted from 0.")
@click.option("--stop", type=click.IntRange(min=1), help="One past the last byte.")
@click.pass_obj
def command(
    cluster: Cluster, urls: tuple[ObjectUrl, ...], start: int | None, stop: int | None
) -> None:
    """Write the bytes of objects to stdout, one object after the other.

    Bytes go out as they arrive. If they turn out not to be the ones that the store promised, that
    is an error at the object's end.
    """
    byte_range = byte_range_of(start, stop)
    with binary_stdout() as out:
        for url in urls:
            with cluster.store(url).get(url.require_object(), byte_range) as body:
                copy(body, out)
