"""quick_train: code, data and hyperparameters become a training task.

    check everything ──> code ──> data ──> project ──> task ──> records ──> start
    (nothing is sent)    (git)    (what the store lacks)       (anylearn.db)  (engine)

A process that is killed leaves no half of an object: what was sent is found again by the next call,
and a task that is recorded is started by `resume_unfinished_local_train_tasks`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aisio.errors import AisioError, NotFoundError
from aisio.tasks.algorithm_sync import check_algorithm_dir, sync_algorithm
from aisio.tasks.dataset_sync import find_local_data
from aisio.tasks.inputs import find_inputs, with_mounts
from aisio.tasks.objects.chunks import ResourceUploader
from aisio.tasks.objects.projects import Project
from aisio.tasks.objects.resources import Algorithm, Dataset
from aisio.tasks.objects.train_task import TrainTask
from aisio.tasks.output_path import check_output
from aisio.tasks.records.ids import name_by_path, random_name
from aisio.tasks.records.local import LocalRecords, LocalTask, new_profile
from aisio.tasks.resources.upload import OnProgress
from aisio.tasks.service.algorithms import check_algorithm_name
from aisio.tasks.service.projects import ResourceRequest
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.service.service import TaskService, current_service
from aisio.tasks.states import TaskState

__all__ = ["quick_train", "resume_unfinished_local_train_tasks"]

_log = logging.getLogger("aisio.tasks")


def quick_train(
    algorithm_id: str | None = None,
    algorithm_name: str | None = None,
    algorithm_dir: str | Path | None = None,
    algorithm_force_update: bool = False,
    algorithm_git_ref: str | None = None,
    dataset_hyperparam_name: str = "dataset",
    dataset_id: str | Sequence[str] | None = None,
    dataset_dir: str | Path | None = None,
    dataset_archive: str | Path | None = None,
    model_hyperparam_name: str = "model",
    model_id: str | Sequence[str] | None = None,
    pretrain_hyperparam_name: str = "pretrain",
    pretrain_task_id: str | Sequence[str] | None = None,
    project_id: str | None = None,
    project_name: str | None = None,
    entrypoint: str | None = None,
    output: str | None = None,
    mirror_name: str | None = "QUICKSTART",
    resource_uploader: ResourceUploader | None = None,
    resource_polling: float = 5,
    hyperparams: Mapping[str, Any] | None = None,
    hyperparams_prefix: str = "--",
    hyperparams_delimeter: str = " ",
    resource_request: ResourceRequest | None = None,
    quota_group_name: str | None = None,
    quota_group_request: Mapping[str, float] | None = None,
    task_description: str | None = None,
    num_nodes: int = 1,
    nproc_per_node: int = 1,
    *,
    max_restarts: int = 0,
    on_progress: OnProgress | None = None,
    service: TaskService | None = None,
) -> tuple[TrainTask, Algorithm, list[Dataset], Project]:
    """Start a training task.

    The arguments are those of anylearn 0.15.5, which are more than eight: programs pass them by
    name. What a task reads is mounted: it is a folder of the machine that the task runs on. The
    path of that folder is in the environment variable named after the resource's id, and is passed
    to the program as a hyperparameter.

    Args:
        algorithm_id: An algorithm that is registered already.
        algorithm_name: Name of the algorithm; by default made of the directory's path.
        algorithm_dir: Directory of the code, with requirements.txt.
        algorithm_force_update: Commit what is not committed there.
        algorithm_git_ref: Run this branch, tag or commit, and not what is checked out.
        dataset_hyperparam_name: Hyperparameter with the paths of data sets.
        dataset_id: Ids of data sets; or URLs, or names in the catalog, which are passed as they
            are: the program reads them by `aisio.source`.
        dataset_dir: Folder of a data set, which is uploaded if it has changed. The task gets it if
            there is no `dataset_id`.
        dataset_archive: The same as an archive, which is used as it is if it exists.
        model_hyperparam_name: Hyperparameter with the paths of models.
        model_id: Ids of models.
        pretrain_hyperparam_name: Hyperparameter with the paths of results of earlier tasks.
        pretrain_task_id: Ids of these tasks.
        project_id: The project.
        project_name: Name of the project; made if there is none. Without both it is the default
            project of the user.
        entrypoint: The command, as in "python train.py". No shell reads it.
        output: Folder of the results, relative to the code: absent or empty.
        mirror_name: The environment.
        resource_uploader: Uploads data and code as archives, in chunks.
        resource_polling: Kept for programs that were written for anylearn: nothing is polled, as
            uploads end before this returns.
        hyperparams: Further arguments of the program; "" makes a flag. The mapping stays as it is.
        hyperparams_prefix: What stands before a name.
        hyperparams_delimeter: What stands between name and value (the vendor's spelling).
        resource_request: Deprecated: quota groups and what is asked of them.
        quota_group_name: Name of a quota group.
        quota_group_request: What is asked of it, as in {"GPU": 1, "CPU": 8}.
        task_description: In words; also the message of a forced commit.
        num_nodes: Number of nodes.
        nproc_per_node: Processes a node.
        max_restarts: How often all processes are started again after one of them failed, or a node
            was lost.
        on_progress: Called while a data set is uploaded, with the bytes that are done and all.
        service: By default that of `init_sdk`.

    Returns:
        The task, the algorithm, the data sets (those of `dataset_id`, then the local one), and the
        project.

    Raises:
        NotFoundError: One of the ids is not known; nothing was uploaded.
        ConfigError: An argument is not valid, or contradicts another; nothing was uploaded.
        RequiredLocalCommitError: Code is not committed, without `algorithm_force_update`.
        ResourceError: An upload failed; the cause is chained.
    """
    service = service or current_service()
    names = (dataset_hyperparam_name, model_hyperparam_name, pretrain_hyperparam_name)
    code = _Code(algorithm_id, algorithm_name, algorithm_dir, mirror_name, algorithm_git_ref)
    if quota_group_name and quota_group_request:
        resource_request = [{quota_group_name: quota_group_request}]
    task = {
        "description": task_description or "",
        "train_params_prefix": hyperparams_prefix,
        "train_params_delimeter": hyperparams_delimeter,
        "resource_request": json.dumps(service.projects.resolve_request(resource_request) or []),
        "num_nodes": num_nodes,
        "nproc_per_node": nproc_per_node,
        "max_restarts": max_restarts,
        "entrypoint": entrypoint or "",
        "output": output,
    }
    # Until all arguments are checked, nothing is sent.
    local = find_local_data(dataset_dir, dataset_archive)
    inputs = find_inputs(service, dataset_id, model_id, pretrain_task_id, local)
    project = Project.of_row(service.projects.get(project_id), service) if project_id else None
    params, _ = with_mounts(hyperparams or {}, names, inputs.placeholders())
    service.train_tasks.check(train_params=json.dumps(params), **task)
    code.check(service, output)

    algorithm, commit = code.sync(
        service, resource_uploader, resource_polling, algorithm_force_update, task_description
    )
    datasets, passed = inputs.upload(service, resource_uploader, on_progress)
    project = project or _project_of(service, project_name)
    params, files = with_mounts(hyperparams or {}, names, passed)
    task |= {"algorithm_git_ref": commit or algorithm_git_ref or "", "files": ",".join(files)}
    profile = {
        "algorithm_dir": _text(algorithm_dir),
        "dataset_id": ",".join(str(one.id) for one in datasets) or None,
        "dataset_dir": _text(dataset_dir),
        "dataset_archive": _text(dataset_archive),
        "entrypoint": entrypoint,
    }
    # Its files are on this machine: the mount need not read them from the store.
    mounts = {str(datasets[-1].id): local.place} if local else {}
    row = _start(service, algorithm, project, params, task, profile, mounts)
    return TrainTask.of_row(row, service), algorithm, datasets, project


@dataclass(frozen=True)
class _Code:
    """The code of a task, as the caller names it."""

    algorithm_id: str | None
    name: str | None
    directory: str | Path | None
    mirror_name: str | None
    git_ref: str | None

    def check(self, service: TaskService, output: str | None) -> None:
        """Check all that can be checked before anything is sent.

        Raises:
            ConfigError: Directory, name, environment or output folder is not valid.
            NotFoundError: There is no such algorithm.
        """
        service.projects.mirror_by_name(self.mirror_name or "QUICKSTART")
        folder = None
        if self.algorithm_id:
            service.algorithms.version(self.algorithm_id, self.git_ref or "")
        else:
            folder = check_algorithm_dir(self.directory)
            check_algorithm_name(self.name or name_by_path(folder))
        if output is not None:
            check_output(output, folder)

    def sync(
        self,
        service: TaskService,
        uploader: ResourceUploader | None,
        polling: float,
        force: bool,
        message: str | None,
    ) -> tuple[Algorithm, str | None]:
        """See `sync_algorithm`."""
        return sync_algorithm(
            self.algorithm_id or None,
            self.name,
            self.directory,
            self.mirror_name,
            uploader,
            polling,
            force,
            message,
            git_ref=self.git_ref,
            service=service,
        )


def _project_of(service: TaskService, name: str | None) -> Project:
    """Return the project of a name, which is made if there is none; without a name the default."""
    projects = service.projects
    row = (projects.by_name(name) or projects.create(name)) if name else projects.default()
    return Project.of_row(row, service)


def _start(
    service: TaskService,
    algorithm: Algorithm,
    project: Project,
    params: Mapping[str, Any],
    task: Mapping[str, Any],
    profile: Mapping[str, str | None],
    local: Mapping[str, Path],
) -> TrainTaskRow:
    """Make a task, record it here, and start it."""
    row = service.train_tasks.create(
        name=random_name(),
        project_id=str(project.id),
        algorithm_id=str(algorithm.id),
        mirror_id=algorithm.mirror_id,
        train_params=json.dumps(params),
        **task,
    )
    records = LocalRecords(service.settings.home)
    records.save_task(_local_task(row))
    records.add_profile(new_profile(row.id, row.algorithm_id, params, **profile))
    try:
        row = service.train_tasks.start(row.id, local)
    finally:
        records.save_task(_local_task(service.train_tasks.get(row.id)))
    return row


def _local_task(row: TrainTaskRow) -> LocalTask:
    # The vendor's table has a column for the secret of a task. Ours is in no record.
    return LocalTask(row.id, row.state, row.project_id, secret_key="")


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


def resume_unfinished_local_train_tasks(*, service: TaskService | None = None) -> list[TrainTask]:
    """Return the tasks of this machine that had not finished when they were last seen.

    Each is asked about, also if another one cannot be; the records are updated. One whose start was
    interrupted is started, also where the caller was killed before it was recorded. One that the
    service does not know, or that was deleted, is in state DELETED. If a task cannot be asked
    about, a warning says why, and its state is the last known.

    Args:
        service: By default that of `init_sdk`.
    """
    service = service or current_service()
    records = LocalRecords(service.settings.home)
    for row in service.train_tasks.unstarted():
        records.save_task(_local_task(row))
    unfinished = records.tasks(states=(TaskState.CREATED, TaskState.RUNNING))
    return [_resumed(service, records, task) for task in unfinished]


def _resumed(service: TaskService, records: LocalRecords, task: LocalTask) -> TrainTask:
    found = TrainTask(task.id, state=task.state, project_id=task.project_id)
    found._service = service
    try:
        row = service.train_tasks.get(task.id)
        found = TrainTask.of_row(row, service)
        if row.state != TaskState.DELETED:
            service = service.for_engine(row.engine)
    except NotFoundError:
        _log.warning("train task %s is not known any more: it counts as deleted", task.id)
        found.state = TaskState.DELETED
        records.save_task(replace(task, state=int(found.state)))
        return found
    except AisioError as error:
        _log.warning("train task %s cannot be asked about: %s", task.id, error)
        return found
    try:
        row = service.train_tasks.start(task.id)
    except (AisioError, OSError) as error:
        _log.warning("train task %s cannot be asked about: %s", task.id, error)
        with suppress(AisioError):
            found = TrainTask.of_row(service.train_tasks.get(task.id), service)
    else:
        found = TrainTask.of_row(row, service)
    records.save_task(replace(task, state=int(found.state)))
    return found
