"""`aisio diff`: what differs between two trees of objects or files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.error_handler import error_message
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import json_line, printable, write_lines, write_summary
from aisio.cli.transfers import name_options
from aisio.cli.types import SELECTION
from aisio.errors import AisioError, NotFoundError
from aisio.urls import FILE, ObjectUrl

if TYPE_CHECKING:
    from aisio.transfer.comparison import Difference

DIFFERENT = 1
FAILED = 2
"""Exit statuses, as those of diff."""

_MARKS = {"new": "+", "changed": "*", "unverified": "?", "extra": "-", "same": "="}


@click.command("diff", short_help="Compare two folders, buckets or prefixes.")
@click.argument("source", metavar="SRC", type=SELECTION)
@click.argument("destination", metavar="DST", type=SELECTION)
@name_options
@click.option("--size-only", is_flag=True, help="Compare sizes, not checksums.")
@click.option("--all", "show_all", is_flag=True, help="Print what is the same, too.")
@click.option("-r", "--recursive", is_flag=True, help="Whole trees, as without this option.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def command(
    cluster: Cluster,
    /,
    source: ObjectUrl,
    destination: ObjectUrl,
    show_all: bool,
    recursive: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Compare the objects or files below SRC and DST by size and checksum; no object is read.

    Before each name stands "+" if only SRC has it, "-" if only DST has it, "*" if size or checksum
    differ, "?" if the sizes are the same and the stores have no checksums to compare, "=" if it is
    the same (with --all). Local files are read for their checksums, once as long as they do not
    change.

    The status is 0 if nothing differs, 1 if something does or could not be verified, 2 if the
    comparison failed.
    """
    counts: Counter[str] = Counter()
    failures = FailureCollector("names")
    line = _json if as_json else _line
    with _failures_have_status_2():
        rows = _differences(cluster, source, destination, flags)
        counted = _counted(_with_place(rows, cluster, destination), counts, failures)
        write_lines((line(row) for row in counted if show_all or _differs(row)), flush=True)
        write_summary(_summary(counts))
        failures.raise_if_any()
    if counts.total() > counts["same"]:
        raise SystemExit(DIFFERENT)


class _ComparisonFailed(click.ClickException):
    """The comparison has failed: nothing is known of what differs."""

    exit_code = FAILED


@contextmanager
def _failures_have_status_2() -> Iterator[None]:
    """Turn an error into one that ends the program with the status of a failed `diff`.

    Raises:
        ClickException: An error.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (AisioError, OSError) as error:
        raise _ComparisonFailed(error_message(error)) from error


def _differences(
    cluster: Cluster, source: ObjectUrl, destination: ObjectUrl, flags: Mapping[str, Any]
) -> Iterator[Difference]:
    """Compare two objects, or what is below two URLs.

    Args:
        cluster: The cluster of the command line.
        source: SRC.
        destination: DST.
        flags: The other arguments of `compare_trees`.
    """
    from aisio.transfer.comparison import compare_trees

    if _is_object(cluster, source):
        if not destination.name or destination.name.endswith("/"):
            destination = destination.join(source.name.rpartition("/")[2])
        return _compare_objects(cluster, source, destination, size_only=flags["size_only"])
    client = cluster.client() if cluster.endpoint else None
    return compare_trees(str(source), str(destination), client=client, **flags)


def _is_object(cluster: Cluster, url: ObjectUrl) -> bool:
    if not url.name or url.name.endswith("/") or cluster.pattern_source(url) is not None:
        return False
    try:
        cluster.store(url).head(url)
    except NotFoundError:
        return False
    return True


def _compare_objects(
    cluster: Cluster, source: ObjectUrl, destination: ObjectUrl, *, size_only: bool
) -> Iterator[Difference]:
    from aisio.transfer.comparison import Comparison, compare
    from aisio.transfer.trees import open_tree

    comparison = Comparison(size_only=size_only)
    entries = []
    for url in (source, destination):
        store = cluster.store(url)
        info = store.head(url)
        (entry,) = open_tree(store, url, recursive=False).entries
        entries.append(replace(entry, name=source.name.rpartition("/")[2], info=info))
    return compare(entries[:1], entries[1:], comparison)


def _with_place(
    rows: Iterator[Difference], cluster: Cluster, destination: ObjectUrl
) -> Iterator[Difference]:
    """Yield the rows, the first of them once it is known that the destination exists."""
    first = next(rows, None)
    if first is None:
        return
    if first.destination is None and first.error is None:
        _require_place(cluster, destination)
    yield first
    yield from rows


def _require_place(cluster: Cluster, url: ObjectUrl) -> None:
    """Check that a destination exists: it may be misspelt. A bucket or local folder may be empty.

    Raises:
        NotFoundError: No such bucket, folder or prefix.
    """
    from aisio.transfer.trees import open_tree

    if url.provider == FILE and Path("/", url.name).is_dir():
        return
    first = next(iter(open_tree(cluster.store(url), url, recursive=True).entries), None)
    if first is None and url.name:
        raise cluster.no_objects_error(url)


def _counted(
    rows: Iterator[Difference], counts: Counter[str], failures: FailureCollector
) -> Iterator[Difference]:
    """Yield the rows that could be compared; count them, and report the others."""
    for row in rows:
        with failures.collect(row.name):
            if row.error is not None:
                raise row.error
            counts[row.kind.value] += 1
            yield row


def _differs(row: Difference) -> bool:
    return row.kind.value != "same"


def _line(row: Difference) -> str:
    return f"{_MARKS[row.kind.value]} {printable(row.name)}"


def _json(row: Difference) -> str:
    sides = {"source": row.source, "destination": row.destination}
    urls = {
        side: None
        if entry is None
        else {"url": entry.info.url, "size_bytes": entry.info.size_bytes}
        for side, entry in sides.items()
    }
    return json_line({"name": row.name, "kind": row.kind.value, **urls})


def _summary(counts: Counter[str]) -> str:
    kinds = [
        ("same", "the same"),
        ("changed", "changed"),
        ("unverified", "not verified"),
        ("new", "only in SRC"),
        ("extra", "only in DST"),
    ]
    shown = [f"{counts[kind]:,} {text}" for kind, text in kinds if counts[kind] or kind == "same"]
    return ", ".join(shown)
