"""`aisio tasks ls`, `show` and `abort`: which tasks there are, and how they are doing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.output import json_line, json_option, printable, write_lines, write_note
from aisio.cli.task_service import home_option, service_for, state_name, task_fields
from aisio.errors import AisioError

if TYPE_CHECKING:
    from aisio.tasks.service.rows import TrainTaskRow
    from aisio.tasks.service.service import TaskService

_STATES = ("CREATED", "RUNNING", "SUCCESS", "FAIL", "ABORT", "DELETED")


@click.command("ls", short_help="List tasks.")
@click.option("--project-name", help="Only tasks of this project.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES, case_sensitive=False),
    help="Only tasks in this state; may be given several times [all but DELETED].",
)
@home_option
@json_option("One JSON object for each task.")
def ls_command(
    project_name: str | None, states: tuple[str, ...], home: Path | None, as_json: bool
) -> None:
    """List your tasks, oldest first: ID, state, time of creation, name and command.

    Tasks that had not finished are asked about. One that cannot be asked about is listed as it was
    last seen, with a warning. Of one that waits, or whose machine is silent, a note says why.
    """
    from aisio.errors import NotFoundError
    from aisio.tasks.service.service import TaskService
    from aisio.tasks.settings import load_task_settings

    service = TaskService(load_task_settings(home=home))
    project_id = None
    if project_name is not None:
        project = service.projects.by_name(project_name)
        if project is None:
            raise NotFoundError(f"there is no project {project_name!r}")
        project_id = project.id
    shown = {state.upper() for state in states or _STATES[:-1]}
    rows = (row for row in _refreshed(service, project_id) if state_name(row) in shown)
    write_lines(json_line(task_fields(row)) if as_json else _noted_line(row) for row in rows)


def _refreshed(service: TaskService, project_id: str | None) -> Iterator[TrainTaskRow]:
    """Yield the tasks as they are now, each asked about by the engine that runs it."""
    services: dict[str, TaskService] = {}
    for row in service.train_tasks.all(project_id):
        try:
            if row.engine not in services:
                services[row.engine] = service.for_engine(row.engine)
            yield services[row.engine].train_tasks.refresh(row.id)
        except AisioError as error:
            write_note(f"warning: task {row.id} is shown as it was last seen: {error}")
            yield row


def _noted_line(row: TrainTaskRow) -> str:
    """Return the line of a task; of one that waits or is silent, note why."""
    if row.message and row.finish_time is None:
        write_note(f"note: task {row.id}: {row.message}")
    return _line(row)


def _line(row: TrainTaskRow) -> str:
    fields = (row.id, state_name(row), row.create_time, row.name, row.entrypoint)
    return "\t".join(printable(field.replace("\t", " ")) for field in fields)


@click.command("show", short_help="Describe a task.")
@click.argument("task_id", metavar="ID")
@home_option
@json_option("One JSON object.")
def show_command(task_id: str, home: Path | None, as_json: bool) -> None:
    """Describe the task ID as it is now."""
    service = service_for(home, task_id)
    fields = task_fields(service.train_tasks.refresh(task_id))
    if as_json:
        write_lines([json_line(fields)])
        return
    width = max(map(len, fields)) + 2
    write_lines(f"{name:{width}}{_text(value)}".rstrip() for name, value in fields.items())


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return printable(value if isinstance(value, str) else json_line(value))


@click.command("abort", short_help="End a task.")
@click.argument("task_id", metavar="ID")
@home_option
@json_option("The task as one JSON object.")
def abort_command(task_id: str, home: Path | None, as_json: bool) -> None:
    """End all processes of the task ID; print its state.

    A task that has finished stays as it is, which is no error.
    """
    service = service_for(home, task_id)
    row = service.train_tasks.abort(task_id)
    write_lines([json_line(task_fields(row)) if as_json else state_name(row)])
