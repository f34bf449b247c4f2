"""`aisio tasks run`: code, data and a command become a task."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.interrupts import INTERRUPTED
from aisio.cli.output import json_line, json_option, write_lines, write_note, write_summary
from aisio.cli.progress import show_progress
from aisio.cli.standard_streams import require_stdout
from aisio.cli.task_service import home_option, state_name, task_fields
from aisio.cli.types import ExistingPath

if TYPE_CHECKING:
    from aisio.tasks.objects.train_task import TrainTask
    from aisio.tasks.service.rows import TrainTaskRow

_FOLDER = ExistingPath(file_okay=False)
_FILE = ExistingPath(dir_okay=False)


def _parse_hyperparams(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Return the values of NAME=VALUE by name."""
    hyperparams: dict[str, str] = {}
    for text in values:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise click.BadParameter(f"{text!r}: expected NAME=VALUE, or NAME= for a flag")
        if name in hyperparams:
            raise click.BadParameter(f"{name!r} is given twice")
        hyperparams[name] = value
    return hyperparams


@click.command(
    "run",
    short_help="Start a task.",
    context_settings={"allow_interspersed_args": False},
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--algorithm-dir", type=_FOLDER, help="Directory of the code [this directory].")
@click.option("--algorithm-id", help="Or an algorithm that is registered.")
@click.option("--algorithm-name", help="Name of the algorithm [made of the directory's path].")
@click.option("--algorithm-git-ref", metavar="REF", help="Run this branch, tag or commit.")
@click.option("--algorithm-force-update", is_flag=True, help="Commit what is not committed.")
@click.option("--disable-git", is_flag=True, help="Send the code as an archive.")
@click.option("--dataset-dir", type=_FOLDER, help="Folder of a data set, uploaded if it changed.")
@click.option("--dataset-archive", type=_FILE, help="The same as a zip or tar.")
@click.option(
    "--dataset-id", multiple=True, help="Id of a data set, a URL, or a name in the catalog."
)
@click.option("--model-id", multiple=True, help="Id of a model.")
@click.option("--pretrain-task-id", multiple=True, help="A task whose results are read.")
@click.option("--project-name", help="Name of the project, made if there is none [the default].")
@click.option("--output", metavar="FOLDER", help="Folder of the results, relative to the code.")
@click.option(
    "--hyperparam",
    "hyperparams",
    multiple=True,
    callback=_parse_hyperparams,
    metavar="NAME=VALUE",
    help="Argument --NAME VALUE of the program; NAME= is a flag.",
)
@click.option("--num-nodes", default=1, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--nproc-per-node",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Processes a node.",
)
@click.option(
    "--max-restarts",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Starts after a failure.",
)
@click.option("--description", "task_description", help="In words; also of a forced commit.")
@click.option(
    "--engine", type=click.Choice(["local", "ray", "slurm"]), help="[AISIO_TASKS_ENGINE, local]"
)
@click.option("--wait", is_flag=True, help="Show what the task prints; end with its exit code.")
@home_option
@json_option("The task as one JSON object; with --wait when it has finished.")
def command(
    command: tuple[str, ...],
    engine: str | None,
    home: Path | None,
    disable_git: bool,
    wait: bool,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Start COMMAND, as in `python train.py`, as a task, and print the task's ID.

    Options stand before COMMAND: what follows it is the program's. The options are arguments of
    `aisio.tasks.quick_train`. The task runs on if this command ends, also by Ctrl-C.
    """
    from aisio.tasks.quickstart import quick_train
    from aisio.tasks.service.service import TaskService
    from aisio.tasks.settings import load_task_settings

    require_stdout()
    settings = load_task_settings(home=home, engine=engine, disable_git=disable_git or None)
    service = TaskService(settings)
    if arguments["algorithm_id"] is None:
        arguments["algorithm_dir"] = arguments["algorithm_dir"] or Path.cwd()
    elif arguments["algorithm_dir"] is not None:
        raise click.UsageError("--algorithm-id and --algorithm-dir exclude each other")
    with show_progress("data set") as progress:
        task, *_ = quick_train(
            **arguments,
            entrypoint=shlex.join(command),
            on_progress=progress.update_to,
            service=service,
        )
    if wait:
        _wait(task, as_json=as_json)
    else:
        _write_task(task, as_json=as_json)


def _wait(task: TrainTask, *, as_json: bool) -> None:
    """Show what a task prints until it has finished, and end with its exit code."""
    task_id = str(task.id)
    try:
        write_summary(f"task {task_id} has been started")
        if as_json:
            task.wait()
        else:
            write_lines(task.stream_log(), flush=True)
        row = task.service.train_tasks.refresh(task_id)
    except KeyboardInterrupt:
        note_that_it_runs_on(task_id)
        click.get_current_context().exit(INTERRUPTED)
    if as_json:
        write_lines([json_line(task_fields(row))])
    status = exit_status(row)
    if status:
        write_note(f"task {task_id}: {state_name(row)}{f': {row.message}' * bool(row.message)}")
    click.get_current_context().exit(status)


def _write_task(task: TrainTask, *, as_json: bool) -> None:
    row = task.service.train_tasks.get(str(task.id))
    write_lines([json_line(task_fields(row)) if as_json else row.id])


def note_that_it_runs_on(task_id: str) -> None:
    """Say on stderr that a task has not ended, and which commands are about it."""
    write_note(
        f"task {task_id} runs on: 'aisio tasks logs -f {task_id}' shows it, "
        f"'aisio tasks abort {task_id}' ends it"
    )


def exit_status(row: TrainTaskRow) -> int:
    """Return the exit status of a command that waited for a task: its exit code, 1 without one."""
    from aisio.tasks.states import TaskState

    if row.state == TaskState.SUCCESS:
        return 0
    return row.exit_code if row.exit_code and 0 < row.exit_code < 256 else 1
