"""An engine for tests: it runs a job to its end inside `start`, or never."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from aisio.errors import UnavailableError
from aisio.tasks.engines.base import Engine, Job, Status, read_handle
from aisio.tasks.states import TaskState


class FakeEngine(Engine):
    """Keeps the state of a job in its folder, so that other processes can ask.

    Args:
        runs: Run the program; without it, a job stays RUNNING until `finish`.
    """

    name = "fake"

    def __init__(self, *, runs: bool = False) -> None:
        self.runs = runs
        self.jobs: list[Job] = []
        self.unreachable: set[str] = set()

    def start(self, job: Job) -> str:
        """Start a job; a second call for its folder starts nothing."""
        handle = json.dumps({"engine": self.name, "folder": str(job.folder)})
        status = job.folder / "status.json"
        if status.exists():
            return handle
        self.jobs.append(job)
        self.finish(handle, TaskState.RUNNING)
        if self.runs:
            with (job.folder / "log").open("wb") as log:
                done = subprocess.run(
                    job.argv,
                    cwd=job.cwd,
                    env=os.environ | dict(job.env),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            state = TaskState.FAIL if done.returncode else TaskState.SUCCESS
            self.finish(handle, state, done.returncode)
        return handle

    def find(self, task_id: str, folder: Path) -> str | None:
        """Return the handle of a job that was started."""
        if not (folder / "status.json").exists():
            return None
        return json.dumps({"engine": self.name, "folder": str(folder)})

    def finish(
        self, handle: str, state: TaskState, exit_code: int | None = None, message: str = ""
    ) -> None:
        """Have a job be in a state."""
        text = json.dumps({"state": int(state), "exit_code": exit_code, "message": message})
        (self._folder(handle) / "status.json").write_text(text)

    def _folder(self, handle: str) -> Path:
        return Path(read_handle(handle, self.name)["folder"])

    def poll(self, handle: str) -> Status:
        """Return the state that the folder has."""
        if self._folder(handle).name in self.unreachable:
            raise UnavailableError("the engine cannot be reached")
        status = json.loads((self._folder(handle) / "status.json").read_text())
        return Status(TaskState(status["state"]), status["exit_code"], status["message"])

    def logs(self, handle: str, last: int | None = None) -> list[str]:
        """Return what the program printed."""
        path = self._folder(handle) / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return lines if last is None else lines[len(lines) - min(last, len(lines)) :]

    def follow(self, handle: str) -> Iterator[str]:
        """Yield what the program printed."""
        yield from self.logs(handle)

    def abort(self, handle: str) -> Status:
        """End a job that runs."""
        if not self.poll(handle).state.finished:
            self.finish(handle, TaskState.ABORT)
        return self.poll(handle)
