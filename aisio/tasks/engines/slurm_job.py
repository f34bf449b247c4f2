"""The two ends of a job of SlurmEngine: what submits it, and what Slurm runs on each node.

The submission is a process of its own: submitit passes its whole environment on to the job, so the
variables of a job, secrets among them, are in no file.

A submission that is killed may leave a job that no handle file names, and another one may submit
the task again. Both jobs write the handle file, which is written once, and the job runs that it
names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import submitit

from aisio import file_locks
from aisio.config import first_set
from aisio.errors import UnavailableError
from aisio.tasks.engines.node import ABORTED, run_node
from aisio.tasks.engines.slurm_nodes import record_node
from aisio.tasks.engines.slurm_queue import cluster_name
from aisio.tasks.engines.task_files import TaskFiles

__all__ = ["main", "run_slurm_job", "run_slurm_node"]

_GRACE_S = 5.0
_ABORTED_EXIT = 143  # as of a program that SIGTERM has ended
_FIRST_PORT, _PORTS = 20000, 20000


def run_slurm_node(folder: Path, mark: str, handle: Mapping[str, Any] | None = None) -> int:
    """Run the processes of the node that Slurm runs this on; record and return their exit code.

    Args:
        folder: The task's folder.
        mark: The mark of the task's processes.
        handle: What the handle file says, without the ID of the job; None in a job that an older
            version of aisio has submitted.

    Returns:
        The exit code, as `run_node` has it; also `ABORTED` where another job runs the task, or the
        task has ended, as when somebody requeues its job.
    """
    place = submitit.JobEnvironment()
    files = TaskFiles(folder)
    if handle is not None and _running_job(files, handle, place.raw_job_id) != place.raw_job_id:
        print(f"aisio: the task is run by another job than {place.raw_job_id}", flush=True)
        return ABORTED
    if files.result() is not None:
        print(f"aisio: the task of job {place.raw_job_id} has ended before", flush=True)
        return ABORTED
    host = place.hostnames[0]
    # Agents of one job must agree on a port before they meet: the ID of the job gives one.
    port = _FIRST_PORT + int(place.raw_job_id) % _PORTS
    run = int(first_set("SLURM_RESTART_COUNT") or 0)
    record_node(folder, place.node, run, None)
    code = run_node(
        folder,
        place.node,
        rendezvous=f"{host}:{port}" if place.num_nodes > 1 else "127.0.0.1:0",
        run_id=f"{place.job_id}-{run}",
        mark=mark if place.cluster == "local" else f"{mark}-{place.node}",
        grace_s=_GRACE_S,
    )
    record_node(folder, place.node, run, code)
    return code


def run_slurm_job(folder: Path, mark: str, handle: Mapping[str, Any]) -> int:
    """Run a node as `run_slurm_node` does, and end with its exit code, for Slurm to know it.

    submitit's local executor would run a process again that ends with 144: there, it is returned.
    """
    code = run_slurm_node(folder, mark, handle)
    if code and submitit.JobEnvironment().cluster == "slurm":
        sys.exit(_ABORTED_EXIT if code == ABORTED else code)
    return code


def _running_job(files: TaskFiles, handle: Mapping[str, Any], job_id: str) -> str:
    """Return the ID of the job that runs the task: this one, if there was none before."""
    files.write_handle({**handle, "job_id": job_id})
    return str((files.read_handle() or {}).get("job_id"))


def _cluster_name() -> str | None:
    try:
        return cluster_name()
    except UnavailableError:  # sbatch says more
        return None


def main() -> None:
    """Submit the job that standard input describes, and write its handle file.

    If the starter is killed, this goes on, and another starter may come: the second one waits, and
    finds that the job is submitted. The lock ends with this process.
    """
    request: dict[str, Any] = json.load(sys.stdin)
    folder = Path(request["folder"])
    file_locks.acquire(folder / "submit.lock", on_wait=lambda: None)
    files, handle = TaskFiles(folder), request["handle"]
    if files.read_handle() is not None:
        return
    if files.abort_request.exists():
        sys.exit("the task was aborted before it was submitted")
    if request["cluster"] == "slurm":
        handle["cluster_name"] = _cluster_name()
    executor = submitit.AutoExecutor(folder / "submitit", cluster=request["cluster"])
    try:
        executor.update_parameters(**request["parameters"])
    except (NameError, TypeError, ValueError) as error:  # as submitit refuses an unknown name
        sys.exit(str(error).partition("\n")[0])
    job = executor.submit(run_slurm_job, folder, handle["mark"], handle)
    if _running_job(files, handle, job.job_id) != job.job_id:
        job.cancel()  # the job of a submission that was killed has begun to run meanwhile


if __name__ == "__main__":
    main()
