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
from aisio.tasks.engines.node import ABORTED, run_node
from aisio.tasks.engines.task_files import TaskFiles

__all__ = ["main", "node_result_file", "run_slurm_node"]

_GRACE_S = 5.0
_FIRST_PORT, _PORTS = 20000, 20000


def node_result_file(folder: Path, node: int) -> Path:
    """Return the file with the exit code of a node."""
    return folder / f"node-{node}.json"


def run_slurm_node(folder: Path, mark: str, handle: Mapping[str, Any] | None = None) -> int:
    """Run the processes of the node that Slurm runs this on; record and return their exit code.

    Args:
        folder: The task's folder.
        mark: The mark of the task's processes.
        handle: What the handle file says, without the ID of the job; None in a job that an older
            version of aisio has submitted.

    Returns:
        The exit code, as `run_node` has it; also `ABORTED` where another job runs the task.
    """
    place = submitit.JobEnvironment()
    files = TaskFiles(folder)
    if handle is not None and _running_job(files, handle, place.raw_job_id) != place.raw_job_id:
        print(f"aisio: the task is run by another job than {place.raw_job_id}", flush=True)
        return ABORTED
    host = place.hostnames[0]
    # Agents of one job must agree on a port before they meet: the ID of the job gives one.
    port = _FIRST_PORT + int(place.raw_job_id) % _PORTS
    code = run_node(
        folder,
        place.node,
        rendezvous=f"{host}:{port}" if place.num_nodes > 1 else "127.0.0.1:0",
        run_id=place.job_id,
        mark=mark,
        grace_s=_GRACE_S,
    )
    result = node_result_file(files.folder, place.node)
    partial = result.with_suffix(".partial")
    partial.write_text(json.dumps({"exit_code": code}))
    partial.replace(result)
    return code


def _running_job(files: TaskFiles, handle: Mapping[str, Any], job_id: str) -> str:
    """Return the ID of the job that runs the task: this one, if there was none before."""
    files.write_handle({**handle, "job_id": job_id})
    return str((files.read_handle() or {}).get("job_id"))


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
    executor = submitit.AutoExecutor(folder / "submitit", cluster=request["cluster"])
    executor.update_parameters(**request["parameters"])
    job = executor.submit(run_slurm_node, folder, handle["mark"], handle)
    if _running_job(files, handle, job.job_id) != job.job_id:
        job.cancel()  # the job of a submission that was killed has begun to run meanwhile


if __name__ == "__main__":
    main()
