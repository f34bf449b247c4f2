"""FolderEngine: what engines have in common that keep all of a task in its folder."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aisio import file_locks
from aisio.errors import ConfigError, NotFoundError
from aisio.tasks.engines.base import Engine, Job, Status, read_handle
from aisio.tasks.engines.log_files import follow_lines, read_lines
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.metrics import METRICS_VARIABLE

__all__ = ["FolderEngine", "task_environment"]


class FolderEngine(Engine):
    """An engine whose tasks have all that is known of them in their folders."""

    def start(self, job: Job) -> str:
        """Start a job; return its handle.

        Raises:
            ConfigError: The folder of the code does not exist, or the task's folder is another
                task's.
            MissingExtraError: The engine's package is not installed.
            StorageError: The job could not be started.
        """
        if not job.cwd.is_dir():
            raise ConfigError(f"task {job.task_id}: its folder {job.cwd} does not exist")
        folder = job.folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        files = TaskFiles(folder)
        lock = file_locks.acquire(files.start_lock, on_wait=lambda: None)
        try:
            started = files.read_handle()
            if started is None:
                self._start(job, files)
            elif (started["engine"], started["task_id"]) != (self.name, job.task_id):
                raise ConfigError(
                    f"{folder} is the folder of another task: {started['task_id']}, which the "
                    f"engine {started['engine']} runs"
                )
            else:
                self._finish_start(job, files, started)
        finally:
            file_locks.release(lock)
        return self._handle(job.task_id, folder)

    def find(self, task_id: str, folder: Path) -> str | None:
        """Return the handle of a job whose starter was killed before it had recorded the handle.

        Raises:
            StorageError: The engine does not answer.
        """
        files = TaskFiles(folder.absolute())
        started = files.read_handle()
        if started is None or not self._has_job(files, started):
            return None
        return self._handle(task_id, files.folder)

    def withdraw(self, task_id: str, folder: Path) -> str | None:
        """Have a start that was killed, or has failed, start nothing any more.

        The handle file is written before the program is run, and whoever runs it looks for the
        request after that: so the request is seen, or the handle file is there.

        Returns:
            The handle of a job that the engine may have already; else None.
        """
        files = TaskFiles(folder.absolute())
        files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.abort_request.touch()
        return None if files.read_handle() is None else self._handle(task_id, files.folder)

    def poll(self, handle: str) -> Status:
        """Return how the job is doing.

        Raises:
            NotFoundError: Its folder is gone, or the engine no longer knows it.
        """
        files, started = self._open(handle)
        return files.result() or self._ask(files, started)

    def logs(self, handle: str, last: int | None = None) -> list[str]:
        """Return the lines that the processes printed, or the last ones.

        Where several processes run, each line begins with the rank, as in "[3] ". The lines of
        several nodes stand one node after the other.
        """
        files, _ = self._open(handle)
        return read_lines(files.outputs(), last)

    def follow(self, handle: str) -> Iterator[str]:
        """Yield the lines that the processes printed, and new ones, until the job has finished."""
        files, _ = self._open(handle)
        return follow_lines(files.outputs, lambda: self.poll(handle).state.finished)

    @abstractmethod
    def _start(self, job: Job, files: TaskFiles) -> None:
        """Start a job, and write its handle file."""

    def _finish_start(self, job: Job, files: TaskFiles, started: dict[str, Any]) -> None:
        """Do what is left of a start whose caller was killed after it wrote the handle file."""
        return

    def _has_job(self, files: TaskFiles, started: dict[str, Any]) -> bool:
        """Tell whether the engine has a job whose handle file is there."""
        return True

    @abstractmethod
    def _ask(self, files: TaskFiles, started: dict[str, Any]) -> Status:
        """Return the status of a job of which no result is recorded."""

    def _handle(self, task_id: str, folder: Path) -> str:
        return json.dumps({"engine": self.name, "task_id": task_id, "folder": str(folder)})

    def _open(self, handle: str) -> tuple[TaskFiles, dict[str, Any]]:
        """Return the files of a task, and what its handle file says."""
        content = read_handle(handle, self.name)
        files = TaskFiles(Path(content["folder"]))
        started = files.read_handle()
        if started is None:
            raise NotFoundError(
                f"task {content['task_id']}: {files.folder} holds no task that was started"
            )
        return files, started


def task_environment(job: Job, folder: Path) -> dict[str, str]:
    """Return the variables of a job's processes: its own, and those that every task has.

    Metrics go to the task's folder, and what is printed comes at once.
    """
    return {
        "task_id": job.task_id,
        METRICS_VARIABLE: str(folder),
        "PYTHONUNBUFFERED": "1",
        **job.env,
    }
