"""Job: work that a request starts and that goes on in the background.

A job's states:

    RUNNING ----> ENDED
       |            ^
       +--> IDLE ---+   after IDLE_NS, or when a client stops it

AIStore keeps jobs of some kinds idle for a while after their work, where they wait for more of it.
The gateway's jobs of these kinds are idle as well, because clients that list or stop jobs can see
that. Only a SharedJob gets more work, and is RUNNING again.
"""

from __future__ import annotations

import contextlib
import enum
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aisio.gateway.protocol.targets import BucketName

IDLE_KINDS = frozenset({"archive", "copy-listrange", "get-batch"})
"""Kinds of jobs that are idle before they end. AIStore has no "status" of them, only statistics."""

IDLE_NS = 10 * 1_000_000_000
"""How long they are idle, in nanoseconds."""


class JobStoppedError(Exception):
    """A client has asked the job to stop."""


class JobState(enum.Enum):
    """What a job does at a time."""

    RUNNING = "running"
    IDLE = "idle"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a job is to do.

    Attributes:
        kind: The kind of work, in AIStore's words ("copy-bck").
        bucket: The bucket that it works on; None for none.
        destination: The bucket that it writes to; None for none.
        message: The work in words.
    """

    kind: str
    bucket: BucketName | None = None
    destination: BucketName | None = None
    message: str = ""


@dataclass
class JobStats:
    """How many objects a job has processed, and how many bytes these have."""

    objects: int = 0
    size_bytes: int = 0


@dataclass(eq=False)
class Job:
    """One job.

    Attributes:
        id: The id by which clients find it.
        spec: What it is to do.
        node: The node that does it.
        started_ns: When it started, in nanoseconds since 1970.
        finished_ns: When its work was finished, in nanoseconds since 1970; 0 until then.
        error: What went wrong; "" for nothing.
        is_aborted: It ended before its work was finished.
        stats: What it has done so far.
        result: What it has found out, for jobs that return something.
    """

    id: str
    spec: JobSpec
    node: str
    started_ns: int = field(default_factory=time.time_ns)
    finished_ns: int = 0
    error: str = ""
    is_aborted: bool = False
    stats: JobStats = field(default_factory=JobStats)
    result: Any = None
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> JobState:
        """The present state; see the diagram above."""
        if not self.finished_ns:
            return JobState.RUNNING
        if self._idle_ns and time.time_ns() < self.finished_ns + self._idle_ns:
            return JobState.IDLE
        return JobState.ENDED

    @property
    def ended_ns(self) -> int:
        """When it ended, in nanoseconds since 1970; 0 while it is running or idle."""
        return self.finished_ns + self._idle_ns if self.state is JobState.ENDED else 0

    def stop(self) -> None:
        """Ask the job to stop before its next object; an idle one ends now."""
        state = self.state
        if state is not JobState.ENDED:
            self._stop.set()
        if state is JobState.IDLE:
            self.abort()

    def abort(self) -> None:
        """End the job, because a client stopped it."""
        self.fail(f"{self.spec.kind}[{self.id}] aborted, cause: user abort")
        self.is_aborted = True
        self.finished_ns = time.time_ns()

    def check(self) -> None:
        """Return if the job may go on.

        Raises:
            JobStoppedError: It is to stop.
        """
        if self._stop.is_set():
            raise JobStoppedError

    def count(self, size_bytes: int) -> None:
        """Count an object that has been processed."""
        self.stats.objects += 1
        self.stats.size_bytes += size_bytes

    def fail(self, message: str) -> None:
        """Record an error; only the first one is kept."""
        self.error = self.error or f"{self.node}: {message}"

    @property
    def _idle_ns(self) -> int:
        """How long the job is idle before it ends, in nanoseconds."""
        return 0 if self.is_aborted or self.spec.kind not in IDLE_KINDS else IDLE_NS


@dataclass(eq=False)
class SharedJob(Job):
    """A job whose work is done by requests, one after the other or several at once.

    Attributes:
        users: How many requests do its work now.
    """

    users: int = 0

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the job running in the block."""
        self.users += 1
        self.finished_ns = 0
        try:
            yield
        finally:
            self.users -= 1
            if not self.users:
                self.finished_ns = time.time_ns()

    def stop(self) -> None:
        """Ask its requests to stop before their next object, and end now."""
        if self.state is not JobState.ENDED:
            self._stop.set()
            self.abort()
