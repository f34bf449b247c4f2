"""The rows of the registry, one class a table; service.db has their attributes as columns.

Times are local, as in "2026-11-30 08:00:00". Ids are made by `new_id`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aisio.tasks.states import ResourceState, TaskState

__all__ = [
    "AlgorithmVersionRow",
    "MirrorRow",
    "ProjectRow",
    "QuotaGroupRow",
    "RequestRow",
    "ResourceRow",
    "TrainTaskRow",
    "now",
]

ID_PREFIXES = {"algorithm": "ALGO", "dataset": "DSET", "model": "MODE", "file": "FILE"}
"""What the ids of resources begin with, by kind."""


def now() -> str:
    """Return the time as the registry has it."""
    return datetime.now().isoformat(" ", "seconds")


@dataclass(frozen=True)
class ResourceRow:
    """An algorithm, data set, model or file.

    Attributes:
        id: Its id.
        kind: "algorithm", "dataset", "model" or "file".
        name: Its name.
        creator_id: Whose it is.
        description: In words.
        public: Whether others may read it.
        state: A number of `ResourceState`.
        message: Why its state is ERROR.
        filename: Of the file that is uploaded, which is unpacked for tasks if it is an archive.
        size: Of its data in bytes; None before the upload.
        checksum: Of its data; None before the upload.
        upload_time: When it became READY.
        mirror_id: Of an algorithm: the environment that it runs in.
        algorithm_id: Of a model: the algorithm that it is for.
        tags: Of an algorithm, joined by ",".
        train_params: Of an algorithm: JSON that describes its parameters.
        git_address: Of an algorithm: its repository; None if its code comes as archives.
    """

    id: str
    kind: str
    name: str
    creator_id: str
    description: str = ""
    public: bool = False
    state: int = ResourceState.CREATED
    message: str = ""
    filename: str | None = None
    size: int | None = None
    checksum: str | None = None
    upload_time: str | None = None
    mirror_id: str | None = None
    algorithm_id: str | None = None
    tags: str = ""
    train_params: str | None = None
    git_address: str | None = None


@dataclass(frozen=True)
class AlgorithmVersionRow:
    """A state of an algorithm's code; it never changes.

    Attributes:
        id: Its id; that of its tree, where the code came as an archive.
        algorithm_id: The algorithm.
        commit_id: The git commit; None where the code came as an archive.
        create_time: When it came.
    """

    id: str
    algorithm_id: str
    commit_id: str | None
    create_time: str


@dataclass(frozen=True)
class ProjectRow:
    """A project, which tasks are in.

    Attributes:
        id: Its id.
        name: Its name.
        creator_id: Whose it is.
        description: In words.
        is_default: Whether tasks without a project are in this one.
        create_time: When it was made.
        update_time: When it was last changed.
    """

    id: str
    name: str
    creator_id: str
    description: str = ""
    is_default: bool = False
    create_time: str = ""
    update_time: str = ""


@dataclass(frozen=True)
class QuotaGroupRow:
    """A named share of the machines.

    Attributes:
        id: Its id, which begins with "QGRP".
        name: Its name.
        capacity: JSON: how much there is of each resource, as in {"cpus": 8}.
        defaults: JSON: what a task gets that asks for nothing.
    """

    id: str
    name: str
    capacity: str = "{}"
    defaults: str = "{}"


@dataclass(frozen=True)
class MirrorRow:
    """An environment that algorithms run in.

    Attributes:
        id: Its id.
        name: Its name.
    """

    id: str
    name: str


@dataclass(frozen=True)
class TrainTaskRow:
    """A training task.

    Attributes:
        id: Its id.
        name: Its name.
        project_id: Its project.
        algorithm_id: Its algorithm.
        creator_id: Who started it.
        description: In words.
        algorithm_git_ref: What of the algorithm runs: a commit, or the id of a version.
        train_params: JSON: hyperparameters, and mounts as lists of '"$<ID>"'.
        train_params_prefix: What stands before the name of a hyperparameter.
        train_params_delimeter: What stands between name and value (the vendor's spelling).
        envs: Environment variables, as in "A=***,B=***": their values are in no record.
        files: Ids of the resources that are mounted, joined by ",".
        resource_request: JSON: quota groups and what is asked of them.
        num_nodes: Number of nodes.
        nproc_per_node: Processes a node.
        max_restarts: How often its processes are started again after a failure.
        entrypoint: The command.
        output: Folder of its results, relative to the code.
        mirror_id: Its environment.
        state: A number of `TaskState`.
        exit_code: Of the program; None while it runs, or if it is not known.
        message: Why it failed.
        engine: What runs it.
        handle: By which the engine knows it; None before it was started.
        results_id: The file with its results; None before they were kept.
        final_metric: As the program reported it.
        create_time: When it was made.
        finish_time: When it was first seen to be finished.
    """

    id: str
    name: str
    project_id: str
    algorithm_id: str
    creator_id: str
    description: str = ""
    algorithm_git_ref: str = ""
    train_params: str = "{}"
    train_params_prefix: str = "--"
    train_params_delimeter: str = " "
    envs: str = ""
    files: str = ""
    resource_request: str = "[]"
    num_nodes: int = 1
    nproc_per_node: int = 1
    entrypoint: str = ""
    output: str | None = None
    mirror_id: str | None = None
    state: int = TaskState.CREATED
    exit_code: int | None = None
    message: str = ""
    engine: str = ""
    handle: str | None = None
    results_id: str | None = None
    final_metric: float | None = None
    create_time: str = ""
    finish_time: str | None = None
    max_restarts: int = 0


@dataclass(frozen=True)
class RequestRow:
    """A request that has made a task.

    Attributes:
        id: Its id.
        digest: Of all that the client has sent.
        task_id: The task.
        time: When it came, in seconds since 1970.
        answered: Whether a client has used the id of the task, so that it must have the answer.
    """

    id: str
    digest: str
    task_id: str
    time: float
    answered: bool = False


TABLES: dict[type[Any], str] = {
    ResourceRow: "resources",
    AlgorithmVersionRow: "algorithm_versions",
    ProjectRow: "projects",
    QuotaGroupRow: "quota_groups",
    MirrorRow: "mirrors",
    TrainTaskRow: "train_tasks",
    RequestRow: "requests",
}
