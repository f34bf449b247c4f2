"""`aisio ls`: list buckets, or objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster, is_local_folder
from aisio.cli.output import json_line, printable, size_text, write_lines
from aisio.cli.types import SOURCE, CatalogName
from aisio.urls import ALIASES, ObjectUrl

if TYPE_CHECKING:
    from aisio.records import ObjectInfo

_LONG_PROPS = "name,size,checksum,version"


@click.command("ls", short_help="List buckets or objects.")
@click.argument("url", type=SOURCE, required=False)
@click.option("-l", "--long", is_flag=True, help="Size, checksum and version as well.")
@click.option("--no-recursion", is_flag=True, help="One level: folders instead of what is in them.")
@click.option(
    "--provider",
    type=click.Choice([*ALIASES]),
    default="ais",
    show_default=True,
    help="Whose buckets, without a URL.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def command(
    cluster: Cluster,
    url: ObjectUrl | CatalogName | None,
    long: bool,
    no_recursion: bool,
    provider: str,
    as_json: bool,
) -> None:
    """List the objects whose names begin with a URL; without one, the buckets.

    A URL is a plain-string prefix: ais://data/tr lists what is in train/ and in trash/. The status
    is 1 where nothing has such a name. catalog://NAME lists a source of the catalog.
    """
    if url is None:
        buckets = (str(bucket.url) for bucket in cluster.client().buckets(provider))
        write_lines(json_line({"url": bucket}) if as_json else bucket for bucket in buckets)
        return
    infos = _objects(cluster, url, long=long, recursive=not no_recursion)
    infos = _require_any(infos, cluster, url)
    if as_json:
        write_lines(json_line(_as_dict(info, long=long)) for info in infos)
    elif long:
        write_lines(map(_long_line, infos))
    else:
        write_lines(printable(info.url) for info in infos)


def _objects(
    cluster: Cluster, url: ObjectUrl | CatalogName, *, long: bool, recursive: bool
) -> Iterable[ObjectInfo]:
    from aisio.client.client import Bucket
    from aisio.stores import AisStore

    if isinstance(url, CatalogName):
        if not recursive:
            raise click.UsageError(f"--no-recursion: {url.text} has objects, and no levels")
        return url.source(cluster).list()
    store = cluster.store(url)
    if not isinstance(store, AisStore):
        return store.list(url) if recursive else store.list_level(url)

    bucket = Bucket(store.client, url.with_name(""))
    props = _LONG_PROPS if long else "name,size"
    return bucket.list(url.name, props=props, recursive=recursive)


def _require_any(
    infos: Iterable[ObjectInfo], cluster: Cluster, url: ObjectUrl | CatalogName
) -> Iterator[ObjectInfo]:
    """Yield all of a listing; an empty one is an error, except for a bucket or local folder.

    Raises:
        NotFoundError: No object's URL begins with this one.
    """
    if isinstance(url, CatalogName):
        yield from infos
        return
    infos = iter(infos)
    with cluster.not_found_hints(url):
        first = next(infos, None)
    if first is not None:
        yield first
        yield from infos
    elif url.name and not is_local_folder(url):
        raise cluster.no_objects_error(url)


def _as_dict(info: ObjectInfo, *, long: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"url": info.url, "name": info.name, "size_bytes": _size_bytes(info)}
    if long:
        checksum = info.checksum
        row["checksum"] = {"kind": checksum.kind, "value": checksum.value} if checksum else None
        row["version"] = info.version
    return row


def _size_bytes(info: ObjectInfo) -> int | None:
    return None if info.name.endswith("/") else info.size_bytes


def _long_line(info: ObjectInfo) -> str:
    checksum = f"{info.checksum.kind}:{info.checksum.value}" if info.checksum else "-"
    size = size_text(_size_bytes(info))
    version = printable(info.version or "-")
    return f"{size:>15}  {printable(checksum):<24}  {version:>3}  {printable(info.url)}"
