"""`aisio du`: how much there is below a URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from aisio.urls import ObjectUrl, folder_url

if TYPE_CHECKING:
    from aisio.records import ObjectInfo


@click.command(
    "du",
    short_help="Add up the sizes of objects.",
    context_settings={"help_option_names": ["--help"]},
)
@click.argument("urls", metavar="[URL]...", type=SOURCE, nargs=-1)
@click.option(
    "-h", "--human-readable", "human", is_flag=True, help="Sizes in K, M, G: powers of 1,024."
)
@click.option(
    "-d",
    "--max-depth",
    "--depth",
    "depth",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many levels of folders to show below each URL.",
)
@click.option("-s", "--summarize", is_flag=True, help="The total of each URL: as --max-depth 0.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def command(
    cluster: Cluster,
    urls: tuple[ObjectUrl | CatalogName, ...],
    human: bool,
    depth: int,
    summarize: bool,
    as_json: bool,
) -> None:
    """Add up size and number of the objects below each URL, by its listing; no object is read.

    Without a URL, of each ais:// bucket. A URL is a folder, a bucket, a plain-string prefix
    (ais://data/tr is train/ and trash/), a pattern, or catalog://NAME. Folders come before what
    they are in, as by `du`. Sizes that a listing does not have are asked for. A URL that fails is
    reported, and the others are counted.
    """
    if summarize and depth:
        raise click.UsageError("--summarize is --max-depth 0: give one of the two")
    places = urls or tuple(bucket.url for bucket in cluster.client().buckets())
    size = human_size_text if human else exact_size_text

    def text(row: _Usage) -> str:
        if as_json:
            return json_line(row.as_dict())
        return f"{size(row.size_bytes):>17}  {row.objects:>12,}  {printable(row.url)}"

    def write(url: ObjectUrl | CatalogName) -> None:
        write_lines(map(text, _usage(cluster, url, depth)), flush=True)

    work_on_each(places, write)


@dataclass
class _Usage:
    """What is below one URL."""

    url: str
    objects: int = 0
    size_bytes: int = 0

    def as_dict(self) -> dict[str, object]:
        return {"url": self.url, "objects": self.objects, "size_bytes": self.size_bytes}


def _usage(cluster: Cluster, url: ObjectUrl | CatalogName, depth: int) -> Iterator[_Usage]:
    """Yield the folders below a URL, each after those in it, then the URL itself."""
    base, infos = _listing(cluster, url)
    total = _Usage(str(url) if isinstance(url, ObjectUrl) else url.text)
    open_folders: list[_Usage] = []
    for info in infos:
        size_bytes = info.size_bytes or 0
        folders = _folders(info, base, depth)
        while open_folders and (
            len(open_folders) > len(folders)
            or open_folders[-1].url != folders[len(open_folders) - 1]
        ):
            yield open_folders.pop()
        open_folders += [_Usage(folder) for folder in folders[len(open_folders) :]]
        for usage in (*open_folders, total):
            usage.objects += 1
            usage.size_bytes += size_bytes
    yield from reversed(open_folders)
    if not total.objects and isinstance(url, ObjectUrl) and url.name and not is_local_folder(url):
        raise cluster.no_objects_error(url)
    yield total


def _folders(info: ObjectInfo, base: str, depth: int) -> list[str]:
    """Return the URLs of the folders that an object is in, below `base`, outermost first."""
    if not depth:
        return []
    parts = info.url[len(base) :].split("/")[:-1][:depth]
    return [base + "".join(f"{part}/" for part in parts[: n + 1]) for n in range(len(parts))]


def _listing(cluster: Cluster, url: ObjectUrl | CatalogName) -> tuple[str, Iterable[ObjectInfo]]:
    """Return the URL below which folders are shown, and the objects."""
    from aisio.sources.nothing_found import require_some

    source = url.source(cluster) if isinstance(url, CatalogName) else cluster.pattern_source(url)
    if source is not None:
        infos = map(source.completed, require_some(source.list(), str(url)))
        return source.base_url or "", infos
    assert isinstance(url, ObjectUrl)
    return folder_url(url), cluster.store(url).list(url)
