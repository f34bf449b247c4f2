"""`aisio top`: a running job, while it runs: what it reads, and what it waits for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from aisio.cli.output import json_line, json_option, write_lines, write_summary
from aisio.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from aisio.cli.process_table import ProcessTable
    from aisio.publishing.processes import PublishedProcess


@click.command("top", short_help="Watch a running job.")
@click.argument("job", required=False, metavar="[PID|FOLDER]")
@click.option("--once", is_flag=True, help="Show it once.")
@click.option(
    "--interval",
    "interval_s",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Seconds between two looks.",
)
@json_option("One JSON object for each look.")
def command(job: str | None, once: bool, interval_s: float, as_json: bool) -> None:
    """Show what the processes of a job read, and what they wait for, until it ends.

    Jobs publish that where AISIO_TOP=1 is set when they begin. Without an argument, all jobs of
    this user on this machine are shown; with the PID of a process, that one and what it has
    started; with a FOLDER, the jobs that were begun with AISIO_TOP=FOLDER.

    On a terminal the view is one screen, which Ctrl-C leaves. Otherwise each look is some lines.
    """
    find = _finder(job)
    processes = find()
    if not processes:
        raise NotFoundError(
            f"{f'{job}: ' if job else ''}no running job of yours on this machine publishes what it"
            " does: begin it with AISIO_TOP=1 in its environment"
        )
    try:
        with _view(as_json=as_json, once=once) as show:
            _watch(processes, find, show, None if once else interval_s)
    except KeyboardInterrupt:  # this is how one leaves it
        return


def _watch(
    processes: list[PublishedProcess],
    find: Callable[[], list[PublishedProcess]],
    show: Callable[[ProcessTable], None],
    interval_s: float | None,
) -> None:
    from aisio.cli.process_table import table_of

    while processes:
        show(table_of(processes))
        if interval_s is None:
            return
        time.sleep(interval_s)
        processes = find()
    write_summary("the job has ended")


def _finder(job: str | None) -> Callable[[], list[PublishedProcess]]:
    """Return what finds the processes that an argument means."""
    from aisio.config import absolute_folder
    from aisio.publishing.folder import default_top_folder, top_folder
    from aisio.publishing.processes import family_of, published_processes

    pid = int(job) if job and job.isascii() and job.isdecimal() else None
    if job and pid is None:
        folder = absolute_folder(job)
        if not folder.is_dir():
            raise ConfigError(f"{job} is neither the ID of a process nor a folder")
    else:
        folder = top_folder() or default_top_folder()

    def find() -> list[PublishedProcess]:
        processes = published_processes(folder)
        return processes if pid is None else family_of(pid, processes)

    return find


def _view(*, as_json: bool, once: bool) -> AbstractContextManager[Callable[[ProcessTable], None]]:
    if as_json:
        return nullcontext(lambda table: write_lines([json_line(table.as_dict())], flush=True))
    if once or not _is_terminal():
        return nullcontext(lambda table: write_lines(_lines(table), flush=True))
    return _screen()


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


@contextmanager
def _screen() -> Iterator[Callable[[ProcessTable], None]]:
    """Show tables on one screen; what was on the terminal before comes back at the end."""
    from aisio.extras import missing_extra

    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError as error:
        raise missing_extra("rich", "top") from error
    from aisio.cli.process_screen import render

    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda table: live.update(render(table), refresh=True)


def _lines(table: ProcessTable) -> Iterator[str]:
    from aisio.cli.process_table import COLUMNS

    yield table.head()
    rows = [COLUMNS, *table.rows()]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for *numbers, now in rows:
        cells = (cell.rjust(width) for cell, width in zip(numbers, widths[:-1], strict=True))
        yield "  ".join((*cells, now)).rstrip()
