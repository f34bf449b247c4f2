"""`aisio mb` and `aisio rb`: create and remove buckets."""

from __future__ import annotations

import click

from aisio.cli.cluster import Cluster
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import is_quiet, json_line, write_lines
from aisio.cli.types import BUCKET
from aisio.urls import ObjectUrl


@click.command("mb", short_help="Create buckets.")
@click.argument("buckets", metavar="BUCKET...", type=BUCKET, nargs=-1, required=True)
@click.option("-p", "--exist-ok", is_flag=True, help="A bucket that exists is no error.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def make(cluster: Cluster, buckets: tuple[ObjectUrl, ...], exist_ok: bool, as_json: bool) -> None:
    """Create each BUCKET, as in ais://data, in the cluster.

    A bucket that exists is an error; all others are created.
    """
    failures = FailureCollector("buckets")
    for url in buckets:
        with failures.collect(str(url)):
            _create(cluster, url, exist_ok=exist_ok)
            _print("created", url, as_json=as_json)
    _raise_failed(failures)


@click.command("rb", short_help="Remove buckets.")
@click.argument("buckets", metavar="BUCKET...", type=BUCKET, nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="With all objects in it.")
@click.option("-n", "--dry-run", "--dryrun", is_flag=True, help="Print what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def remove(
    cluster: Cluster,
    buckets: tuple[ObjectUrl, ...],
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove each BUCKET from the cluster, without asking.

    A bucket that has objects is an error unless --force is given, and so is one that does not
    exist; all others are removed. The listing that looks for objects and the removal are two
    requests.
    """
    failures = FailureCollector("buckets")
    for url in buckets:
        with failures.collect(str(url)):
            _remove(cluster, url, force=force, dry_run=dry_run)
            _print("would_remove" if dry_run else "removed", url, as_json=as_json)
    _raise_failed(failures)


def _create(cluster: Cluster, url: ObjectUrl, *, exist_ok: bool) -> None:
    from aisio.errors import ConflictError

    try:
        cluster.client().bucket(url.root).create(exist_ok=exist_ok)
    except ConflictError as error:
        message = f"{url} exists already; with --exist-ok that is no error"
        raise ConflictError(message, url=str(url)) from error


def _remove(cluster: Cluster, url: ObjectUrl, *, force: bool, dry_run: bool) -> None:
    from aisio.errors import ConflictError, NotFoundError

    bucket = cluster.client().bucket(url.root)
    if not bucket.exists():
        raise NotFoundError(f"{url}: there is no such bucket", url=str(url))
    first = None if force else next(iter(bucket.list(props="name", page_size=1)), None)
    if first is not None:
        raise ConflictError(
            f"{url} is not empty, it has {first.name} for one; with all objects in it: "
            f"aisio rb --force {url}",
            url=str(url),
        )
    if not dry_run:
        bucket.delete()


def _print(action: str, url: ObjectUrl, *, as_json: bool) -> None:
    if as_json:
        write_lines([json_line({"action": action, "url": str(url)})])
    elif not is_quiet():
        write_lines([f"{action.replace('_', ' ')} {url}"])


def _raise_failed(failures: FailureCollector) -> None:
    if failures.attempted == 1 and failures.failed:  # its error is printed already
        raise SystemExit(1)
    failures.raise_if_any()
