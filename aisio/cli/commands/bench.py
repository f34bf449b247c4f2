"""`aisio bench`: measure how fast the user's own data can be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster
from aisio.cli.output import json_line, plot_option, write_lines, write_summary
from aisio.cli.types import SOURCE, CatalogName, SizeType
from aisio.summary import counted
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aisio.cli.benchmark import Trial

_COLUMNS = (
    "work",
    "items",
    "items/s",
    "MB/s",
    "first ms",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "CPU us",
    "limited by",
)


@click.command("bench", short_help="Measure how fast data is read.")
@click.argument("url", type=SOURCE)
@click.option("--turns", default=3, show_default=True, type=click.IntRange(min=1), help="Repeats.")
@click.option(
    "--objects",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Most objects, and most shards, to read in one turn.",
)
@click.option(
    "--bytes",
    "size_bytes",
    default="1G",
    show_default=True,
    type=SizeType(),
    help="Most bytes of each of them to read in one turn.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@plot_option("Draw the figures into a .png or .svg file as well.")
@click.pass_obj
def command(
    cluster: Cluster,
    url: ObjectUrl | CatalogName,
    turns: int,
    objects: int,
    size_bytes: int,
    as_json: bool,
    picture: Path | None,
) -> None:
    """Time the listing and the reading of what is below URL, or in catalog://NAME.

    With braces or wildcards, URL is a pattern. Nothing is written. Names that end in .tar are read
    as shards of samples, all others as objects, one after another. Times are those of one process
    and thread, and medians of the turns.
    """
    from aisio.cli.benchmark import Limits, run_source_trials, run_trials

    if picture is not None:
        from aisio.pictures.picture_file import check_picture

        check_picture(picture)
    limits = Limits(objects, size_bytes, turns)
    if isinstance(url, CatalogName):
        trials = run_source_trials(url.source(cluster), url.text, limits)
    elif (source := cluster.pattern_source(url)) is not None:
        trials = run_source_trials(source, str(url), limits)
    else:
        trials = run_trials(cluster.store(url), url, limits)
    measured: list[Trial] = []
    trials = _kept(trials, measured)
    if as_json:
        write_lines((json_line(_as_dict(trial)) for trial in trials), flush=True)
    else:
        limit = f"at most {objects:,} objects and {size_bytes:,} bytes"
        write_summary(f"{counted(turns, 'turn')} of {limit}")
        write_lines(_table(trials), flush=True)
    if picture is not None:
        from aisio.pictures.trials import draw_trials

        draw_trials(picture, [_as_dict(trial) for trial in measured], title=f"Reading {url}")


def _kept(trials: Iterable[Trial], measured: list[Trial]) -> Iterator[Trial]:
    """Yield the trials, and append them to a list."""
    for trial in trials:
        measured.append(trial)
        yield trial


def _as_dict(trial: Trial) -> dict[str, Any]:
    return {
        "work": trial.work,
        "items": trial.items,
        "size_bytes": trial.size_bytes,
        "items_per_s": trial.items_per_s,
        "mb_per_s": trial.mb_per_s,
        "first_s": trial.first_s,
        "p50_s": trial.latency_s(0.50),
        "p90_s": trial.latency_s(0.90),
        "p99_s": trial.latency_s(0.99),
        "wall_s": trial.wall_s,
        "cpu_s": trial.cpu_s,
        "limited_by": trial.limited_by,
    }


def _table(trials: Iterable[Trial]) -> Iterator[str]:
    yield _line(_COLUMNS)
    for trial in trials:
        yield _line(
            (
                trial.work,
                f"{trial.items:,}",
                f"{trial.items_per_s:,.0f}",
                f"{trial.mb_per_s:,.1f}" if trial.size_bytes else "-",
                _ms(trial.first_s),
                *(_ms(trial.latency_s(share)) for share in (0.50, 0.90, 0.99)),
                f"{trial.cpu_us_per_item:,.1f}",
                "this CPU" if trial.limited_by == "cpu" else "the store",
            )
        )


def _line(cells: Iterable[str]) -> str:
    work, *numbers, limit = cells
    return f"{work:<8}" + "".join(f"{number:>10}" for number in numbers) + f"  {limit}"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:,.2f}"
