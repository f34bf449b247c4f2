"""A quick_train that is killed: `python -m tests.acceptance.killed_train FOLDER WHEN`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from aisio.tasks.engines.base import Engine, Job
from aisio.tasks.engines.local import LocalEngine
from aisio.tasks.quickstart import quick_train
from aisio.tasks.service.service import TaskService
from aisio.tasks.service.train_tasks import TrainTaskService
from tests.tasks.places import make_service

PROGRAM = """
import os, pathlib, sys
from aisio.tasks import report_final_metric, report_intermediate_metric
rank, folder = int(os.environ["RANK"]), sys.argv[-1]
print("rank", rank, "of", os.environ["WORLD_SIZE"])
assert os.environ[pathlib.Path(folder).name] == folder
if rank == 0:
    names = sorted(path.name for path in pathlib.Path(folder).rglob("*.bin"))
    report_intermediate_metric(len(names))
    report_final_metric(0.9)
    pathlib.Path("out").mkdir()
    pathlib.Path("out/names").write_text(" ".join(names))
"""


def real_service(place: Path, engine: Engine | None = None) -> TaskService:
    """Return a service whose engine starts real processes."""
    return make_service(place, engine or LocalEngine())


def train(place: Path, service: TaskService, **more: Any) -> Any:
    """Start the program of these tests."""
    return quick_train(
        algorithm_name="a",
        algorithm_dir=place / "code",
        dataset_dir=place / "data",
        entrypoint=f"{sys.executable} train.py",
        output="out",
        service=service,
        **more,
    )


class KilledEngine(LocalEngine):
    """Ends the process before or after it has started a job.

    Args:
        before: Before.
    """

    def __init__(self, *, before: bool) -> None:
        super().__init__()
        self.before = before

    def start(self, job: Job) -> str:
        """Leave without a handle."""
        if not self.before:
            super().start(job)
        die()
        raise AssertionError


class KilledTasks:
    """Ends the process when a task is made, and not recorded where it was started.

    Args:
        tasks: What makes it.
    """

    def __init__(self, tasks: TrainTaskService) -> None:
        self._tasks = tasks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tasks, name)

    def create(self, **attributes: Any) -> None:
        """Make a task."""
        self._tasks.create(**attributes)
        die()


def die() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(done: int, total: int) -> None:
    """End this process in the middle of an upload."""
    if done * 2 > total:
        die()


if __name__ == "__main__":
    folder, when = Path(sys.argv[1]), sys.argv[2]
    if when == "upload":
        train(folder, real_service(folder), on_progress=die_at)
    if when == "made":
        service: Any = real_service(folder)
        service.train_tasks = KilledTasks(service.train_tasks)
        train(folder, service)
    train(folder, real_service(folder, KilledEngine(before=when == "before")))
