"""`aisio load`: resources of the catalog -> files and folders of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aisio.cli.cluster import Cluster
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import json_line, json_option, log_on_stderr, printable, write_lines
from aisio.cli.standard_streams import require_stdout

if TYPE_CHECKING:
    from functools import partial


@click.command("load", short_help="Download resources of the catalog, and print their paths.")
@click.argument("tag", required=False)
@click.option("--all", "load_all", is_flag=True, help="All resources; goes on where one fails.")
@click.option("--list", "list_them", is_flag=True, help="List them and where they come from.")
@click.option(
    "--source",
    type=click.Choice(["ngc", "pbss"]),
    help="That registry alone; else the entry's own URLs, or BIONEMO_DATA_SOURCE.",
)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of downloads; else AISIO_CACHE_DIR.",
)
@click.option("--recheck", is_flag=True, help="Hash and compare what is there.")
@json_option("One JSON object a line.")
@click.pass_obj
def command(
    cluster: Cluster,
    tag: str | None,
    load_all: bool,
    list_them: bool,
    source: str | None,
    cache_dir: Path | None,
    recheck: bool,
    as_json: bool,
) -> None:
    """Print the path of the resource TAG, downloaded and unpacked if it is not there yet.

    Stdout gets the absolute path and nothing else; with --all one line for each, the tag, a tab and
    the path.
    """
    if (tag is not None) + load_all + list_them != 1:
        raise click.UsageError("one of TAG, --all and --list is needed")
    if list_them:
        _list(as_json=as_json)
        return
    from functools import partial

    from aisio.resources.loading import load

    load_one = partial(
        load,
        source=source,
        cache_dir=cache_dir,
        client=cluster.client() if cluster.endpoint else None,
        recheck=recheck,
    )
    with log_on_stderr("aisio.resources"):
        if tag is None:
            _load_all(load_one, as_json=as_json)
        else:
            path = str(load_one(tag).absolute())
            write_lines([json_line({"tag": tag, "path": path}) if as_json else path])


def _list(*, as_json: bool) -> None:
    from aisio.resources.bionemo import print_resources, resource_origins

    if as_json:
        rows = ({"tag": tag, "origins": names} for tag, names in resource_origins())
        write_lines(map(json_line, rows))
        return
    require_stdout()
    print_resources()


def _load_all(load_one: partial[Path], *, as_json: bool) -> None:
    from aisio.catalog import default_catalog

    failures = FailureCollector("resources", max_unavailable=None)
    for tag in sorted(default_catalog().resources):
        with failures.collect(tag):
            path = load_one(tag).absolute()
            line = f"{printable(tag)}\t{printable(str(path))}"
            write_lines([json_line({"tag": tag, "path": str(path)}) if as_json else line])
    failures.raise_if_any()
