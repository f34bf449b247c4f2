"""LocalEngine: jobs on this machine, under torchrun's agents."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

from aisio import file_locks
from aisio.config import environment_with
from aisio.errors import NotSupportedError, StorageError
from aisio.tasks.engines import processes
from aisio.tasks.engines.base import Job, Status
from aisio.tasks.engines.folder_engine import FolderEngine, task_environment
from aisio.tasks.engines.supervisor import ALIVE_INTERVAL_S
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState

__all__ = ["LocalEngine"]

_POLL_INTERVAL_S = 0.02
_MARGIN_S = 5.0
_SEEN_LATELY_S = 10 * ALIVE_INTERVAL_S  # clocks of machines differ


class LocalEngine(FolderEngine):
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

    def abort(self, handle: str) -> Status:
        """End all processes of the job, wait until they have ended, and return its status.

        Raises:
            NotSupportedError: The job runs on another machine.
        """
        files, started = self._open(handle)
        status = files.result() or self._ask(files, started)
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
        return files.result() or self._ask(files, started)

    def _start(self, job: Job, files: TaskFiles) -> None:
        mark = secrets.token_hex(16)
        message = {
            "engine": self.name,
            "task_id": job.task_id,
            "host": socket.gethostname(),
            "boot_id": processes.boot_id(),
            "mark": mark,
            "argv": job.argv,
            "env": task_environment(job, files.folder),
            "cwd": str(job.cwd.absolute()),
            "folder": str(files.folder),
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
            cwd=files.folder,
            env=environment_with({processes.MARK_VARIABLE: mark}),
            start_new_session=True,
            check=False,
        )
        if done.returncode:
            shown = done.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise StorageError(f"task {job.task_id} could not be started: {shown}")

    def _ask(self, files: TaskFiles, started: dict[str, Any]) -> Status:
        """Return the status; of a task whose supervisor was killed, record it."""
        if not _is_here(started):
            if _has_ended_elsewhere(files, started):
                message = f"its supervisor was killed, on {started['host']}, as with a container"
                return files.settle(Status(TaskState.FAIL, None, message))
            return Status(TaskState.RUNNING, None, f"runs on {started['host']}{_silence(files)}")
        if processes.has_mark(started["pid"], started["mark"]):
            return Status(TaskState.RUNNING)
        left = processes.find_processes(started["mark"])
        if left:
            message = f"its supervisor was killed; {len(left)} of its processes still run"
            return files.result() or Status(TaskState.RUNNING, None, message)
        if files.abort_request.exists():
            return files.settle(Status(TaskState.ABORT, None, "aborted"))
        message = (
            "its supervisor was killed, or the machine was stopped: the exit code is not known"
        )
        return files.settle(Status(TaskState.FAIL, None, message))

    def _stop_supervisor(self, started: dict[str, Any]) -> None:
        """Ask the supervisor to end the job, and wait for it as long as it may take."""
        mark = started["mark"]
        give_up_at = time.monotonic() + self.grace_s + _MARGIN_S
        for process in processes.find_processes(mark):
            if process.pid == started["pid"]:
                processes.send_signal(process, signal.SIGTERM)
        while processes.has_mark(started["pid"], mark) and time.monotonic() < give_up_at:
            time.sleep(_POLL_INTERVAL_S)


def _is_here(started: dict[str, Any]) -> bool:
    return bool(started["host"] == socket.gethostname())


def _silence(files: TaskFiles) -> str:
    """Return since when the supervisor on another machine has not been seen; "" if it was lately.

    The machine may be lost, or cut off from the folder alone: nobody else can know.
    """
    try:
        seen = files.alive.stat().st_mtime
    except FileNotFoundError:  # an older version of aisio runs it
        return ""
    if time.time() - seen < _SEEN_LATELY_S:
        return ""
    at = datetime.fromtimestamp(seen).isoformat(" ", "seconds")
    return f", which has not been seen since {at}: it may be lost"


def _has_ended_elsewhere(files: TaskFiles, started: dict[str, Any]) -> bool:
    """Tell whether the supervisor has surely ended that another host of this machine has started.

    A container that is started anew has a new name, and sees no processes of the old one. Locks
    are seen by all containers of a machine; they may be unknown to other machines.
    """
    if started.get("boot_id") != processes.boot_id() or not files.supervisor_lock.exists():
        return False
    try:
        file_locks.release(file_locks.acquire(files.supervisor_lock, shared=True))
    except OSError:  # it is held, or the file system has no locks
        return False
    return True
