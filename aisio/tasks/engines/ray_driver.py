"""The driver of a task on a Ray cluster: it places the nodes, and records how they ended."""

from __future__ import annotations

import json
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from aisio.tasks.engines.base import Status
from aisio.tasks.engines.node import ABORTED, read_job, run_node
from aisio.tasks.engines.ray import ENVIRONMENT_FILE, RUNNING_FILE
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState

_util: Any = ray.util
_GRACE_S = 2.0
_WAIT_S = 0.5


class _Driver:
    """Runs a job: once, or again after a node was lost.

    Args:
        folder: The task's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._files = TaskFiles(folder)
        self._job = read_job(self._files)
        self._mark = (self._files.read_handle() or {})["mark"]
        secrets = folder / ENVIRONMENT_FILE
        self._env: dict[str, str] = json.loads(secrets.read_bytes())
        secrets.unlink()

    def run(self) -> Status:
        """Run the job; return how it ended."""
        lost = ""
        for attempt in range(self._job["max_restarts"] + 1):
            group = self._reserve()
            if group is None:
                return Status(TaskState.ABORT, None, "aborted")
            try:
                return self._run_nodes(group, attempt)
            except ray.exceptions.RayError as error:
                lost = type(error).__name__
                traceback.print_exc()
            finally:
                remove_placement_group(group)
        return Status(TaskState.FAIL, None, f"a node was lost ({lost})")

    def _reserve(self) -> PlacementGroup | None:
        """Wait for the resources of all nodes; return None if the task is aborted meanwhile."""
        bundle = {"CPU": float(self._job["resources"].get("cpus", 1))}
        if gpus := self._job["resources"].get("gpus"):
            bundle["GPU"] = float(gpus)
        group: PlacementGroup = placement_group(
            [dict(bundle) for _ in range(self._job["num_nodes"])], "SPREAD"
        )
        while not group.wait(_WAIT_S):
            if self._files.abort_request.exists():
                remove_placement_group(group)
                return None
        (self._files.folder / RUNNING_FILE).touch()
        return group

    def _run_nodes(self, group: PlacementGroup, attempt: int) -> Status:
        rendezvous = ray.get(self._on_node(_free_address, group, 0).remote())
        references = [
            self._on_node(_run_node, group, node).remote(
                self._files.folder,
                node,
                rendezvous=rendezvous,
                run_id=f"{self._job['task_id']}-{attempt}",
                mark=self._mark,
                grace_s=_GRACE_S,
                env=self._env,
            )
            for node in range(self._job["num_nodes"])
        ]
        waiting = list(references)
        try:
            while waiting:
                done, waiting = ray.wait(waiting)
                code = ray.get(done[0])
                if code == ABORTED:
                    return Status(TaskState.ABORT, None, "aborted")
                if code:
                    return Status(TaskState.FAIL, code, f"exit code {code}")
            return Status(TaskState.SUCCESS, 0)
        finally:
            self._cancel(waiting)

    def _cancel(self, references: list[Any]) -> None:
        """End the nodes that still run, and wait until their processes have ended."""
        for reference in references:
            ray.cancel(reference)  # KeyboardInterrupt in run_node, which ends its processes
        if references:
            ray.wait(references, num_returns=len(references), timeout=_GRACE_S * 5)

    def _on_node(self, function: Any, group: PlacementGroup, node: int) -> Any:
        return ray.remote(function).options(
            num_cpus=float(self._job["resources"].get("cpus", 1)),
            num_gpus=float(self._job["resources"].get("gpus", 0)),
            max_retries=0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=node
            ),
        )


def _run_node(*arguments: Any, **options: Any) -> int:
    return run_node(*arguments, **options, address=_util.get_node_ip_address())


def _free_address() -> str:
    """Return an address of this node that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        return f"{_util.get_node_ip_address()}:{listener.getsockname()[1]}"


def main(folder: Path) -> int:
    """Run the job; return the exit code of the driver, which Ray records."""
    files = TaskFiles(folder)
    if files.abort_request.exists():  # its starter was killed, and the task aborted meanwhile
        (folder / ENVIRONMENT_FILE).unlink(missing_ok=True)
        files.settle(Status(TaskState.ABORT, None, "aborted before it was started"))
        return 1
    ray.init(log_to_driver=False)
    try:
        status = _Driver(folder).run()
    except Exception as error:
        traceback.print_exc()
        message = f"the driver failed: {error}; see its log in Ray"
        aborted = files.abort_request.exists()
        status = Status(TaskState.ABORT if aborted else TaskState.FAIL, None, message)
    status = files.settle(status)
    # A starter that did not know of this job may have written it again.
    (folder / ENVIRONMENT_FILE).unlink(missing_ok=True)
    return 0 if status.state == TaskState.SUCCESS else status.exit_code or 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
