"""`aisio tasks logs`, `metrics` and `results`: what a task has printed, reported and written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aisio.cli.commands.tasks_run import note_that_it_runs_on
from aisio.cli.interrupts import INTERRUPTED
from aisio.cli.output import json_line, json_option, printable, time_text, write_lines, write_note
from aisio.cli.progress import show_progress
from aisio.cli.task_service import home_option, metric_fields, service_for

if TYPE_CHECKING:
    from aisio.tasks.metrics import Metric
    from aisio.tasks.service.service import TaskService


@click.command("logs", short_help="Show what a task has printed.")
@click.argument("task_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Until the task has finished.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N lines.")
@home_option
@json_option("One JSON object for each line.")
def logs_command(
    task_id: str, follow: bool, last: int | None, home: Path | None, as_json: bool
) -> None:
    """Show what the processes of the task ID have printed.

    With -f, Ctrl-C ends this command, and the task runs on.
    """
    if follow and last is not None:
        raise click.UsageError("--follow and --last exclude each other")
    tasks = service_for(home, task_id).train_tasks
    lines = tasks.follow(task_id) if follow else iter(tasks.logs(task_id, last))
    try:
        write_lines(
            (json_line({"line": line}) if as_json else line for line in lines), flush=follow
        )
    except KeyboardInterrupt:
        if not follow:
            raise
        note_that_it_runs_on(task_id)
        click.get_current_context().exit(INTERRUPTED)


@click.command("metrics", short_help="Show what a task has reported.")
@click.argument("task_id", metavar="ID")
@click.option("--name", help="Only the metric of this name.")
@click.option("--final", is_flag=True, help="Only results, not what was reported on the way.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the curves into a .png or .svg file.",
)
@click.option("--trackio", "project", metavar="PROJECT", help="Copy them into trackio, as a run.")
@home_option
@json_option("One JSON object for each number.")
def metrics_command(
    task_id: str,
    name: str | None,
    final: bool,
    picture: Path | None,
    project: str | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Show the numbers that the task ID has reported: time (UTC), name, step and value.

    Results have "final" after the value. With --plot or --trackio, the numbers are not printed, but
    for --json.
    """
    service = service_for(home, task_id)
    metrics = [
        metric
        for metric in service.train_tasks.metrics(task_id, final=True if final else None)
        if name is None or metric.name == name
    ]
    if not metrics:
        what = f"metric {name!r}" if name is not None else "metrics"
        write_note(f"task {task_id} has reported no {what}")
    if picture is not None:
        from aisio.tasks.metric_plot import plot_metrics

        plot_metrics(metrics, picture, title=f"task {task_id}")
    if project is not None:
        _export(service, task_id, metrics, project)
    if as_json or (picture is None and project is None):
        write_lines(
            json_line(metric_fields(metric)) if as_json else _metric_line(metric)
            for metric in metrics
        )


def _export(service: TaskService, task_id: str, metrics: list[Metric], project: str) -> None:
    import json

    from aisio.tasks.trackio_export import export_to_trackio

    row = service.train_tasks.get(task_id)
    # trackio prints, and stdout is for the numbers.
    with redirect_stdout(sys.stderr):
        export_to_trackio(metrics, project, run=task_id, config=json.loads(row.train_params))


def _metric_line(metric: Metric) -> str:
    step = "-" if metric.step is None else str(metric.step)
    fields = [time_text(metric.time), printable(metric.name), step, repr(metric.value)]
    return "\t".join(fields + ["final"] * metric.final)


@click.command("results", short_help="Download the results of a task.")
@click.argument("task_id", metavar="ID")
@click.argument("folder", default=".", metavar="[DIR]", type=click.Path(file_okay=False))
@click.option("--list", "list_only", is_flag=True, help="Only list the files.")
@home_option
@json_option("One JSON object: path and size_bytes; with --list one for each file.")
def results_command(
    task_id: str, folder: str, list_only: bool, home: Path | None, as_json: bool
) -> None:
    """Write what the task ID left in its output folder into DIR, as a zip; print its path.

    The task must have finished.
    """
    from aisio.tasks.objects.chunks import SyncResourceDownloader

    service = service_for(home, task_id)
    with show_progress("results") as progress:
        results = service.train_tasks.results(task_id, progress.update_to)
    if list_only:
        write_lines(_file_lines(service, results.id, as_json=as_json))
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with show_progress("results") as progress:
        downloader = SyncResourceDownloader(progress.update_to)
        downloader.service = service
        path = Path(downloader.run(results.id, folder))
    fields = {"path": str(path), "size_bytes": path.stat().st_size}
    write_lines([json_line(fields) if as_json else str(path)])


def _file_lines(service: TaskService, results_id: str, *, as_json: bool) -> Iterator[str]:
    for file in service.resources.tree(results_id).files:
        size = sum(piece.size for piece in file.pieces)
        yield json_line({"name": file.name, "size_bytes": size}) if as_json else file.name
