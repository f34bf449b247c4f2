"""What the commands of `aisio tasks` share: the service of a task, and its values as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from aisio.tasks.metrics import Metric
    from aisio.tasks.service.rows import TrainTaskRow
    from aisio.tasks.service.service import TaskService

__all__ = [
    "home_option",
    "metric_fields",
    "service_for",
    "state_name",
    "task_fields",
]

F = TypeVar("F", bound=Callable[..., Any])


def home_option(command: F) -> F:
    """Add `--home` to a command."""
    return click.option(
        "--home", type=click.Path(path_type=Path), help="Folder of the records [AISIO_TASKS_HOME]."
    )(command)


def service_for(home: Path | None, task_id: str) -> TaskService:
    """Return the service of a task, with the engine that runs it.

    Args:
        home: Folder of the records.
        task_id: The task.

    Raises:
        NotFoundError: There is no such task.
        AccessError: It is another user's.
    """
    from aisio.tasks.service.service import TaskService
    from aisio.tasks.settings import load_task_settings

    service = TaskService(load_task_settings(home=home))
    return service.for_engine(service.train_tasks.get(task_id).engine)


def state_name(row: TrainTaskRow) -> str:
    """Return the state of a task, as in "RUNNING"."""
    from aisio.tasks.states import TaskState

    return TaskState(row.state).name


def task_fields(row: TrainTaskRow) -> dict[str, Any]:
    """Return what JSON says of a task."""
    return {
        "id": row.id,
        "name": row.name,
        "state": state_name(row),
        "exit_code": row.exit_code,
        "message": row.message,
        "entrypoint": row.entrypoint,
        "hyperparams": json.loads(row.train_params),
        "output": row.output,
        "description": row.description,
        "num_nodes": row.num_nodes,
        "nproc_per_node": row.nproc_per_node,
        "max_restarts": row.max_restarts,
        "engine": row.engine,
        "project_id": row.project_id,
        "algorithm_id": row.algorithm_id,
        "algorithm_version": row.algorithm_git_ref,
        "files": [one for one in row.files.split(",") if one],
        "results_id": row.results_id,
        "final_metric": None if row.final_metric is None else _number(row.final_metric),
        "create_time": row.create_time,
        "finish_time": row.finish_time,
    }


def metric_fields(metric: Metric) -> dict[str, Any]:
    """Return what JSON says of a metric."""
    return {
        "name": metric.name,
        "value": _number(metric.value),
        "step": metric.step,
        "rank": metric.rank,
        "final": metric.final,
        "time": metric.time,
    }


def _number(value: float) -> float | str:
    """Return a number; what JSON has no number for as text: "nan", "inf", "-inf"."""
    return value if math.isfinite(value) else str(value)
