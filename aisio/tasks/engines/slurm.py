"""SlurmEngine: jobs on a Slurm cluster, by submitit."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
from typing import Any

from aisio.config import environment_with, inherited_environment
from aisio.errors import ConfigError, StorageError, StoreTimeoutError, UnavailableError
from aisio.extras import missing_extra
from aisio.tasks.engines import processes
from aisio.tasks.engines.base import Job, Status
from aisio.tasks.engines.folder_engine import FolderEngine, task_environment
from aisio.tasks.engines.node import ABORTED, write_job
from aisio.tasks.engines.slurm_nodes import node_codes
from aisio.tasks.engines.slurm_queue import (
    SlurmJobState,
    SlurmQueue,
    cancel_job,
    cluster_name,
)
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState

__all__ = ["SlurmEngine"]

_CLUSTERS = ("slurm", "local")
_OF_THE_JOB = frozenset({"nodes", "tasks_per_node", "slurm_nodes", "slurm_ntasks_per_node"})
_TIMEOUT_MIN = 7 * 24 * 60
_POLL_INTERVAL_S = 0.2
_CANCEL_AFTER_S = 15.0
_CANCELLED_WITHIN_S = 300.0  # KillWait and UnkillableStepTimeout of Slurm, and its epilog
_GRACE_S = 5.0
_SUBMIT_ERROR = "sbatch: error: "
# What a job leaves for the commands that it runs: another job must not inherit its shape.
_OF_A_JOB = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_")
_OF_A_CLUSTER = frozenset({"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"})


class SlurmEngine(FolderEngine):
    """Runs jobs on a Slurm cluster: one task of Slurm, with one agent of torchrun, on each node.

    The folders of task and code must be on a file system that all nodes share, and aisio and torch
    installed on them. With `Job.max_restarts` the job is also requeued after a node was lost.

    Args:
        cluster: "slurm", or "local" to try a job on this machine, on one node.
        parameters: Parameters of submitit's `AutoExecutor.update_parameters`, as
            `slurm_partition="gpu"` or `timeout_min=60`; the time limit is 7 days by default.

    Raises:
        ConfigError: There is no such cluster, or a parameter is not to be set here.
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
        fixed = sorted(parameters.keys() & _OF_THE_JOB)
        if fixed:
            raise ConfigError(f"{fixed[0]}= cannot be set: each job says how many nodes it needs")
        if isinstance(parameters.get("slurm_srun_args"), str):
            raise ConfigError('slurm_srun_args= is a list, as in ["--mpi=pmix"]')
        self.cluster = cluster
        self.parameters = parameters
        self._queue = SlurmQueue()

    def abort(self, handle: str) -> Status:
        """End all processes of the job, wait until they have ended, and return its status.

        Raises:
            UnavailableError: Slurm does not answer.
            StoreTimeoutError: It has not ended the job in 5 minutes.
        """
        files, started = self._open(handle)
        status = self.poll(handle)
        if status.state.finished:
            return status
        files.abort_request.touch()
        begun = time.monotonic()
        # What does not run yet cannot read the request.
        cancel_at = begun if status.state == TaskState.CREATED else begun + _CANCEL_AFTER_S
        cancelled = False
        while not (status := self.poll(handle)).state.finished:
            if time.monotonic() >= cancel_at and not cancelled:
                self._cancel(started)
                cancelled = True
            if time.monotonic() > begun + _CANCELLED_WITHIN_S:
                raise StoreTimeoutError(
                    f"task {started['task_id']}: Slurm has not ended its job "
                    f"{started.get('job_id')} in {_CANCELLED_WITHIN_S:.0f} s"
                    f"{f': {status.message}' * bool(status.message)}"
                )
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
        with (files.folder / "submit.log").open("w+b") as log:
            done = subprocess.run(
                [sys.executable, "-m", "aisio.tasks.engines.slurm_job"],
                input=json.dumps(request).encode(),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=files.folder,
                env=self._environment(job, files, mark),
                start_new_session=True,
                check=False,
            )
            log.seek(0)
            shown = _reason(log.read().decode("utf-8", "replace"))
        if done.returncode:
            shown = shown or f"the submission ended with exit code {done.returncode}"
            raise StorageError(f"task {job.task_id} could not be submitted: {shown}")

    def _environment(self, job: Job, files: TaskFiles, mark: str) -> dict[str, str]:
        """Return the variables of the submission, which Slurm passes on to the job."""
        env = task_environment(job, files.folder)
        if self.cluster == "local":
            return environment_with({**env, processes.MARK_VARIABLE: mark})
        env = environment_with({**env, "SBATCH_EXPORT": "ALL"})
        # Without a mark: srun would have it, and be ended together with the processes of a node.
        without = (processes.MARK_VARIABLE, *(_OF_A_JOB if "SLURM_JOB_ID" in env else ()))
        return inherited_environment(without=without, keep=_OF_A_CLUSTER, environ=env)

    def _parameters(self, job: Job) -> dict[str, Any]:
        requeue = "requeue" if job.max_restarts else "no-requeue"
        parameters: dict[str, Any] = {
            "name": job.task_id,
            "nodes": job.num_nodes,
            "tasks_per_node": 1,
            "timeout_min": _TIMEOUT_MIN,
            "slurm_signal_delay_s": 0,  # submitit would end the program so long before its time
        }
        if "cpus" in job.resources:
            parameters["cpus_per_task"] = int(job.resources["cpus"])
        if "gpus" in job.resources:
            parameters["gpus_per_node"] = int(job.resources["gpus"])
        parameters |= self.parameters
        more = parameters.get("slurm_additional_parameters") or {}
        parameters["slurm_additional_parameters"] = {requeue: True, **more}
        if self.cluster == "slurm":
            parameters["slurm_srun_args"] = _srun_arguments(parameters)
        return parameters

    def _ask(self, files: TaskFiles, started: dict[str, Any]) -> Status:
        codes = node_codes(files.folder, started["num_nodes"])
        have_ended = len(codes) == started["num_nodes"] and None not in codes
        if have_ended:
            if not any(codes):
                return files.settle(Status(TaskState.SUCCESS, 0))
            if files.abort_request.exists():
                return files.settle(Status(TaskState.ABORT, None, "aborted"))
        begun = TaskState.RUNNING if codes else TaskState.CREATED
        if started["cluster"] == "local":
            is_here = started["host"] == socket.gethostname()
            if processes.find_processes(started["mark"]) if is_here else not have_ended:
                return Status(begun)
            return files.settle(_ended(files, started, SlurmJobState("")))
        try:
            state = self._queue.state(
                started["job_id"],
                files.folder,
                evidence=tuple(codes),
                soon=files.abort_request.exists(),
            )
            if not state.name:
                _check_cluster(started)
        except UnavailableError as error:
            return Status(begun, None, f"Slurm does not answer: {error}")
        if state.waiting:
            reason = f": {state.reason}" if state.reason else ""
            return Status(TaskState.CREATED, None, f"waits in Slurm{reason}")
        if state.name and not state.final:
            usual = state.name in ("RUNNING", "COMPLETING")
            return Status(begun, None, "" if usual else f"in Slurm: {state.name}")
        return files.settle(_ended(files, started, state))

    def _cancel(self, started: dict[str, Any]) -> None:
        if started["cluster"] == "local":
            processes.end_processes(started["mark"], grace_s=_GRACE_S)
            return
        try:
            cancel_job(started["job_id"])
        except UnavailableError as error:
            raise UnavailableError(
                f"task {started['task_id']}: its job {started['job_id']} could not be cancelled: "
                f"{error}. Nodes that run it end it all the same; abort it again to cancel it"
            ) from error


