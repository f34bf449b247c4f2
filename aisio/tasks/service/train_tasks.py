"""Train tasks: made, started, asked about, ended; and what they leave behind.

    create ──> start ──────────────────────────────> refresh ──> results
    (a row)    (code, mounts, engine; then a handle)  (engine)    (uploaded when asked for)

A start that was killed can be called again: folders that are complete are kept, and engines start a
task once. Without that, `refresh` and `abort` ask the engine whether it has the task.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import time
from typing import Any

from aisio.errors import AccessError, AisioError, NotFoundError
from aisio.tasks.engines.base import Engine, Job, Status
from aisio.tasks.errors import TaskStateError
from aisio.tasks.metrics import Metric, MetricsFolder, read_metrics
from aisio.tasks.records.ids import new_id
from aisio.tasks.records.locks import locked
from aisio.tasks.resources.commit import begin
from aisio.tasks.resources.scan import scan_folder
from aisio.tasks.resources.upload import OnProgress
from aisio.tasks.service.algorithms import AlgorithmService
from aisio.tasks.service.job import NO_FOLDERS, check_row, ids, make_job
from aisio.tasks.service.registry import Registry
from aisio.tasks.service.resources import ResourceService, Uploaded
from aisio.tasks.service.results import check_has_results, output_folder, part_of
from aisio.tasks.service.rows import ProjectRow, RequestRow, ResourceRow, TrainTaskRow, now
from aisio.tasks.service.secrets import is_secret_of
from aisio.tasks.service.starts import Starts, is_unstarted
from aisio.tasks.service.variables import (
    forget_variables,
    hide_values,
    keep_variables,
)
from aisio.tasks.states import ResourceState, TaskState

__all__ = ["TrainTaskService"]

SAME_REQUEST_S = 600.0
"""For so long a client may send a request again because it got no answer."""

_GIVEN = frozenset({"id", "name", "project_id", "algorithm_id", "creator_id"})


class TrainTaskService:
    """The tasks of one user.

    Args:
        registry: Their rows.
        resources: What they read and write.
        algorithms: What they run.
        engine: What runs them.
        home: Folder of their code, logs and state.
        user: The user.
    """

    def __init__(
        self,
        registry: Registry,
        resources: ResourceService,
        algorithms: AlgorithmService,
        engine: Engine,
        home: Path,
        user: str,
    ) -> None:
        self._registry = registry
        self._resources = resources
        self._algorithms = algorithms
        self._engine = engine
        self._home = home
        self._user = user
        self._starts = Starts(registry, engine, home / "tasks")

    def check(self, **attributes: Any) -> None:
        """Check attributes of a task that is not made yet.

        Args:
            attributes: Of `TrainTaskRow`.

        Raises:
            ConfigError: There is no entrypoint, or a parameter, number or path is not valid.
        """
        check_row(TrainTaskRow("", "", "", "", self._user, **attributes))

    def create(
        self, *, project_id: str, algorithm_id: str, digest: str | None = None, **more: Any
    ) -> TrainTaskRow:
        """Make a task; it does not run yet.

        Args:
            project_id: Its project.
            algorithm_id: Its algorithm.
            digest: Of the request, by which `of_request` finds the task.
            more: Other attributes of `TrainTaskRow`.

        Raises:
            AccessError: The project is another user's.
            NotFoundError: Project, algorithm, version or a file is not there.
            InvalidArguments: There is no entrypoint, or the parameters are no JSON object.
        """
        if self._registry.get(ProjectRow, project_id).creator_id != self._user:
            raise AccessError(f"project {project_id} is another user's")
        version = self._algorithms.version(algorithm_id, more.pop("algorithm_git_ref", "") or "")
        row = TrainTaskRow(
            new_id("TRAI"),
            more.pop("name"),
            project_id,
            algorithm_id,
            self._user,
            algorithm_git_ref=version.commit_id or version.id,
            engine=self._engine.name,
            create_time=now(),
            **more,
        )
        for resource_id in ids(row.files):
            self._resources.get_ready(resource_id)
        self.check(**{name: value for name, value in vars(row).items() if name not in _GIVEN})
        keep_variables(row.envs, self.folder(row.id))
        row = replace(row, envs=hide_values(row.envs))
        request = () if digest is None else (RequestRow(new_id("REQU"), digest, row.id, time()),)
        self._registry.insert(row, *request)
        return row

    def of_request(self, digest: str, *, has_key: bool = False) -> TrainTaskRow | None:
        """Return the task that a request made which was the same, if that was not long ago.

        Args:
            digest: Of the request.
            has_key: Whether the client tells its requests apart by keys. Without, an equal request
                of a client that has the answer to the first one is another one.
        """
        for request in reversed(self._registry.find(RequestRow, digest=digest)):
            is_recent = abs(time() - request.time) < SAME_REQUEST_S
            if is_recent and (has_key or not request.answered):
                return self.get(request.task_id)
        return None

    def note_answered(self, task_id: str) -> None:
        """Note that a client knows the id of a task, so that its request was answered."""
        for request in self._registry.find(RequestRow, task_id=self.get(task_id).id):
            if not request.answered:
                self._registry.update(request, answered=True)

    def start(self, task_id: str, local: Mapping[str, Path] = NO_FOLDERS) -> TrainTaskRow:
        """Start a task that was made, if it was not started yet; return it as it is now.

        Args:
            task_id: The task.
            local: Folders that may have the files of resources, by id: see `ResourceService.mount`.

        Raises:
            AisioError: It cannot be started: then it is in state FAIL, with the reason.
            ConfigError: Another engine is to run it; its state stays.
        """
        with self._locked(task_id):
            row = self.get(task_id)
            if is_unstarted(row) and not self._starts.find(row):
                self._starts.check_engine(row)
                try:
                    handle = self._engine.start(self._job(row, local))
                except (AisioError, OSError) as error:
                    self._starts.give_up(row)
                    self._finish(row, TaskState.FAIL, None, f"it could not be started: {error}")
                    raise
                self._starts.record(row, handle)
        return self.refresh(task_id)

    def _job(self, row: TrainTaskRow, local: Mapping[str, Path]) -> Job:
        folder = self.folder(row.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        version = self._algorithms.version(row.algorithm_id, row.algorithm_git_ref)
        self._algorithms.write_code(version, self.code_folder(row.id))
        return make_job(row, self._resources, self._home, folder, local)

    def get(self, task_id: str) -> TrainTaskRow:
        """Return a task as it was last seen.

        Raises:
            NotFoundError: There is none.
            AccessError: It is another user's.
        """
        row = self._registry.get(TrainTaskRow, task_id)
        if row.creator_id != self._user:
            raise AccessError(f"train task {task_id} is another user's")
        return row

    def all(self, project_id: str | None = None) -> list[TrainTaskRow]:
        """Return the tasks of the user, or of one project, oldest first, as they were last seen."""
        equal = {} if project_id is None else {"project_id": project_id}
        return self._registry.find(TrainTaskRow, creator_id=self._user, **equal)

    def refresh(self, task_id: str) -> TrainTaskRow:
        """Ask the engine how a task is doing; return it as it is now.

        Raises:
            NotFoundError: There is no such task, or the engine does not know it any more.
        """
        row = self._current(task_id)
        if row.handle is None or TaskState(row.state).finished:
            return row
        status = self._engine.poll(row.handle)
        if status.state.finished:
            self._finish(row, status.state, status.exit_code, status.message)
        elif (status.state, status.message) != (row.state, row.message):
            self._registry.update(
                row, only_if={"state": row.state}, state=int(status.state), message=status.message
            )
        return self.get(task_id)

    def _current(self, task_id: str) -> TrainTaskRow:
        """Return a task; also with its handle if its starter was killed when the engine had it."""
        row = self.get(task_id)
        if is_unstarted(row):
            # Who holds the lock starts or ends it.
            with suppress(BlockingIOError), locked(self._home, task_id, wait=False):
                self._starts.find(self.get(task_id))
            row = self.get(task_id)
        return row

    def _finish(
        self, row: TrainTaskRow, state: TaskState, exit_code: int | None, message: str
    ) -> None:
        metrics = read_metrics(self.folder(row.id), final=True)
        self._registry.update(
            row,
            only_if={"finish_time": None},
            state=int(state),
            exit_code=exit_code,
            message=message,
            final_metric=metrics[-1].value if metrics else None,
            finish_time=now(),
        )
        forget_variables(self.folder(row.id))

    def abort(self, task_id: str) -> TrainTaskRow:
        """End all processes of a task, and return it; one that has finished stays as it is."""
        with self._locked(task_id):
            row = self.get(task_id)
            if TaskState(row.state).finished:
                return row
            handle = row.handle or self._starts.withdraw(row)
            if handle is None:
                self._finish(row, TaskState.ABORT, None, "aborted before it was started")
            else:
                status = self._ended(handle)
                self._finish(row, status.state, status.exit_code, status.message)
        return self.get(task_id)

    def _ended(self, handle: str) -> Status:
        """End a job; one that the engine does not know any more has ended."""
        try:
            return self._engine.abort(handle)
        except NotFoundError as error:
            return Status(TaskState.ABORT, None, f"aborted: {error}")

    def delete(self, task_id: str) -> None:
        """Delete a task with its logs, code and results; its row says DELETED from then on.

        Raises:
            TaskStateError: It has not finished.
        """
        self.refresh(task_id)
        with self._locked(task_id):
            row = self.get(task_id)
            if not TaskState(row.state).finished:
                raise TaskStateError(f"train task {task_id} is not finished: abort it first")
            self._registry.update(row, state=int(TaskState.DELETED), results_id=None)
            if row.results_id:
                with suppress(NotFoundError):
                    self._resources.delete(row.results_id)
            shutil.rmtree(self.folder(task_id), ignore_errors=True)

    def logs(self, task_id: str, last: int | None = None) -> list[str]:
        """Return what the processes of a task printed, or the last lines of it."""
        row = self._current(task_id)
        return self._engine.logs(row.handle, last) if row.handle else []

    def follow(self, task_id: str) -> Iterator[str]:
        """Yield what the processes of a task print until it has finished."""
        row = self._current(task_id)
        if row.handle:
            yield from self._engine.follow(row.handle)
            self.refresh(task_id)

    def metrics(
        self, task_id: str, *, since: float | None = None, final: bool | None = None
    ) -> list[Metric]:
        """Return what a task has reported, in that order.

        Args:
            task_id: The task.
            since: Only what was reported after this time, in seconds since 1970.
            final: Only final metrics, or only intermediate ones; None for both.
        """
        self.get(task_id)
        return read_metrics(self.folder(task_id), since=since, final=final)

    def report_metric(self, task_id: str, metric: Metric, secret: str | None = None) -> None:
        """Store a metric of a task.

        Args:
            task_id: The task.
            metric: The metric.
            secret: The secret of the task; the user who started it needs none.

        Raises:
            AccessError: The secret is not that of the task.
            TaskStateError: The task was deleted.
        """
        if secret is not None and not is_secret_of(secret, task_id, self._home):
            raise AccessError(f"the secret is not that of train task {task_id}")
        row = self._registry.get(TrainTaskRow, task_id)
        if secret is None:
            self.get(task_id)
        if row.state == TaskState.DELETED:
            raise TaskStateError(f"train task {task_id} was deleted: it takes no metrics")
        self.folder(task_id).mkdir(mode=0o700, parents=True, exist_ok=True)
        MetricsFolder(self.folder(task_id)).write(metric)
        if metric.final:
            self._registry.update(row, final_metric=metric.value)

    def results(self, task_id: str, on_progress: OnProgress | None = None) -> ResourceRow:
        """Return the file with the results of a task; they are uploaded at the first call.

        Raises:
            TaskStateError: The task has not finished, or was deleted.
            NotFoundError: It has left no files in its output folder, or has none.
        """
        self.refresh(task_id)
        with self._locked(task_id):
            row = self.get(task_id)
            check_has_results(row)
            if row.results_id is not None:
                return self._resources.get(row.results_id, "file")
            folder = output_folder(row, self.code_folder(row.id))
            files = scan_folder(folder, self._resources.cache)
            uploaded = self._resources.upload(files, on_progress=on_progress)
            name = f"results-{row.name}"
            file = self._resources.create(
                "file", name, filename=name, state=int(ResourceState.UPLOADING)
            )
            file = self._resources.finish(file, uploaded)
            self._registry.update(row, results_id=file.id)
        return file

    def model_of_results(self, task_id: str, file: str, name: str, **more: Any) -> ResourceRow:
        """Make a model of a file, or of a folder, of the results of a task.

        Args:
            task_id: The task.
            file: Its name, relative to the output folder.
            name: Name of the model.
            more: Other attributes of `ResourceRow`.

        Raises:
            NotFoundError: There is no such file among the results.
        """
        results, begun = self.results(task_id), begin(self._resources.store)
        tree = part_of(self._resources.tree(results.id), file)
        if tree is None:
            raise NotFoundError(f"the results of train task {task_id} have no file {file!r}")
        algorithm_id = self.get(task_id).algorithm_id
        row = self._resources.create("model", name, algorithm_id=algorithm_id, **more)
        return self._resources.finish(row, Uploaded(tree, begun))

    def unstarted(self) -> list[TrainTaskRow]:
        """Return the user's tasks that were made and not started, oldest first."""
        return [row for row in self.all() if is_unstarted(row)]

    def users_of(self, resource_id: str) -> list[str]:
        """Return the ids of tasks that have not finished and need a resource."""
        rows = [
            row
            for state in (TaskState.CREATED, TaskState.RUNNING)
            for row in self._registry.find(TrainTaskRow, state=int(state))
        ]
        return [row.id for row in rows if resource_id in (row.algorithm_id, *ids(row.files))]

    def folder(self, task_id: str) -> Path:
        """Return the folder of a task, for its state, logs and metrics."""
        return self._home / "tasks" / task_id

    def code_folder(self, task_id: str) -> Path:
        """Return the folder that the program of a task starts in."""
        return self.folder(task_id) / "code"

    @contextmanager
    def _locked(self, task_id: str) -> Iterator[None]:
        """Let one process at a time start, end or collect a task; others wait."""
        self.get(task_id)
        with locked(self._home, task_id):
            yield
