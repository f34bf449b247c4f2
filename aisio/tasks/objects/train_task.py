"""TrainTask: a task, and what can be asked about it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from aisio.tasks.errors import TaskStateError
from aisio.tasks.metrics import Metric
from aisio.tasks.objects.base import TaskObject
from aisio.tasks.objects.chunks import ResourceDownloader, SyncResourceDownloader
from aisio.tasks.objects.resources import File, Model
from aisio.tasks.records.local import LocalRecords, TrainProfile
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.service.service import TaskService, current_service
from aisio.tasks.states import TaskState

__all__ = ["TrainTask"]

_SAVED = (
    "name",
    "description",
    "project_id",
    "algorithm_id",
    "algorithm_git_ref",
    "train_params",
    "train_params_prefix",
    "train_params_delimeter",
    "envs",
    "num_nodes",
    "nproc_per_node",
    "max_restarts",
    "entrypoint",
    "output",
    "mirror_id",
)


class TrainTask(TaskObject):
    """A training task.

    The attributes are those of anylearn 0.15.5, with its spelling of `train_params_delimeter`.

    Args:
        id: Its id; None for one that `save` makes and starts.
        name: Its name.
        load_detail: Load the rest from the registry.
        attributes: Other attributes: see `aisio.tasks.service.rows.TrainTaskRow`.

    Attributes:
        files: Ids of the resources that it has as folders.
        resource_request: Quota groups and what is asked of them.
        state: Its state when it was last loaded: a `TaskState`.
    """

    id: str | None
    name: str | None
    project_id: str
    algorithm_id: str
    creator_id: str
    description: str
    algorithm_git_ref: str
    train_params: str
    train_params_prefix: str
    train_params_delimeter: str
    envs: str
    files: list[str]
    resource_request: list[dict[str, dict[str, float]]] | None
    num_nodes: int
    nproc_per_node: int
    max_restarts: int
    entrypoint: str
    output: str | None
    mirror_id: str | None
    state: TaskState
    exit_code: int | None
    message: str
    engine: str
    handle: str | None
    results_id: str | None
    final_metric: float | None
    create_time: str
    finish_time: str | None

    def __init__(
        self,
        id: str | None = None,
        name: str | None = None,
        *,
        load_detail: bool = False,
        **attributes: Any,
    ) -> None:
        row = asdict(TrainTaskRow("", "", "", "", ""))
        unknown = attributes.keys() - row.keys()
        if unknown:
            raise TypeError(f"TrainTask has no attributes {', '.join(sorted(unknown))}")
        vars(self).update(row | {"files": [], "resource_request": None} | attributes)
        self.id = id
        self.name = name
        self.state = TaskState(attributes.get("state", TaskState.CREATED))
        if load_detail:
            self.get_detail()

    @classmethod
    def of_row(cls, row: TrainTaskRow, service: TaskService) -> TrainTask:
        """Return the object of a row."""
        return cls._of(service, asdict(row))

    def _load(self, values: dict[str, Any]) -> None:
        super()._load(values)
        self.state = TaskState(values["state"])
        self.files = [one for one in values["files"].split(",") if one]
        self.resource_request = json.loads(values["resource_request"]) or None

    def _refresh(self) -> TaskState:
        self._load(asdict(self.service.train_tasks.refresh(self._id())))
        return self.state

    def _id(self) -> str:
        self._require("id")
        return str(self.id)

    @classmethod
    def get_list(cls) -> list[TrainTask]:
        """Return the user's tasks, oldest first, as they were last seen."""
        service = current_service()
        return [cls.of_row(row, service) for row in service.train_tasks.all()]

    def get_detail(self) -> None:
        """Load all attributes, asking the engine how the task is doing.

        Raises:
            NotFoundError: There is no such task.
        """
        self._refresh()

    def save(self) -> bool:
        """Make the task and start it.

        Raises:
            AnyLearnMissingParamException: It has no name, project, algorithm or entrypoint.
        """
        self._require("name", "project_id", "algorithm_id", "entrypoint")
        tasks = self.service.train_tasks
        values = {name: getattr(self, name) for name in _SAVED}
        values["files"] = ",".join(self.files)
        values["resource_request"] = json.dumps(self.resource_request or [])
        row = tasks.create(**values)
        self._load(asdict(tasks.start(row.id)))
        return True

    def abort(self) -> bool:
        """End all processes of the task."""
        self._load(asdict(self.service.train_tasks.abort(self._id())))
        return True

    def delete(self, force: bool = False) -> bool:
        """Delete the task with its logs and results.

        Args:
            force: Abort it first if it has not finished.

        Raises:
            TaskStateError: It has not finished, and `force` is false.
        """
        if force:
            self.service.train_tasks.abort(self._id())
        self.service.train_tasks.delete(self._id())
        self.state = TaskState.DELETED
        return True

    def finished(self) -> bool:
        """Tell whether the task had finished when it was last loaded."""
        return self.state.finished

    def get_status(self) -> TaskState:
        """Ask the engine how the task is doing."""
        return self._refresh()

    def wait(self, timeout_s: float | None = None, polling: float = 0.5) -> TaskState:
        """Wait until the task has finished; return its state.

        Args:
            timeout_s: How long to wait, in seconds; None waits as long as it takes.
            polling: Seconds between two questions.

        Raises:
            TimeoutError: It has not finished in time; it runs on.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._refresh().finished:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"train task {self.id} is {self.state.name} after {timeout_s} s")
            time.sleep(polling)
        return self.state

    def get_last_log(self, limit: int = 100, debug: bool = False) -> list[str]:
        """Return the last lines that the processes printed; `debug` changes nothing."""
        return self.service.train_tasks.logs(self._id(), limit)

    def get_full_log(self, debug: bool = False) -> list[str]:
        """Return all lines that the processes printed; `debug` changes nothing."""
        return self.service.train_tasks.logs(self._id())

    def get_log(
        self, limit: int = 100, direction: str = "init", offset: int = 0, offset_index: int = -1
    ) -> list[str]:
        """Return lines that the processes printed.

        Args:
            limit: How many.
            direction: "init": the last ones; "forward": from line `offset` on; "backward": before
                line `offset`.
            offset: Number of a line, from 0 on.
            offset_index: Kept for programs that were written for anylearn.
        """
        lines = self.service.train_tasks.logs(self._id())
        if direction == "forward":
            return lines[offset : offset + limit]
        if direction == "backward":
            return lines[max(0, offset - limit) : offset]
        return lines[-limit:]

    def stream_log(
        self, init_limit: int = 100, polling: float = 2, debug: bool = False
    ) -> Iterator[str]:
        """Yield the lines that the processes print, until the task has finished.

        Args:
            init_limit: Kept for programs that were written for anylearn: all lines come.
            polling: Likewise.
            debug: Likewise.
        """
        yield from self.service.train_tasks.follow(self._id())
        self._refresh()

    def report_final_metric(self, metric: float) -> bool:
        """Record a number as the result of the task; a later call replaces it."""
        self._report(Metric(float(metric), time.time(), final=True))
        return True

    def report_intermediate_metric(self, metric: float) -> bool:
        """Record a number of the task on the way."""
        self._report(Metric(float(metric), time.time()))
        return True

    def _report(self, metric: Metric) -> None:
        self.service.train_tasks.report_metric(self._id(), metric)

    def get_final_metric(self) -> float | None:
        """Return the result that was reported last; None if none was."""
        metrics = self.service.train_tasks.metrics(self._id(), final=True)
        self.final_metric = metrics[-1].value if metrics else None
        return self.final_metric

    def get_intermediate_metric(
        self, last_timestamp: str | datetime | float = "1970-01-01 00:00:00"
    ) -> list[Metric]:
        """Return the numbers that were reported on the way, in that order.

        Args:
            last_timestamp: Only those after this time: a datetime, seconds since 1970, or a text as
                in "2026-11-30 08:00:00"; without a time zone it is local time.
        """
        since = last_timestamp
        if isinstance(since, str):
            since = datetime.fromisoformat(since)
        if isinstance(since, datetime):
            since = since.timestamp()
        return self.service.train_tasks.metrics(self._id(), since=since, final=False)

    def get_results_file(self) -> File:
        """Return the file with the results; they are uploaded at the first call.

        Raises:
            TaskStateError: The task has not finished, or was deleted.
            NotFoundError: It has left no results.
        """
        row = self.service.train_tasks.results(self._id())
        self.results_id = row.id
        return File.of_row(row, self.service)

    def download_results(
        self,
        save_path: str | Path,
        async_download: bool = True,
        downloader: ResourceDownloader | None = None,
        polling: float = 5,
    ) -> str:
        """Write the results as a zip into an existing folder; return its path.

        Args:
            save_path: The folder.
            async_download: Kept for programs that were written for anylearn.
            downloader: Downloads them in another way.
            polling: For the downloader.

        Raises:
            TaskStateError: The task has not finished, or was deleted.
            NotFoundError: It has left no results.
        """
        file = self.get_results_file()
        downloader = downloader or SyncResourceDownloader()
        downloader.service = downloader.service or self.service
        return downloader.run(str(file.id), save_path, polling)

    def transform_model(
        self,
        file_path: str,
        name: str,
        description: str | None = None,
        is_zipfile: bool = False,
        public: bool = False,
        polling: float = 5,
    ) -> Model:
        """Make a model of a file of the results.

        Args:
            file_path: The file, relative to the output folder.
            name: Name of the model.
            description: In words.
            is_zipfile: Kept for programs that were written for anylearn: the file's name tells.
            public: Whether others may read it.
            polling: Kept for programs that were written for anylearn.

        Raises:
            NotFoundError: There is no such file among the results.
            TaskStateError: The task has not finished, or was deleted.
        """
        if self._refresh() != TaskState.SUCCESS:
            raise TaskStateError(f"train task {self.id} is {self.state.name}, not SUCCESS")
        row = self.service.train_tasks.model_of_results(
            self._id(), file_path, name, description=description or "", public=public
        )
        return Model.of_row(row, self.service)

    def get_train_profile(self) -> TrainProfile | None:
        """Return what the task was started from; None if that was not from this machine."""
        return LocalRecords(self.service.settings.home).profile_of(self._id())
