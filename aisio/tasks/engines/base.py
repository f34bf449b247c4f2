"""What an engine is: it starts a job on one or several nodes, and knows how the job is doing."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aisio.errors import ConfigError
from aisio.tasks.states import TaskState

__all__ = ["Engine", "Job", "Status", "read_handle"]

_RESOURCES = ("gpus", "cpus")


@dataclass(frozen=True)
class Job:
    """What an engine starts.

    The program runs num_nodes x nproc_per_node times. Each process finds its place in the variables
    of torchrun: RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT.

    Attributes:
        task_id: The ID of the task.
        argv: The program and its arguments. No shell reads them.
        env: Environment variables that the program gets in addition to those of the engine: mounts,
            the task's ID and secret. Engines print and record no value of them.
        cwd: The folder that the program starts in: the code, checked out.
        folder: The folder of this task alone, for its state and logs; made where there is none.
        num_nodes: Number of nodes.
        nproc_per_node: Number of processes on each node.
        resources: What each node needs: "gpus" and "cpus", as numbers. The engine's scheduler
            reserves them; `local` has none, and ignores them.
        max_restarts: How often the processes are started again after one of them failed or a node
            was lost.

    Raises:
        ConfigError: A value cannot work.
    """

    task_id: str
    argv: tuple[str, ...]
    cwd: Path
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    num_nodes: int = 1
    nproc_per_node: int = 1
    resources: Mapping[str, float] = field(default_factory=dict)
    max_restarts: int = 0

    def __post_init__(self) -> None:
        if not self.task_id or not self.argv or not self.argv[0]:
            raise ConfigError("a job needs a task_id, and a program in argv")
        if any("\0" in text for text in (*self.argv, *self.env, *self.env.values())):
            raise ConfigError("argv and env of a job cannot hold NUL characters")
        for name, least in (("num_nodes", 1), ("nproc_per_node", 1), ("max_restarts", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least {least}")
        unknown = sorted(self.resources.keys() - set(_RESOURCES))
        if unknown:
            raise ConfigError(
                f"resources of a job are {' and '.join(_RESOURCES)}, not {', '.join(unknown)}"
            )


@dataclass(frozen=True)
class Status:
    """How a job is doing.

    Attributes:
        state: CREATED while it waits for its place; RUNNING; SUCCESS, FAIL or ABORT.
        exit_code: The exit code of the first process that failed, 128 + n where signal n ended it;
            0 after success; None while it runs, and where it is not known.
        message: One line for people: why it failed, or what is unusual; often "".
    """

    state: TaskState
    exit_code: int | None = None
    message: str = ""


class Engine(ABC):
    """Runs jobs. A job outlives the process that started it.

    A handle is a JSON text that says all that is needed to ask about the job from another process.
    It holds no secret.

    Attributes:
        name: The engine's name, which its handles begin with: "local", "ray" or "slurm".
    """

    name: str

    @abstractmethod
    def start(self, job: Job) -> str:
        """Start a job; return its handle.

        A second call for the same task and folder starts nothing: it returns the handle of the
        first. So a caller that was killed inside `start` may call it again.

        Raises:
            ConfigError: The engine cannot run this job.
            MissingExtraError: The engine's package is not installed.
            StorageError: The job could not be started.
        """

    def find(self, task_id: str, folder: Path) -> str | None:
        """Return the handle of a job whose starter was killed before it had recorded the handle.

        Nobody may be starting the job meanwhile. Engines that cannot know return None.

        Args:
            task_id: The ID of the task.
            folder: The task's folder.

        Returns:
            The handle; None if the engine has no such job.

        Raises:
            StorageError: The engine does not answer.
        """
        return None

    def withdraw(self, task_id: str, folder: Path) -> str | None:
        """Have a start that was killed, or has failed, start nothing any more.

        What the starter has left behind, such as a process or a request, may still go on.

        Args:
            task_id: The ID of the task.
            folder: The task's folder.

        Returns:
            The handle of a job that the engine may have already: the caller aborts it; else None.
        """
        return self.find(task_id, folder)

    @abstractmethod
    def poll(self, handle: str) -> Status:
        """Return how the job is doing.

        Raises:
            NotFoundError: The engine no longer knows it.
        """

    @abstractmethod
    def logs(self, handle: str, last: int | None = None) -> list[str]:
        """Return the lines that the processes printed, or the last ones."""

    @abstractmethod
    def follow(self, handle: str) -> Iterator[str]:
        """Yield the lines that the processes printed, and new ones, until the job has finished."""

    @abstractmethod
    def abort(self, handle: str) -> Status:
        """End all processes of the job, wait until they have ended, and return its status.

        A job that has finished stays as it is.
        """


def read_handle(handle: str, engine: str) -> dict[str, Any]:
    """Return the content of a handle.

    Raises:
        ConfigError: It is not a handle of this engine.
    """
    try:
        content = json.loads(handle)
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("engine") != engine:
        raise ConfigError(f"{handle!r} is not a handle of the engine {engine}")
    return content
