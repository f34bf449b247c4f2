"""Starts of tasks that were killed or have failed: what the engine has of them.

A task without a handle in the registry may be in any of these states:

    the engine has its job         the handle is recorded by whoever asks first
    the engine has no job          the task can be started, or aborted
    the engine may get it yet      from what a killed starter left: `withdraw` has it run nothing
"""

from __future__ import annotations

import logging
from pathlib import Path

from aisio.errors import AisioError, ConfigError
from aisio.tasks.engines.base import Engine
from aisio.tasks.service.registry import Registry
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.service.variables import forget_variables, hide_values
from aisio.tasks.states import TaskState

__all__ = ["Starts", "is_unstarted"]

_log = logging.getLogger("aisio.tasks")


def is_unstarted(row: TrainTaskRow) -> bool:
    """Tell whether a task was made, and no start of it is recorded."""
    return row.handle is None and not TaskState(row.state).finished


class Starts:
    """What the engine and the registry know of starts. Callers hold the lock of the task.

    Args:
        registry: The rows.
        engine: What runs tasks.
        folder: Folder of the tasks' folders.
    """

    def __init__(self, registry: Registry, engine: Engine, folder: Path) -> None:
        self._registry = registry
        self._engine = engine
        self._folder = folder

    def check_engine(self, row: TrainTaskRow) -> None:
        """Check that a task is to run on this engine.

        Raises:
            ConfigError: It is to run on another one.
        """
        if row.engine != self._engine.name:
            raise ConfigError(
                f"train task {row.id} is for the engine {row.engine}, not {self._engine.name}"
            )

    def record(self, row: TrainTaskRow, handle: str) -> None:
        """Record that the engine has a task, which then needs no values of variables any more."""
        self._registry.update(row, handle=handle, envs=hide_values(row.envs))
        forget_variables(self._folder / row.id)

    def find(self, row: TrainTaskRow) -> bool:
        """Record the handle of a task whose starter was killed when the engine had it.

        Returns:
            Whether this engine has it.
        """
        if not is_unstarted(row) or row.engine != self._engine.name:
            return False
        handle = self._engine.find(row.id, self._folder / row.id)
        if handle is not None:
            self.record(row, handle)
        return handle is not None

    def withdraw(self, row: TrainTaskRow) -> str | None:
        """Have what is left of a killed start run nothing; return the handle of a job to abort.

        Raises:
            ConfigError: The task is to run on another engine.
        """
        self.check_engine(row)
        handle = self._engine.withdraw(row.id, self._folder / row.id)
        if handle is not None:
            self.record(row, handle)
        return handle

    def give_up(self, row: TrainTaskRow) -> None:
        """End what a start that has failed may have left behind, or one before that was killed."""
        try:
            handle = self.withdraw(row)
            if handle is not None:
                self._engine.abort(handle)
        except (AisioError, OSError) as error:
            _log.warning("train task %s: its start may have left a job behind: %s", row.id, error)
