"""`aisio cache`: the folder of downloads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.error_handler import CommandGroup
from aisio.cli.output import (
    json_line,
    json_option,
    printable,
    time_text,
    write_lines,
    write_note,
    write_summary,
)
from aisio.cli.progress import show_progress
from aisio.cli.types import SizeType

if TYPE_CHECKING:
    from aisio.resources.cache.cache import Cache
    from aisio.resources.inventory import Entry

_CACHE_DIR_KEY = "aisio.cache_dir"
"""Key of --cache-dir in click's `Context.meta`."""


class _MaxSizeType(SizeType):
    """A number of bytes, 0 included."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number of bytes."""
        return 0 if value in (0, "0") else super().convert(value, param, ctx)


@click.group(
    "cache", cls=CommandGroup, no_args_is_help=False, short_help="The folder of downloads."
)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Another folder, before the command.",
)
@click.pass_context
def command(context: click.Context, cache_dir: Path | None) -> None:
    """Look at the folder of downloads, check it, and make room in it.

    It is AISIO_CACHE_DIR, else BIONEMO_CACHE_DIR, else the user's cache folder for aisio.
    """
    context.meta[_CACHE_DIR_KEY] = cache_dir


def _cache() -> Cache:
    from aisio.resources.cache.cache import Cache, default_cache_folder

    return Cache(click.get_current_context().meta[_CACHE_DIR_KEY] or default_cache_folder())


@command.command("path", short_help="Print where it is.")
@json_option("One JSON object.")
def path_command(as_json: bool) -> None:
    """Print the folder; it need not exist."""
    folder = str(_cache().folder)
    write_lines([json_line({"path": folder}) if as_json else folder])


@command.command("list", short_help="List what is in it.")
@json_option("One JSON object a line.")
def list_command(as_json: bool) -> None:
    """List the entries: bytes, last use (UTC), state and name, with tabs between.

    The state is verified: a load answers at once; unverified: a load hashes it first; partial: the
    beginning of a download; or leftover: unpacked, but its download is gone.
    """
    from aisio.resources.inventory import list_entries

    write_lines(map(_json if as_json else _line, list_entries(_cache())))


@command.command("verify", short_help="Hash everything in it.")
@click.option("--remove", is_flag=True, help="Remove what is wrong.")
@json_option("One JSON object for each that is wrong.")
def verify_command(remove: bool, as_json: bool) -> None:
    """Hash every download and compare what was unpacked from it; print those that are wrong.

    The next load gets a wrong one anew, whether it is removed or not; but where the catalog has no
    digest, it takes what is there. The status is 1 if any is wrong or cannot be read.
    """
    from aisio.resources.inventory import list_entries, size_of
    from aisio.resources.upkeep import verify

    cache = _cache()
    wrong = checked = 0
    total = sum(size_of(entry.path) for entry in list_entries(cache))
    with show_progress("verify", total) as progress:
        for finding in verify(cache, remove_wrong=remove, on_hashed=progress.add):
            if finding.skipped:
                write_note(f"{finding.path.name}: not checked: {finding.skipped}")
                continue
            checked += 1
            if finding.problem:
                wrong += 1
                row = {"name": finding.path.name, "problem": finding.problem}
                text = "\t".join(map(printable, row.values()))
                write_lines([json_line(row) if as_json else text])
    write_summary(f"{checked} checked, {wrong} wrong")
    if wrong:
        raise SystemExit(1)


@command.command("prune", short_help="Make room in it.")
@click.option(
    "--max-size", type=_MaxSizeType(), required=True, help="Most bytes to keep, as in 20G."
)
@click.option("--dry-run", "--dryrun", is_flag=True, help="Only print what would be removed.")
@json_option("One JSON object a line.")
def prune_command(max_size: int, dry_run: bool, as_json: bool) -> None:
    """Remove what was used longest ago until the rest is small enough; print it as `list` does.

    What is in use stays: loaded by a process that still runs, or within the last 10 minutes. A path
    that was handed to another program counts from its last load. Files that are neither aisio's nor
    BioNeMo's stay, too.
    """
    from aisio.resources.upkeep import prune

    removed = prune(_cache(), max_size, dry_run=dry_run)
    write_lines(map(_json if as_json else _line, removed))
    size_bytes = sum(entry.size_bytes for entry in removed)
    verb = "would be removed" if dry_run else "removed"
    write_summary(f"{len(removed)} {verb}, {size_bytes:,} bytes")


def _line(entry: Entry) -> str:
    used = time_text(int(entry.last_used))
    name = printable(entry.path.name)
    return f"{entry.size_bytes}\t{used}\t{entry.state}\t{name}"


def _json(entry: Entry) -> str:
    return json_line(
        {
            "name": entry.path.name,
            "size_bytes": entry.size_bytes,
            "last_used": time_text(int(entry.last_used)),
            "state": entry.state,
        }
    )