def _srun_arguments(parameters: dict[str, Any]) -> list[str]:
    """Return the arguments of srun: a node that fails ends the others, as they wait for it.

    Since Slurm 22.05, srun does not take the number of CPUs from the job that it runs in.
    """
    arguments = ["--kill-on-bad-exit=1"]
    cpus = parameters.get("slurm_cpus_per_task", parameters.get("cpus_per_task"))
    if cpus:
        arguments.append(f"--cpus-per-task={cpus}")
    return [*arguments, *(parameters.get("slurm_srun_args") or ())]


def _check_cluster(started: dict[str, Any]) -> None:
    """Check that the cluster which does not know a job is the one that got it.

    Raises:
        UnavailableError: It is another one, or does not answer.
    """
    asked, cluster = cluster_name(), started.get("cluster_name")
    if cluster and cluster != asked:
        raise UnavailableError(
            f"job {started['job_id']} is one of the cluster {cluster}, and this machine asks "
            f"{asked}"
        )


def _ended(files: TaskFiles, started: dict[str, Any], state: SlurmJobState) -> Status:
    """Return how a job that runs no more has ended, as far as its nodes have said."""
    # Read after the end was seen: a node may have written its code since `_ask` read them.
    codes = node_codes(files.folder, started["num_nodes"])
    have_ended = len(codes) == started["num_nodes"] and None not in codes
    if not any(codes) and (have_ended or state.name == "COMPLETED"):
        return Status(TaskState.SUCCESS, 0)
    if files.abort_request.exists() or ABORTED in codes:
        return Status(TaskState.ABORT, None, "aborted")
    if state.name == "CANCELLED":
        return Status(TaskState.ABORT, None, "cancelled in Slurm")
    code = next((code for code in codes if code), None)
    if state.name in ("", "FAILED", "COMPLETED") and code:
        return Status(TaskState.FAIL, code, f"exit code {code}")
    if started["cluster"] == "local":
        message = "its processes ended without an exit code, killed or not started"
        return Status(TaskState.FAIL, code, f"{message}: see {files.folder / 'submitit'}")
    job_id = started["job_id"]
    if not state.name:
        message = f"Slurm does not know its job {job_id} any more: the exit code is not known"
    else:
        message = f"Slurm ended it: {state.name}"
        if state.reason and state.reason.upper() != state.name:
            message += f", {state.reason}"
    log = files.folder / "submitit" / f"{job_id}_0_log.err"
    return Status(TaskState.FAIL, code, f"{message}; see {log}" if log.exists() else message)


def _reason(output: str) -> str:
    """Return why a submission has failed, in one line: what sbatch says, or the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix(_SUBMIT_ERROR) for line in lines if line.startswith(_SUBMIT_ERROR)]
    return "; ".join(dict.fromkeys(errors)) or (lines[-1] if lines else "")
