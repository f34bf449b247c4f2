"""`aisio catalog`: the files that name sources and resources."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.error_handler import CommandGroup
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import json_line, json_option, printable, write_lines
from aisio.cli.types import ExistingPath
from aisio.escapes import one_line

if TYPE_CHECKING:
    from aisio.catalog import Catalog, NamedSource, Resource

_FOLDER = ExistingPath(file_okay=False)

catalog_option = click.option(
    "-c",
    "--catalog",
    "folders",
    type=_FOLDER,
    multiple=True,
    help="A folder of catalog files, instead of AISIO_CATALOG; may be given several times.",
)


@click.group(
    "catalog",
    cls=CommandGroup,
    no_args_is_help=False,
    short_help="Check, list and pin named sources and resources.",
)
def command() -> None:
    """Work with catalogs: folders of YAML files that name sources and resources.

    Without a folder these are the ones of AISIO_CATALOG, else catalog/ in the user's configuration
    folder for aisio, and bionemo-core's own where that is installed.
    """


@command.command("check", short_help="Report all that is wrong in catalog files.")
@click.argument("folders", metavar="[FOLDER]...", type=_FOLDER, nargs=-1)
@json_option("The totals as JSON.")
def check(folders: tuple[Path, ...], as_json: bool) -> None:
    """Report all that is wrong in the catalog files of FOLDERs, a line each, on stderr.

    The status is 1 if anything is wrong. Keys of resources that aisio does not know are reported
    too, as warnings: they are ignored, but may be misspelt.
    """
    from aisio.catalog.folder import check_catalog, default_folders
    from aisio.config import is_set

    folders = folders or default_folders()
    for folder in folders if is_set("AISIO_CATALOG") else ():
        if not folder.exists():
            click.echo(f"warning: {one_line(str(folder))}: there is no such folder", err=True)
    report = check_catalog(*folders)
    for unknown in report.unknown:
        click.echo(f"warning: {one_line(str(unknown))}", err=True)
    for problem in report.problems:
        click.echo(one_line(str(problem)), err=True)
    if report.problems:
        raise click.exceptions.Exit(1)
    sources = sum(_is_source(entry) for entry in report.entries.values())
    resources = len(report.entries) - sources
    if as_json:
        write_lines([json_line({"resources": resources, "sources": sources})])
        return
    counts = {"resource": resources, "source": sources}
    totals = (f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items())
    write_lines([f"{', '.join(totals)}: all right"])


@command.command("list", short_help="List the entries of a catalog.")
@catalog_option
@json_option("One JSON object a line.")
def list_entries(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the entries: tag, kind and where from, with tabs between them, sorted by tag.

    The kind is resource, or which of urls, prefix, template, manifest and tar a source is.
    """
    catalog = _catalog(folders)
    rows = (_row(catalog[tag]) for tag in sorted(catalog))
    if as_json:
        names = ("tag", "kind", "location")
        write_lines(json_line(dict(zip(names, row, strict=True))) for row in rows)
        return
    write_lines("\t".join(map(printable, row)) for row in rows)


@command.command("show", short_help="Show one entry as YAML.")
@click.argument("tag")
@catalog_option
@json_option("As JSON instead: file, line and entry.")
def show(tag: str, folders: tuple[Path, ...], as_json: bool) -> None:
    """Show the entry TAG as YAML, with what it takes over from others."""
    import msgspec
    import yaml

    catalog = _catalog(folders)
    entry = msgspec.to_builtins(catalog.find(tag))
    fields = {
        name: value for name, value in entry.items() if value or name == "sha256" or value is False
    }
    file, line = catalog.where(tag)
    if as_json:
        write_lines([json_line({"file": str(file), "line": line, "entry": fields})])
        return
    text = yaml.safe_dump([fields], sort_keys=False, allow_unicode=True, width=100)
    write_lines([f"# {printable(str(file))}:{line}", *text.splitlines()])


