"""RayEngine: jobs on a Ray cluster, as Ray Jobs."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisio.errors import AccessError, NotFoundError, StorageError, UnavailableError
from aisio.extras import missing_extra
from aisio.tasks.engines.base import Job, Status
from aisio.tasks.engines.folder_engine import FolderEngine, task_environment
from aisio.tasks.engines.node import write_job
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

__all__ = ["ENVIRONMENT_FILE", "RUNNING_FILE", "RayEngine"]

ENVIRONMENT_FILE = "environment.json"
"""The variables of a job, for its driver, which removes the file: only the owner can read it."""

RUNNING_FILE = "running"
"""Is there once the cluster has made room for the job."""

_POLL_INTERVAL_S = 0.2
_TRIES = 3  # of a question; a job is submitted once
_STOP_AFTER_S = 15.0
_AGENT_WAIT_S = 60.0  # those of a cluster start after its job server
_NO_AGENT = "No available agent"
_MESSAGE_CHARS = 300


class RayEngine(FolderEngine):
    """Runs jobs on a Ray cluster that is there already.

    Each node is a bundle of a placement group, spread over the machines as far as there are
    enough, with one agent of torchrun in it. So the processes find what they find under
    `LocalEngine`. The folders of task and code must be on a file system that all machines of the
    cluster share, and aisio and torch installed on them. `Job.max_restarts` also counts how often
    all nodes start again after one was lost.

    Args:
        address: Address of the cluster's job server, as in "http://127.0.0.1:8265"; by default
            what Ray finds: RAY_API_SERVER_ADDRESS, RAY_ADDRESS, or a cluster on this machine.

    Raises:
        MissingExtraError: Ray is not installed.
    """

    name = "ray"

    def __init__(self, address: str | None = None) -> None:
        try:
            import ray.job_submission  # noqa: F401
        except ImportError as error:
            raise missing_extra("ray", "ray") from error
        self._address = address
        self._connected: JobSubmissionClient | None = None

    def abort(self, handle: str) -> Status:
        """End all processes of the job, wait until they have ended, and return its status."""
        files, started = self._open(handle)
        status = self.poll(handle)
        if status.state.finished:
            return status
        files.abort_request.touch()
        stop_at = time.monotonic() + _STOP_AFTER_S
        stopped = False
        while not (status := self.poll(handle)).state.finished:
            if time.monotonic() > stop_at and not stopped:
                self._client().stop_job(started["submission_id"])
                stopped = True
            time.sleep(_POLL_INTERVAL_S)
        return status

    def withdraw(self, task_id: str, folder: Path) -> str | None:
        """Have a start that was killed, or has failed, start nothing any more."""
        handle = super().withdraw(task_id, folder)
        _remove_environment(TaskFiles(folder))  # a driver looks for the request before it reads
        return handle

    def _start(self, job: Job, files: TaskFiles) -> None:
        started = {
            "engine": self.name,
            "task_id": job.task_id,
            "submission_id": f"aisio-{job.task_id}-{secrets.token_hex(4)}",
            "mark": secrets.token_hex(16),
        }
        self._client()  # a cluster that cannot be reached leaves no trace
        files.write_handle(started)
        self._submit(job, files, started)

    def _finish_start(self, job: Job, files: TaskFiles, started: dict[str, Any]) -> None:
        """Submit a job whose starter was killed before it did."""
        if files.result() is None and self._details(started) is None:
            self._submit(job, files, started)

    def _has_job(self, files: TaskFiles, started: dict[str, Any]) -> bool:
        """Tell whether Ray has it: the handle file is written before the job is submitted."""
        return files.result() is not None or self._details(started) is not None

    def _submit(self, job: Job, files: TaskFiles, started: dict[str, Any]) -> None:
        write_job(job, files)
        _write_for_owner(files, task_environment(job, files.folder))
        folder = shlex.quote(str(files.folder))
        submit = partial(
            self._client().submit_job,
            entrypoint=f"python -m aisio.tasks.engines.ray_driver {folder}",
            submission_id=started["submission_id"],
            metadata={"task_id": job.task_id},
        )
        try:
            with _ray_errors(f"task {job.task_id}: Ray did not take the job"):
                self._submit_once(submit, started)
        except BaseException:
            _remove_environment(files)
            raise
        if files.result() is not None:  # of a first request, whose job has removed its own
            _remove_environment(files)

    def _submit_once(self, submit: Callable[[], object], started: dict[str, Any]) -> None:
        """Submit a job, unless Ray has it: by a request without an answer, or by a dead starter."""
        try:
            _when_agents_have_started(submit)
        except (OSError, RuntimeError):
            if self._details(started) is None:
                raise

    def _details(self, started: dict[str, Any]) -> JobDetails | None:
        """Return what Ray knows of a job, or None if it does not know it."""
        with _ray_errors(f"task {started['task_id']}: Ray does not answer"):
            for tries_left in reversed(range(_TRIES)):
                try:
                    return self._client().get_job_info(started["submission_id"])
                except RuntimeError as error:
                    if "does not exist" not in str(error):
                        raise
                    break
                except OSError:
                    if not tries_left:
                        raise
                time.sleep(_POLL_INTERVAL_S)
        return None

    def _ask(self, files: TaskFiles, started: dict[str, Any]) -> Status:
        details = self._details(started)
        if details is None:
            raise NotFoundError(f"task {started['task_id']}: the Ray cluster does not know it")
        recorded = files.result()
        if recorded:
            return recorded
        state = details.status.value
        if state in ("PENDING", "RUNNING"):
            runs = (files.folder / RUNNING_FILE).exists()
            return Status(TaskState.RUNNING if runs else TaskState.CREATED)
        if state == "STOPPED" or files.abort_request.exists():
            return files.settle(Status(TaskState.ABORT, None, "aborted"))
        message = f"its driver ended without a result: {_line(details.message or state)}"
        return files.settle(Status(TaskState.FAIL, details.driver_exit_code or None, message))

    def _client(self) -> JobSubmissionClient:
        if self._connected is None:
            from ray.job_submission import JobSubmissionClient

            with _ray_errors("the Ray cluster cannot be reached"):
                self._connected = JobSubmissionClient(self._address)
        return self._connected


def _when_agents_have_started(submit: Callable[[], object]) -> None:
    """Submit a job, again where no agent of the cluster can take it yet."""
    stop_at = time.monotonic() + _AGENT_WAIT_S
    while True:
        try:
            submit()
            return
        except RuntimeError as error:
            if _NO_AGENT not in str(error) or time.monotonic() > stop_at:
                raise
        time.sleep(_POLL_INTERVAL_S)


@contextmanager
def _ray_errors(what: str) -> Iterator[None]:
    """Raise errors of Ray as aisio's."""
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        raise AccessError(f"{what}: {_line(str(error))}") from error
    except StorageError:
        raise
    except (RuntimeError, OSError) as error:
        raise UnavailableError(f"{what}: {_line(str(error))}") from error


def _write_for_owner(files: TaskFiles, env: dict[str, str]) -> None:
    path = files.folder / ENVIRONMENT_FILE
    new = path.with_name(f".{path.name}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(env, file)
    new.replace(path)  # the job of a starter that was killed may read it now


def _remove_environment(files: TaskFiles) -> None:
    (files.folder / ENVIRONMENT_FILE).unlink(missing_ok=True)


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:_MESSAGE_CHARS]
