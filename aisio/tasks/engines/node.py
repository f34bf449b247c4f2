"""One node of a job on a cluster: run where Ray or Slurm has put it.

The task's folder must be on a file system that all nodes share. The job is in it, without the
values of its environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aisio.tasks.engines.base import Job
from aisio.tasks.engines.elastic_agent import agent_command, program_environment, shell_exit_code
from aisio.tasks.engines.processes import MARK_VARIABLE, end_processes
from aisio.tasks.engines.task_files import TaskFiles

__all__ = ["ABORTED", "read_job", "run_node", "write_job"]

ABORTED = -1
"""What `run_node` returns of a node that it did not start, or has ended, because of an abort."""

_POLL_INTERVAL_S = 0.25
_FILE = "job.json"


def write_job(job: Job, files: TaskFiles) -> None:
    """Write a job into the task's folder, without its environment."""
    content = {
        "task_id": job.task_id,
        "argv": job.argv,
        "cwd": str(job.cwd.absolute()),
        "num_nodes": job.num_nodes,
        "nproc_per_node": job.nproc_per_node,
        "max_restarts": job.max_restarts,
        "resources": dict(job.resources),
    }
    (files.folder / _FILE).write_text(json.dumps(content), encoding="utf-8")


def read_job(files: TaskFiles) -> dict[str, Any]:
    """Return what `write_job` wrote."""
    content: dict[str, Any] = json.loads((files.folder / _FILE).read_bytes())
    return content


def run_node(
    folder: Path,
    node: int,
    *,
    rendezvous: str,
    run_id: str,
    mark: str,
    grace_s: float,
    env: Mapping[str, str] | None = None,
    address: str | None = None,
) -> int:
    """Run the processes of one node under torchrun's agent, and wait until they have ended.

    It has many arguments, as it is called on another machine, where nothing else is known.

    Args:
        folder: The task's folder.
        node: Number of the node, from 0.
        rendezvous: "host:port" of the first node.
        run_id: What the nodes of this run of the job have in common.
        mark: The mark of the task's processes.
        grace_s: Seconds between SIGTERM and SIGKILL after an abort.
        env: Variables that are not in the environment yet.
        address: Address of this machine; by default the one that its name stands for.

    Returns:
        The exit code of the process that failed first, as shells have it; 0; or `ABORTED`.
    """
    files = TaskFiles(folder)
    if files.abort_request.exists():
        return ABORTED
    job = read_job(files)
    command = agent_command(
        job["argv"],
        num_nodes=job["num_nodes"],
        nproc_per_node=job["nproc_per_node"],
        max_restarts=job["max_restarts"],
        run_id=run_id,
        rendezvous=rendezvous,
        log_folder=folder / "ranks" / f"node{node}",
        is_host=node == 0,
        address=address,
    )
    with files.output(node).open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=job["cwd"],
            env=program_environment({**(env or {}), MARK_VARIABLE: mark}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return _wait(process, files, mark=mark, grace_s=grace_s)


def _wait(process: subprocess.Popen[bytes], files: TaskFiles, *, mark: str, grace_s: float) -> int:
    """Wait until the agent has ended, or end all processes of the task; returns as `run_node`."""
    try:
        while process.poll() is None:
            if files.abort_request.exists():
                return ABORTED
            time.sleep(_POLL_INTERVAL_S)
        return shell_exit_code(process.returncode)
    finally:
        # The job of Ray or Slurm itself has the mark where the mark came by its environment.
        end_processes(mark, grace_s=grace_s, keep=_own_line())
        process.wait()


def _own_line() -> list[int]:
    """Return the IDs of this process and of its ancestors."""
    line = [os.getpid()]
    while line[-1] > 1:
        fields = Path(f"/proc/{line[-1]}/stat").read_bytes().rpartition(b")")[2].split()
        line.append(int(fields[1]))
    return line
