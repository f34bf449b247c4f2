"""The states of tasks and resources, with Anylearn's numbers."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ResourceState", "TaskState"]


class TaskState(IntEnum):
    """The state of a training task.

    Source: the numbers are those of anylearn 0.15.5, as its users and databases have them.
    """

    CREATED = 0
    RUNNING = 1
    SUCCESS = 2
    DELETED = -1
    FAIL = -2
    ABORT = -3

    @property
    def finished(self) -> bool:
        """Whether the task will never run again."""
        return self not in (TaskState.CREATED, TaskState.RUNNING)


class ResourceState(IntEnum):
    """The state of an algorithm, dataset, model or file.

    Source: the numbers are those of anylearn 0.15.5, as its users and databases have them.
    """

    CREATED = 1
    UPLOADING = 2
    READY = 3
    DELETED = -1
    ERROR = -2
