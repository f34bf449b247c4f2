"""`aisio ls`: list buckets, or objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster, is_local_folder
from aisio.cli.failure_collector import work_on_each
from aisio.cli.output import (
    exact_size_text,
    human_size_text,
    json_line,
    printable,
    write_lines,
)
from aisio.cli.types import SOURCE, CatalogName
from aisio.urls import ALIASES, ObjectUrl

if TYPE_CHECKING:
    from aisio.records import ObjectInfo

_LONG_PROPS = "name,size,checksum,version"


@click.command(
    "ls",
    short_help="List buckets or objects.",
    context_settings={"help_option_names": ["--help"]},
)
@click.argument("urls", metavar="[URL]...", type=SOURCE, nargs=-1)
@click.option("-l", "--long", is_flag=True, help="Size, checksum and version as well.")
@click.option(
    "-h", "--human-readable", "human", is_flag=True, help="With -l, sizes in K, M, G: 1,024."
)
@click.option("--no-recursion", is_flag=True, help="One level: folders instead of what is in them.")
@click.option("-r", "-R", "--recursive", is_flag=True, help="All levels, as without this option.")
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
    urls: tuple[ObjectUrl | CatalogName, ...],
    long: bool,
    human: bool,
    no_recursion: bool,
    recursive: bool,
    provider: str,
    as_json: bool,
) -> None:
    """List the objects whose names begin with a URL; without one, the buckets.

    A URL is a plain-string prefix: ais://data/tr lists what is in train/ and in trash/. With braces
    or wildcards it is a pattern, which matches whole names: ais://data/*/{000..099}.tar. The status
    is 1 where nothing has such a name; the other URLs are listed. catalog://NAME lists a source of
    the catalog.
    """
    if recursive and no_recursion:
        raise click.UsageError("--recursive and --no-recursion exclude one another")
    if not urls:
        buckets = (str(bucket.url) for bucket in cluster.client().buckets(provider))
        write_lines(json_line({"url": bucket}) if as_json else bucket for bucket in buckets)
        return
    for url in urls if no_recursion else ():
        if isinstance(url, CatalogName) or cluster.pattern_source(url) is not None:
            raise click.UsageError(f"--no-recursion: {url} has objects, and no levels")

    def write(url: ObjectUrl | CatalogName) -> None:
        infos = _objects(cluster, url, long=long, recursive=not no_recursion)
        if as_json:
            write_lines(json_line(_as_dict(info, long=long)) for info in infos)
        elif long:
            size = human_size_text if human else exact_size_text
            write_lines(_long_line(info, size) for info in infos)
        else:
            write_lines(printable(info.url) for info in infos)

    work_on_each(urls, write)


def _objects(
    cluster: Cluster, url: ObjectUrl | CatalogName, *, long: bool, recursive: bool
) -> Iterable[ObjectInfo]:
    from aisio.sources.nothing_found import require_some

    source = url.source(cluster) if isinstance(url, CatalogName) else cluster.pattern_source(url)
    if source is not None:
        infos = require_some(source.list(), str(url))
        # A listing has no checksums of what braces name; with -l each is asked for.
        return (source.completed(info) for info in infos) if long else infos
    assert isinstance(url, ObjectUrl)
    return _require_any(_below(cluster, url, long=long, recursive=recursive), cluster, url)


def _below(
    cluster: Cluster, url: ObjectUrl, *, long: bool, recursive: bool
) -> Iterable[ObjectInfo]:
    from aisio.client.client import Bucket
    from aisio.stores import AisStore

    store = cluster.store(url)
    if not isinstance(store, AisStore):
        return store.list(url) if recursive else store.list_level(url)

    bucket = Bucket(store.client, url.with_name(""))
    props = _LONG_PROPS if long else "name,size"
    return bucket.list(url.name, props=props, recursive=recursive)


def _require_any(
    infos: Iterable[ObjectInfo], cluster: Cluster, url: ObjectUrl
) -> Iterator[ObjectInfo]:
    """Yield all of a listing; an empty one is an error, except for a bucket or local folder.

    Raises:
        NotFoundError: No object's URL begins with this one.
    """
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


def _long_line(info: ObjectInfo, size_of: Callable[[int | None], str]) -> str:
    checksum = f"{info.checksum.kind}:{info.checksum.value}" if info.checksum else "-"
    size = size_of(_size_bytes(info))
    version = printable(info.version or "-")
    return f"{size:>15}  {printable(checksum):<24}  {version:>3}  {printable(info.url)}"
