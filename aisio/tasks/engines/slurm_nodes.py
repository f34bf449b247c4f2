"""The files in which the nodes of a Slurm job say that they have begun, and how they ended.

They are in the task's folder, which all nodes share.
"""

from __future__ import annotations

import json
from pathlib import Path

from aisio.atomic_write import atomic_write

__all__ = ["node_codes", "node_result_file", "record_node"]


def node_result_file(folder: Path, node: int) -> Path:
    """Return the file in which a node says that it has begun, and its exit code."""
    return folder / f"node-{node}.json"


def node_codes(folder: Path, num_nodes: int) -> list[int | None]:
    """Return the exit codes of the nodes that have begun; None of one that has not ended.

    They are in the order in which the nodes have written them, as a failure of one ends the others.
    Where Slurm has requeued the job, the nodes of its last run count.
    """
    # Only the listing of a folder has NFS look for files that were not there before.
    there = {file.name for file in folder.iterdir()}
    files = [node_result_file(folder, node) for node in range(num_nodes)]
    files = [file for file in files if file.name in there]
    files.sort(key=lambda file: file.stat().st_mtime_ns)
    found = [json.loads(file.read_bytes()) for file in files]
    last = max((content.get("run", 0) for content in found), default=0)
    return [content["exit_code"] for content in found if content.get("run", 0) == last]


def record_node(folder: Path, node: int, run: int, exit_code: int | None) -> None:
    """Write the file of a node, unless a later run of the job has written it.

    Args:
        folder: The task's folder.
        node: Number of the node, from 0.
        run: How often Slurm has requeued the job.
        exit_code: The exit code; None while the node runs.
    """
    result = node_result_file(folder, node)
    if result.exists() and json.loads(result.read_bytes()).get("run", 0) > run:
        return
    with atomic_write(result) as file:
        file.write(json.dumps({"exit_code": exit_code, "run": run}).encode())
