"""`aisio tasks gc`: data that nothing refers to any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aisio.cli.output import exact_size_text, json_line, json_option, write_lines
from aisio.cli.task_service import home_option
from aisio.escapes import one_line

if TYPE_CHECKING:
    from aisio.tasks.resources.garbage import Garbage
    from aisio.tasks.service.leftovers import Leftovers


@click.command("gc", short_help="Delete data that nothing refers to.")
@click.option(
    "--grace-hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="How long data stays that nothing refers to.",
)
@click.option("--dry-run", "--dryrun", is_flag=True, help="Change nothing.")
@home_option
@json_option("One JSON object.")
def command(grace_hours: float, dry_run: bool, home: Path | None, as_json: bool) -> None:
    """Delete data that nothing refers to any more, in the store and in the home folder.

    Data in the store goes in two steps. One call condemns it; a call after the time of grace
    deletes it, unless something refers to it again. Uploads may run at the same time. Run it daily.
    """
    from aisio.tasks.service.service import TaskService
    from aisio.tasks.settings import load_task_settings

    settings = load_task_settings(home=home)
    service = TaskService(settings)
    pieces, leftovers = service.collect_garbage(grace_s=grace_hours * 3600, dry_run=dry_run)
    if as_json:
        paths = [str(path) for path in leftovers.paths]
        more = {"home_bytes": leftovers.size_bytes, "home_paths": paths}
        write_lines([json_line(asdict(pieces) | more)])
        return
    done = "to be deleted" if dry_run else "deleted"
    # Which store and folder they are, as a misspelt one has no garbage.
    store, folder = one_line(settings.store_url), one_line(str(settings.home))
    write_lines([*_store_lines(store, pieces, done), _home_line(folder, leftovers, done)])


def _store_lines(store: str, pieces: Garbage, done: str) -> Iterator[str]:
    for words, count, size in (
        (done, pieces.deleted, pieces.deleted_bytes),
        ("condemned, for a later call", pieces.condemned, pieces.condemned_bytes),
        ("kept", pieces.kept, pieces.kept_bytes),
    ):
        yield f"{store}: {count:,} pieces {words} ({exact_size_text(size)} bytes)"


def _home_line(folder: str, leftovers: Leftovers, done: str) -> str:
    size = exact_size_text(leftovers.size_bytes)
    return f"{folder}: {len(leftovers.paths):,} files and folders {done} ({size} bytes)"
