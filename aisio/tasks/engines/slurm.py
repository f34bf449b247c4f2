"""SlurmEngine: jobs on a Slurm cluster, by submitit."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisio.config import environment_with
from aisio.errors import ConfigError, StorageError
from aisio.extras import missing_extra
from aisio.tasks.engines import processes
from aisio.tasks.engines.base import Job, Status
from aisio.tasks.engines.folder_engine import FolderEngine, task_environment
from aisio.tasks.engines.node import ABORTED, write_job
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState

if TYPE_CHECKING:
    import submitit

__all__ = ["SlurmEngine"]

_CLUSTERS = ("slurm", "local")
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "CONFIGURING")
_GOING_ON = ("RUNNING", "COMPLETING", "SUSPENDED", "RESIZING", "UNKNOWN", "STOPPED", "SIGNALING")
_TIMEOUT_MIN = 7 * 24 * 60
_POLL_INTERVAL_S = 0.2
_CANCEL_AFTER_S = 15.0
_GRACE_S = 5.0


class SlurmEngine(FolderEngine):
    """Runs jobs on a Slurm cluster: one task of Slurm, with one agent of torchrun, on each node.

    The folders of task and code must be on a file system that all nodes share, and aisio and torch
    installed on them. With `Job.max_restarts` the job is also requeued after a node was lost.

    Args:
        cluster: "slurm", or "local" to try a job on this machine, on one node.
        parameters: Parameters of submitit's `AutoExecutor.update_parameters`, as
            `slurm_partition="gpu"` or `timeout_min=60`; the time limit is 7 days by default.

    Raises:
        ConfigError: There is no such cluster.
        MissingExtraError: submitit is not installed.
    """

    name = "slurm"

    def __init__(self, cluster: str = "slurm", **parameters: Any) -> None:
        if cluster not in _CLUSTERS:
            raise ConfigError(f"cluster={cluster!r} must be one of {', '.join(_CLUSTERS)}")
        try:
            import submitit  # noqa: F401
        except ImportError as error:
            raise missing_extra("submitit", "slurm") from error
        self.cluster = cluster
        self.parameters = parameters

    def abort(self, handle: str) -> Status:
        """End all processes of the job, wait until they have ended, and return its status."""
        files, started = self._open(handle)
        if self.poll(handle).state.finished:
            return self.poll(handle)
        files.abort_request.touch()
        cancel_at = time.monotonic() + _CANCEL_AFTER_S
        if self._ask(files, started).state == TaskState.CREATED:
            cancel_at = 0  # nothing runs that could read the request
        cancelled = False
        while not (status := self.poll(handle)).state.finished:
            if time.monotonic() > cancel_at and not cancelled:
                self._cancel(started)
                cancelled = True
            time.sleep(_POLL_INTERVAL_S)
        if started["cluster"] == "local" and started["host"] == socket.gethostname():
            processes.end_processes(started["mark"], grace_s=_GRACE_S)
        return status

    def _start(self, job: Job, files: TaskFiles) -> None:
        if self.cluster == "local" and job.num_nodes > 1:
            raise ConfigError(
                f"task {job.task_id}: num_nodes={job.num_nodes}, but submitit's local executor has "
                "one node"
            )
        write_job(job, files)
        mark = secrets.token_hex(16)
        request = {
            "folder": str(files.folder),
            "cluster": self.cluster,
            "parameters": self._parameters(job),
            "handle": {
                "engine": self.name,
                "task_id": job.task_id,
                "cluster": self.cluster,
                "host": socket.gethostname(),
                "mark": mark,
                "num_nodes": job.num_nodes,
            },
        }
        env = {**task_environment(job, files.folder), processes.MARK_VARIABLE: mark}
        with (files.folder / "submit.log").open("w+b") as log:
            done = subprocess.run(
                [sys.executable, "-m", "aisio.tasks.engines.slurm_job"],
                input=json.dumps(request).encode(),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=files.folder,
                env=environment_with(env),
                start_new_session=True,
                check=False,
            )
            log.seek(0)
            shown = log.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
        if done.returncode:
            raise StorageError(f"task {job.task_id} could not be submitted: {shown}")

    def _parameters(self, job: Job) -> dict[str, Any]:
        requeue = "requeue" if job.max_restarts else "no-requeue"
        parameters: dict[str, Any] = {
            "name": job.task_id,
            "nodes": job.num_nodes,
            "tasks_per_node": 1,
            "timeout_min": _TIMEOUT_MIN,
            "slurm_additional_parameters": {requeue: True},
        }
        if "cpus" in job.resources:
            parameters["cpus_per_task"] = int(job.resources["cpus"])
        if "gpus" in job.resources:
            parameters["gpus_per_node"] = int(job.resources["gpus"])
        return {**parameters, **self.parameters}

    def _ask(self, files: TaskFiles, started: dict[str, Any]) -> Status:
        state = self._scheduler_state(files, started)
        codes = _node_codes(files, started["num_nodes"])
        if len(codes) < started["num_nodes"] and state in (*_WAITING, *_GOING_ON):
            runs = state not in _WAITING and files.outputs()
            return Status(TaskState.RUNNING if runs else TaskState.CREATED)
        if codes and not any(codes) and len(codes) == started["num_nodes"]:
            return files.settle(Status(TaskState.SUCCESS, 0))
        if files.abort_request.exists() or ABORTED in codes or state.startswith("CANCELLED"):
            return files.settle(Status(TaskState.ABORT, None, "aborted"))
        code = next((code for code in codes if code), None)
        message = f"exit code {code}" if code else f"Slurm ended it: {state}"
        return files.settle(Status(TaskState.FAIL, code, message))

    def _scheduler_state(self, files: TaskFiles, started: dict[str, Any]) -> str:
        if started["cluster"] == "slurm":
            return str(_submitted(files, started).state)
        if started["host"] != socket.gethostname():
            return "RUNNING"
        return "RUNNING" if processes.find_processes(started["mark"]) else "ENDED"

    def _cancel(self, started: dict[str, Any]) -> None:
        if started["cluster"] == "local":
            processes.end_processes(started["mark"], grace_s=_GRACE_S)
            return
        subprocess.run(["scancel", started["job_id"]], check=False, stderr=subprocess.DEVNULL)


def _submitted(files: TaskFiles, started: dict[str, Any]) -> submitit.SlurmJob[int]:
    import submitit

    return submitit.SlurmJob(files.folder / "submitit", started["job_id"])


def _node_codes(files: TaskFiles, num_nodes: int) -> list[int]:
    """Return the exit codes of the nodes that have ended."""
    codes = []
    for node in range(num_nodes):
        file = Path(files.folder / f"node-{node}.json")
        if file.exists():
            codes.append(int(json.loads(file.read_bytes())["exit_code"]))
    return codes