@command.command("schema", short_help="Print the JSON Schema of catalog files.")
def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of catalog files, for editors."""
    from aisio.catalog.schema import schema_text

    write_lines(schema_text().splitlines())


@command.command("pin", short_help="Write the digests of what is there now.")
@click.argument("tags", metavar="[TAG]...", nargs=-1)
@catalog_option
@click.option("--update", is_flag=True, help="Write anew the digests that are there already.")
@click.option("--source", metavar="NAME", help="Registry to download resources from: ngc or pbss.")
@json_option("One JSON object for each digest.")
@click.pass_obj
def pin(
    cluster: Cluster,
    tags: tuple[str, ...],
    folders: tuple[Path, ...],
    update: bool,
    source: str | None,
    as_json: bool,
) -> None:
    """Write the digests of what is there now into the catalog files: of TAGs, else of all entries.

    That is sha256 of resources where it is null, for which they are downloaded once into TMPDIR,
    and digest of sources without one, which are listed. All else in the files stays as it is. Each
    digest written is printed: tag, field, value, with tabs between them.
    """
    if update and not (tags or folders):
        raise click.UsageError("--update reads all that it writes: say which tags, or --catalog")
    catalog = _catalog(folders)
    for tag in tags:
        catalog.find(tag)
    failures = FailureCollector("entries", max_unavailable=None)
    for tag in tags or catalog:
        with failures.collect(tag):
            changed = _pin(catalog, tag, cluster, update=update, source=source)
            names = ("tag", "field", "value")
            write_lines(
                json_line(dict(zip(names, row, strict=True)))
                if as_json
                else "\t".join(map(printable, row))
                for row in changed
            )
    failures.raise_if_any()


def _pin(
    catalog: Catalog, tag: str, cluster: Cluster, *, update: bool, source: str | None
) -> list[tuple[str, str, str]]:
    """Write the digest of an entry; return the row written, or none if it was right already."""
    from aisio.catalog import Resource
    from aisio.catalog.pinning import write_pin

    entry = catalog[tag]
    field = "sha256" if isinstance(entry, Resource) else "digest"
    pinned = getattr(entry, field)
    if pinned is not None and not update:
        return []
    file, _ = catalog.where(tag)
    if not os.access(file.resolve().parent, os.W_OK):  # before a long download
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    if isinstance(entry, Resource):
        current = _digest_of_resource(entry, cluster, source)
    else:
        current = _digest_of_source(entry, cluster)
    if pinned is not None and pinned.lower() in (current.lower(), f"sha256:{current}"):
        return []
    write_pin(file, tag, field, current)
    return [(tag, field, current)]


def _digest_of_resource(resource: Resource, cluster: Cluster, source: str | None) -> str:
    import msgspec

    from aisio.resources.download.digests import parse_digest
    from aisio.resources.loading import load

    # The digest is of the file as downloaded. The fresh folder keeps a cache from being used.
    unverified = msgspec.structs.replace(resource, sha256=None, unpack=False, decompress=False)
    digest = parse_digest(resource.sha256)
    with tempfile.TemporaryDirectory(prefix="aisio-pin-") as folder:
        catalog = {resource.tag: unverified}
        path = load(resource.tag, source, catalog, folder, client=_client(cluster))
        return digest.as_text(digest.hash_file(path))


def _digest_of_source(source: NamedSource, cluster: Cluster) -> str:
    from aisio.sources.catalog_source import CatalogSource
    from aisio.sources.digest import listing_digest

    return listing_digest(CatalogSource.of(source, client=_client(cluster)))


def _client(cluster: Cluster) -> Any:
    return cluster.client() if cluster.endpoint else None


def _catalog(folders: Sequence[Path]) -> Catalog:
    from aisio.catalog import default_catalog, read_catalog

    # Read again: an earlier `pin` of the same process may have changed the files.
    return read_catalog(*folders, reload=True) if folders else default_catalog(reload=True)


def _is_source(entry: Resource | NamedSource) -> bool:
    from aisio.catalog import NamedSource

    return isinstance(entry, NamedSource)


def _row(entry: Resource | NamedSource) -> tuple[str, str, str]:
    from aisio.catalog import Resource

    if isinstance(entry, Resource):
        target = f"ngc:{entry.ngc}" if entry.ngc else None
        return entry.tag, "resource", " ".join(filter(None, (*entry.urls, target, entry.pbss)))
    where = getattr(entry, entry.kind)
    if entry.urls:
        others = len(entry.urls) - 1
        where = entry.urls[0] + (f" and {others:,} more" if others else "")
    return entry.tag, entry.kind, where
