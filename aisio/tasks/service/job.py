"""The job of a task: its code, mounts, command and variables, as an engine starts it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from aisio.tasks.command import command_line
from aisio.tasks.engines.base import Job
from aisio.tasks.errors import InvalidArguments
from aisio.tasks.metrics import METRICS_VARIABLE
from aisio.tasks.output_path import check_output
from aisio.tasks.service.requests import engine_resources
from aisio.tasks.service.resources import ResourceService
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.service.secrets import secret_of
from aisio.tasks.service.variables import kept_variables, parse_variables

__all__ = ["NO_FOLDERS", "check_row", "command_of", "ids", "make_job"]

NO_FOLDERS: Mapping[str, Path] = MappingProxyType({})


def make_job(
    row: TrainTaskRow,
    resources: ResourceService,
    home: Path,
    folder: Path,
    local: Mapping[str, Path] = NO_FOLDERS,
) -> Job:
    """Return the job of a task, with the resources that it reads mounted.

    Args:
        row: The task.
        resources: What it reads.
        home: Where the key of the tasks' secrets is.
        folder: The task's folder, with its code in it.
        local: Folders that may have the files of resources, by id: see `ResourceService.mount`.

    Raises:
        NotFoundError: A resource is not there any more.
    """
    mounts = {name: str(resources.mount(name, local.get(name))) for name in ids(row.files)}
    env = {
        **kept_variables(row.envs, folder),
        **mounts,
        "task_id": row.id,
        "secret_key": secret_of(row.id, home),
        METRICS_VARIABLE: str(folder),
    }
    return Job(
        task_id=row.id,
        argv=command_of(row, mounts),
        cwd=folder / "code",
        folder=folder,
        env=env,
        num_nodes=row.num_nodes,
        nproc_per_node=row.nproc_per_node,
        resources=engine_resources(json.loads(row.resource_request)),
        max_restarts=row.max_restarts,
    )


def check_row(row: TrainTaskRow) -> None:
    """Check a task before it is made.

    Raises:
        ConfigError: There is no entrypoint, or a parameter, number or path is not valid.
    """
    if min(row.num_nodes, row.nproc_per_node) < 1:
        raise InvalidArguments("num_nodes and nproc_per_node must be at least 1")
    if row.output is not None:
        check_output(row.output, None)
    if row.max_restarts < 0:
        raise InvalidArguments(f"max_restarts={row.max_restarts} must be at least 0")
    parse_variables(row.envs)
    engine_resources(json.loads(row.resource_request))
    command_of(row, {})


def command_of(row: TrainTaskRow, mounts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the program of a task and its arguments.

    Raises:
        InvalidArguments: There is no entrypoint, or the parameters are no JSON object.
    """
    try:
        params = json.loads(row.train_params)
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise InvalidArguments(f"train_params of task {row.name} are not a JSON object")
    return command_line(
        row.entrypoint,
        params,
        prefix=row.train_params_prefix,
        delimiter=row.train_params_delimeter,
        mounts=mounts,
    )


def ids(text: str) -> list[str]:
    """Return ids that are joined by ","."""
    return [one for one in text.split(",") if one]
