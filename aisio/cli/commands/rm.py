"""`aisio rm`: delete objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

import click

from aisio.cli.cluster import Cluster
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import is_quiet, json_line, printable, write_lines, write_summary
from aisio.cli.types import SELECTION
from aisio.errors import AccessError, NotFoundError
from aisio.urls import FILE, ObjectUrl

if TYPE_CHECKING:
    from aisio.stores import Store

_BATCH_NAMES = 5_000
"""Names that are deleted, and then printed, at a time."""


@click.command("rm", short_help="Delete objects.")
@click.argument("urls", metavar="URL...", type=SELECTION, nargs=-1, required=True)
@click.option("-r", "-R", "--recursive", is_flag=True, help="All objects below each URL.")
@click.option(
    "-n",
    "--dry-run",
    "--dryrun",
    is_flag=True,
    help="Print what would be deleted, and delete nothing.",
)
@click.option("-f", "--force", is_flag=True, help="Objects that do not exist are no error.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def command(
    cluster: Cluster,
    urls: tuple[ObjectUrl, ...],
    recursive: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Delete the object at each URL, or the objects that a pattern matches, without asking.

    Each object that is deleted is printed. An object that does not exist is an error, after all
    others are deleted. With --recursive a URL stands for a bucket or a folder: ais://data/tr is
    what is below tr/, not what begins with tr. The bucket stays; `aisio rb` removes it.
    """
    for url in urls:
        _refuse(url, recursive=recursive)
    done = _Deletion(dry_run=dry_run, force=force, as_json=as_json)
    failures = FailureCollector("URLs", fatal=(AccessError,))
    for url in urls:
        with failures.collect(str(url)):
            done.delete(cluster, url, recursive=recursive)
    if done.count or not failures.failed:
        verb = "would be deleted" if dry_run else "deleted"
        write_summary(f"{done.count:,} {'object' if done.count == 1 else 'objects'} {verb}")
    if len(urls) == 1 and failures.failed:
        raise SystemExit(1)
    failures.raise_if_any()


def _refuse(url: ObjectUrl, *, recursive: bool) -> None:
    if url.provider == FILE:
        raise click.UsageError(
            f"/{url.name} is a path of this machine, which `aisio rm` does not delete; for an "
            f"object write ais://bucket/name"
        )
    if not recursive and (not url.name or url.name.endswith("/")):
        what = "a folder" if url.name else "a bucket"
        more = "" if url.name else f"; the bucket itself: aisio rb {url}"
        raise click.UsageError(f"{url} is {what}: to delete all in it: aisio rm -r {url}{more}")


class _Deletion:
    """Deletes objects, and prints them."""

    def __init__(self, *, dry_run: bool, force: bool, as_json: bool) -> None:
        self._dry_run = dry_run
        self._force = force
        self._as_json = as_json
        self.count = 0

    def delete(self, cluster: Cluster, url: ObjectUrl, *, recursive: bool) -> None:
        """Delete what a URL stands for.

        Raises:
            NotFoundError: It stands for nothing, or for an object that does not exist.
        """
        from aisio.sources.nothing_found import require_some

        store, source = cluster.store(url), cluster.pattern_source(url)
        if source is not None:
            infos = source.list() if self._force else require_some(source.list(), str(url))
            self._delete_all(store, url, (info.name for info in infos))
        elif recursive:
            names = _below(store, url)
            first = next(names, None)
            if first is not None:
                self._delete_all(store, url, chain([first], names))
            elif url.name and not self._force:
                raise cluster.no_objects_error(url)
        else:
            with cluster.not_found_hints(url, f"aisio rm -r {url}"):
                self._delete_all(store, url, [url.name])

    def _delete_all(self, store: Store, url: ObjectUrl, names: Iterable[str]) -> None:
        names = iter(names)
        missing: list[str] = []
        while batch := list(islice(names, _BATCH_NAMES)):
            gone = self._delete_batch(store, url, batch)
            deleted = [name for name in batch if name not in gone]
            self.count += len(deleted)
            self._print(url, deleted)
            missing += gone
        if missing and not self._force:
            shown = ", ".join(f"{url.root}/{name}" for name in missing[:3])
            more = f" and {len(missing) - 3:,} others" if len(missing) > 3 else ""
            raise NotFoundError(f"rm {shown}{more}: there is no such object", url=str(url))

    def _delete_batch(self, store: Store, url: ObjectUrl, names: Sequence[str]) -> frozenset[str]:
        """Delete objects; return the names that do not exist."""
        if not self._dry_run:
            return frozenset(store.delete_many(url, names, missing_ok=True).missing)
        return frozenset(name for name in names if not _exists(store, url.with_name(name)))

    def _print(self, url: ObjectUrl, names: Iterable[str]) -> None:
        action = "would_delete" if self._dry_run else "deleted"
        urls = (f"{url.root}/{name}" for name in names)
        if self._as_json:
            write_lines((json_line({"action": action, "url": one}) for one in urls), flush=True)
        elif not is_quiet():
            write_lines(f"{action.replace('_', ' ')} {printable(one)}" for one in urls)


def _below(store: Store, url: ObjectUrl) -> Iterator[str]:
    """Yield the names of the object at a URL, if there is one, and of all objects below it."""
    if not url.name or url.name.endswith("/"):
        yield from (info.name for info in store.list(url))
        return
    if _exists(store, url):
        yield url.name
    yield from (info.name for info in store.list(url.with_name(f"{url.name}/")))


def _exists(store: Store, url: ObjectUrl) -> bool:
    try:
        store.head(url)
    except NotFoundError:
        return False
    return True
