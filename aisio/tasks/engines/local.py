"""LocalEngine: jobs on this machine, under torchrun's agents."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aisio import file_locks
from aisio.config import environment_with, first_set
from aisio.errors import ConfigError, NotFoundError, NotSupportedError, StorageError
from aisio.tasks.engines import processes
from aisio.tasks.engines.base import Engine, Job, Status, read_handle
from aisio.tasks.engines.log_files import follow_lines, read_lines
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState

__all__ = ["LocalEngine"]

_POLL_INTERVAL_S = 0.02
_MARGIN_S = 5.0


class LocalEngine(Engine):
    """Runs jobs on this machine, at once.

    Each node is an agent of torchrun (`torch.distributed.run`): a job of 2 nodes with 4 processes
    each is 2 agents and 8 processes, which meet in a file of the task's folder. The program runs
    once in each process, whatever it is: `python train.py` as well as `bash run.sh`. `python` is
    the one that runs aisio. One process on one node without restarts needs no agent, and no torch.

    A supervisor process watches the job. The caller may end, be killed, or ask from another
    process. If the supervisor is killed, it takes its job along, and the task has failed.

    Args:
        grace_s: Seconds that the processes of an aborted job have between SIGTERM and SIGKILL.

    Raises:
        NotSupportedError: The system is not Linux.
    """

    name = "local"

    def __init__(self, *, grace_s: float = 10.0) -> None:
        processes.check_platform()
        self.grace_s = grace_s

    def start(self, job: Job) -> str:
        """Start a job; return its handle."""
        if not job.cwd.is_dir():
            raise ConfigError(f"task {job.task_id}: its folder {job.cwd} does not exist")
        folder = job.folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        files = TaskFiles(folder)
        lock = file_locks.acquire(files.start_lock, on_wait=lambda: None)
        try:
            started = files.read_handle()
            if started is None:
                self._start_supervisor(job, folder)
            elif started["task_id"] != job.task_id:
                raise ConfigError(f"{folder} is the folder of another task: {started['task_id']}")
        finally:
            file_locks.release(lock)
        return json.dumps({"engine": self.name, "task_id": job.task_id, "folder": str(folder)})

    def poll(self, handle: str) -> Status:
        """Return how the job is doing."""
        files, started = _open(handle)
        return _status(files, started)

    def logs(self, handle: str, last: int | None = None) -> list[str]:
        """Return the lines that the processes printed, or the last ones.

        Where several processes run, each line begins with the rank, as in "[3] ".
        """
        files, _ = _open(handle)
        return read_lines([files.output], last)

    def follow(self, handle: str) -> Iterator[str]:
        """Yield the lines that the processes printed, and new ones, until the job has finished."""
        files, started = _open(handle)
        return follow_lines(lambda: [files.output], lambda: _status(files, started).state.finished)

    def abort(self, handle: str) -> Status:
        """End all processes of the job, wait until they have ended, and return its status.

        Raises:
            NotSupportedError: The job runs on another machine.
        """
        files, started = _open(handle)
        status = _status(files, started)
        if not _is_here(started):
            if status.state.finished:
                return status
            raise NotSupportedError(
                f"task {started['task_id']} runs on {started['host']}: abort it there"
            )
        if not status.state.finished:
            files.abort_request.touch()
            self._stop_supervisor(started)
        processes.end_processes(started["mark"], grace_s=self.grace_s)
        return _status(files, started)

    def _start_supervisor(self, job: Job, folder: Path) -> None:
        mark = secrets.token_hex(16)
        message = {
            "engine": self.name,
            "task_id": job.task_id,
            "host": socket.gethostname(),
            "mark": mark,
            "argv": job.argv,
            "env": {**job.env, "PATH": _search_path(job)},
            "cwd": str(job.cwd.absolute()),
            "folder": str(folder),
            "num_nodes": job.num_nodes,
            "nproc_per_node": job.nproc_per_node,
            "max_restarts": job.max_restarts,
            "grace_s": self.grace_s,
        }
        done = subprocess.run(
            [sys.executable, "-m", "aisio.tasks.engines.supervisor"],
            input=json.dumps(message).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment_with({processes.MARK_VARIABLE: mark}),
            start_new_session=True,
            check=False,
        )
        if done.returncode:
            shown = done.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise StorageError(f"task {job.task_id} could not be started: {shown}")

    def _stop_supervisor(self, started: dict[str, Any]) -> None:
        """Ask the supervisor to end the job, and wait for it as long as it may take."""
        mark = started["mark"]
        give_up_at = time.monotonic() + self.grace_s + _MARGIN_S
        for process in processes.find_processes(mark):
            if process.pid == started["pid"]:
                processes.send_signal(process, signal.SIGTERM)
        while processes.has_mark(started["pid"], mark) and time.monotonic() < give_up_at:
            time.sleep(_POLL_INTERVAL_S)


def _open(handle: str) -> tuple[TaskFiles, dict[str, Any]]:
    content = read_handle(handle, LocalEngine.name)
    files = TaskFiles(Path(content["folder"]))
    started = files.read_handle()
    if started is None:
        raise NotFoundError(f"task {content['task_id']}: {files.folder} holds no started task")
    return files, started


def _is_here(started: dict[str, Any]) -> bool:
    return bool(started["host"] == socket.gethostname())


def _status(files: TaskFiles, started: dict[str, Any]) -> Status:
    """Return the status; of a task whose supervisor was killed, record it."""
    result = files.result()
    if result:
        return result
    if not _is_here(started):
        return Status(TaskState.RUNNING, None, f"runs on {started['host']}")
    if processes.has_mark(started["pid"], started["mark"]):
        return Status(TaskState.RUNNING)
    left = processes.find_processes(started["mark"])
    if left:
        message = f"its supervisor was killed; {len(left)} of its processes still run"
        return files.result() or Status(TaskState.RUNNING, None, message)
    if files.abort_request.exists():
        return files.settle(Status(TaskState.ABORT, None, "aborted"))
    message = "its supervisor was killed, or the machine was stopped: the exit code is not known"
    return files.settle(Status(TaskState.FAIL, None, message))


def _search_path(job: Job) -> str:
    """Return PATH with the folder of this Python first, so that `python` is this one."""
    path = job.env.get("PATH") or first_set("PATH") or os.defpath
    return os.pathsep.join((str(Path(sys.executable).parent), path))
