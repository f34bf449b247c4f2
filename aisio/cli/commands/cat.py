"""`aisio cat`: objects -> stdout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from aisio.cli.cluster import Cluster
from aisio.cli.failure_collector import work_on_each
from aisio.cli.output import byte_range_of, copy
from aisio.cli.standard_streams import binary_stdout
from aisio.cli.types import SOURCE, CatalogName, require_source
from aisio.errors import NotFoundError
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from aisio.records import ByteRange
    from aisio.sources.base import Source
    from aisio.transport.body import Body

_ALL_BELOW = "a pattern takes all below it, as in '**'"


@click.command("cat", short_help="Write objects to stdout.")
@click.argument("urls", metavar="URL...", type=SOURCE, nargs=-1, required=True)
@click.option("--start", type=click.IntRange(min=0), help="First byte, counted from 0.")
@click.option("--stop", type=click.IntRange(min=1), help="One past the last byte.")
@click.pass_obj
def command(
    cluster: Cluster,
    urls: tuple[ObjectUrl | CatalogName, ...],
    start: int | None,
    stop: int | None,
) -> None:
    """Write the bytes of objects to stdout, one object after the other.

    Bytes go out as they arrive. If they turn out not to be the ones that the store promised, that
    is an error at the object's end. A URL with braces or wildcards stands for all objects that it
    matches, catalog://NAME for those of a source of the catalog. A URL that fails is reported, and
    the others are written.
    """
    byte_range = byte_range_of(start, stop)
    if byte_range and any(isinstance(url, CatalogName) for url in urls):
        raise click.UsageError("--start and --stop are for objects, not for names in a catalog")
    for url in urls:
        if isinstance(url, ObjectUrl) and cluster.pattern_source(url) is None:
            with suppress(NotFoundError):  # it is reported in its turn
                require_source(url, _ALL_BELOW)
    work_on_each(urls, partial(_write, cluster, byte_range))


def _write(cluster: Cluster, byte_range: ByteRange | None, url: ObjectUrl | CatalogName) -> None:
    with binary_stdout() as out:
        for body in _bodies(cluster, url, byte_range):
            with body:
                copy(body, out)


def _bodies(
    cluster: Cluster, url: ObjectUrl | CatalogName, byte_range: ByteRange | None
) -> Iterator[Body]:
    from aisio.sources.nothing_found import require_some

    source: Source | None
    if isinstance(url, CatalogName):
        source = url.source(cluster)
    elif (source := cluster.pattern_source(url)) is None:
        with cluster.not_found_hints(url, f"aisio cat '{url}/**'"):
            body = cluster.store(url).get(require_source(url, _ALL_BELOW), byte_range)
        yield body
        return
    for info in require_some(source.list(), str(url)):
        yield source.get(info, byte_range=byte_range)
