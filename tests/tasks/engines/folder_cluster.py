"""A Ray cluster that is a folder: `python -m tests.tasks.engines.folder_cluster FOLDER WHEN`.

As a program, it starts a job, and is killed before or after the cluster has the job.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aisio.tasks.engines.ray import RayEngine
from tests.tasks.engines.killed_starter import counting_job

_ROOT = Path(__file__).parents[3]


class FolderCluster(RayEngine):
    """Submits jobs to a folder, where they stay pending.

    Args:
        folder: The folder, which is made.
        killed: When the process is killed: "before" or "after" a job is submitted, or "" for never.
    """

    def __init__(self, folder: Path, killed: str = "") -> None:
        super().__init__()
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.killed = killed

    def _client(self) -> Any:
        return self

    def submit_job(self, *, submission_id: str, **_: object) -> None:
        """Take a job, once."""
        self._die_if("before")
        if (self.folder / submission_id).exists():
            raise RuntimeError(f"status code 500: Job with submission_id {submission_id} already")
        (self.folder / submission_id).touch()
        self._die_if("after")

    def get_job_info(self, submission_id: str) -> Any:
        """Return what is known of a job."""
        if not (self.folder / submission_id).exists():
            raise RuntimeError(f"Job {submission_id} does not exist")
        return SimpleNamespace(status=SimpleNamespace(value="PENDING"))

    def jobs(self) -> list[str]:
        """Return the names of all jobs."""
        return [path.name for path in self.folder.iterdir()]

    def _die_if(self, when: str) -> None:
        if self.killed == when:
            os.kill(os.getpid(), signal.SIGKILL)


def start_and_kill(folder: Path, when: str) -> None:
    """Have a process start a job in a folder, and be killed meanwhile."""
    command = [sys.executable, "-m", "tests.tasks.engines.folder_cluster", str(folder), when]
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL


if __name__ == "__main__":
    place = Path(sys.argv[1])
    FolderCluster(place / "cluster", sys.argv[2]).start(counting_job(place))
