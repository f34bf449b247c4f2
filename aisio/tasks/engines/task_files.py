"""The files by which all processes agree on one task: written whole, and once."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from aisio.errors import IntegrityError
from aisio.tasks.engines.base import Status
from aisio.tasks.states import TaskState

__all__ = ["TaskFiles"]


class TaskFiles:
    """The files that engines keep in a task's folder.

    Each is written once: whoever comes second reads what the first one wrote.

    Args:
        folder: The task's folder.

    Attributes:
        folder: The task's folder.
        start_lock: The lock of those who start the task.
        supervisor_lock: The lock that a supervisor holds while it lives, where it has one.
        alive: A supervisor that lives touches it again and again, for other machines to see.
        handle: What identifies the running job.
        abort_request: Is there once somebody wants the task to end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start_lock = folder / "start.lock"
        self.supervisor_lock = folder / "supervisor.lock"
        self.alive = folder / "alive"
        self.handle = folder / "handle.json"
        self.abort_request = folder / "abort"
        self._result = folder / "result.json"

    def output(self, node: int = 0) -> Path:
        """Return the file of what the processes of a node print."""
        return self.folder / f"output-{node}.log"

    def outputs(self) -> list[Path]:
        """Return the files of all nodes that have begun, in their order."""
        files = self.folder.glob("output-*.log")
        return sorted(files, key=lambda file: (len(file.name), file.name))

    def write_handle(self, content: dict[str, Any]) -> bool:
        """Write the handle; return False if there is one already."""
        return _write_once(self.handle, content)

    def read_handle(self) -> dict[str, Any] | None:
        """Return the handle, or None if the task was never started."""
        return _read(self.handle)

    def settle(self, status: Status) -> Status:
        """Record how the task ended, unless that is known; return what is recorded."""
        _write_once(
            self._result,
            {
                "state": status.state.name,
                "exit_code": status.exit_code,
                "message": status.message,
            },
        )
        recorded = self.result()
        return recorded if recorded else status

    def result(self) -> Status | None:
        """Return how the task ended, or None if it has not."""
        content = _read(self._result)
        if content is None:
            return None
        try:
            state = TaskState[content["state"]]
            return Status(state, content["exit_code"], content["message"])
        except KeyError as error:
            raise _damaged(self._result) from error


def _write_once(path: Path, content: dict[str, Any]) -> bool:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with partial.open("x", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(partial)  # unlike a rename, this never replaces a file
    except FileExistsError:
        return False
    finally:
        partial.unlink(missing_ok=True)
    return True


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(content, dict):
        raise _damaged(path)
    return content


def _damaged(path: Path) -> IntegrityError:
    return IntegrityError(f"{path} is damaged: it is not what an engine wrote about its task")
