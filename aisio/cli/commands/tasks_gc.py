"""`aisio tasks gc`: data that nothing refers to any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aisio.cli.output import exact_size_text, json_line, json_option, write_lines
from aisio.cli.task_service import home_option

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
@click.option("--dry-run", is_flag=True, help="Change nothing.")
@home_option
@json_option("One JSON object.")
def command(grace_hours: float, dry_run: bool, home: Path | None, as_json: bool) -> None:
    """Delete data that nothing refers to any more, in the store and in the home folder.

    Data in the store goes in two steps. One call condemns it; a call after the time of grace
    deletes it, unless something refers to it again. Uploads may run at the same time. Run it daily.
    """
    from aisio.tasks.service.service import TaskService
    from aisio.tasks.settings import load_task_settings

    service = TaskService(load_task_settings(home=home))
    pieces, leftovers = service.collect_garbage(grace_s=grace_hours * 3600, dry_run=dry_run)
    if as_json:
        paths = [str(path) for path in leftovers.paths]
        more = {"home_bytes": leftovers.size_bytes, "home_paths": paths}
        write_lines([json_line(asdict(pieces) | more)])
        return
    write_lines(_lines(pieces, leftovers, dry_run=dry_run))


def _lines(pieces: Garbage, leftovers: Leftovers, *, dry_run: bool) -> Iterator[str]:
    done = "to be deleted" if dry_run else "deleted"
    for words, count, size in (
        (f"store: {{}} pieces {done}", pieces.deleted, pieces.deleted_bytes),
        ("store: {} pieces condemned, for a later call", pieces.condemned, pieces.condemned_bytes),
        ("store: {} pieces kept", pieces.kept, pieces.kept_bytes),
        (f"home: {{}} files and folders {done}", len(leftovers.paths), leftovers.size_bytes),
    ):
        yield f"{words.format(f'{count:,}')} ({exact_size_text(size)} bytes)"
