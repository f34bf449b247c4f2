"""Jobs: work that a request starts and that goes on in the background, and what is told of it.

Some kinds do not end with their work in AIStore: they are idle for a while, and wait for more. Here
they are idle as well, as clients that list jobs or stop them can tell; but only get-batch is given
more to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from aisio.gateway.http.replies import new_id
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName

MOST_KEPT = 1000
"""Ended jobs that are still known; older ones are forgotten."""

IDLE_KINDS = frozenset({"archive", "copy-listrange", "get-batch"})
"""Kinds that a cluster keeps idle between requests, and gives no "status" of: only statistics."""

IDLE_NS = 10 * 1_000_000_000
"""How long they are idle before they end."""

_AT_ONCE = 4
_PREFIXES = {"copy-listrange": "tco-", "get-batch": "gbt-"}
_NEVER = "0001-01-01T00:00:00Z"
_log = logging.getLogger(__name__)


class JobStoppedError(Exception):
    """Somebody has asked the job to stop."""


@dataclass(eq=False)
class Job:
    """One job.

    Attributes:
        id: How clients ask for it.
        kind: What it does, in AIStore's words ("copy-bck").
        node: Who does it.
        bucket: The bucket that it is about.
        target: The bucket that it writes to; None for none.
        message: What it does, in words.
        started_ns: When it began, in nanoseconds since 1970.
        done_ns: When its work was done, in nanoseconds since 1970; 0 until then.
        error: What went wrong; "" for nothing.
        is_aborted: It ended before its work was done.
        objects: How many objects it has dealt with.
        size_bytes: How many bytes these have.
        result: What it has found out, for jobs that do.
        users: How many requests it works for, where several may share it.
    """

    id: str
    kind: str
    node: str
    bucket: BucketName | None
    target: BucketName | None = None
    message: str = ""
    started_ns: int = field(default_factory=time.time_ns)
    done_ns: int = 0
    error: str = ""
    is_aborted: bool = False
    objects: int = 0
    size_bytes: int = 0
    result: Any = None
    users: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def ended_ns(self) -> int:
        """When it ended, in nanoseconds since 1970; 0 while it runs or is idle."""
        if not self.done_ns or self.is_aborted or self.kind not in IDLE_KINDS:
            return self.done_ns
        end_ns = self.done_ns + IDLE_NS
        return end_ns if time.time_ns() >= end_ns else 0

    def stop(self) -> None:
        """Ask it to stop before its next object; an idle one ends now."""
        if not self.ended_ns:
            self._stop.set()
            if self.done_ns or self.users:
                self.abort()

    def abort(self) -> None:
        """End it, because it was asked to stop."""
        self.fail(f"{self.kind}[{self.id}] aborted, cause: user abort")
        self.is_aborted = True
        self.done_ns = time.time_ns()

    def check(self) -> None:
        """Raise if it is to stop.

        Raises:
            JobStoppedError: It is.
        """
        if self._stop.is_set():
            raise JobStoppedError

    def count(self, size_bytes: int) -> None:
        """Count an object that is done."""
        self.objects += 1
        self.size_bytes += size_bytes

    def fail(self, message: str) -> None:
        """Note an error; the first one is told."""
        self.error = self.error or f"{self.node}: {message}"


class Jobs:
    """The jobs of a gateway.

    Args:
        target_id: Names the node in what is told.
    """

    def __init__(self, target_id: str) -> None:
        self._node = f"t[{target_id}]"
        self._jobs: dict[str, Job] = {}
        self._shared: dict[tuple[str, BucketName | None], Job] = {}
        self._threads = ThreadPoolExecutor(_AT_ONCE, "job")

    def start(
        self,
        kind: str,
        work: Callable[[Job], None],
        *,
        bucket: BucketName | None = None,
        target: BucketName | None = None,
        message: str = "",
    ) -> Job:
        """Start a job.

        Args:
            kind: What it does, in AIStore's words.
            work: Does it, in a thread; calls check() of its argument now and then.
            bucket: The bucket that it is about.
            target: The bucket that it writes to.
            message: What it does, in words.
        """
        job = self._add(kind, bucket, target, message)
        asyncio.get_running_loop().run_in_executor(self._threads, self._run, job, work)
        return job

    @contextlib.contextmanager
    def share(self, kind: str, bucket: BucketName | None) -> Iterator[Job]:
        """Do some work as part of a job that many requests share, one after the other or at once.

        Args:
            kind: One of IDLE_KINDS.
            bucket: The bucket that it is about; each has its own job.
        """
        job = self._shared.get((kind, bucket))
        if job is None or job.ended_ns:
            job = self._add(kind, bucket)
            self._shared[kind, bucket] = job
        self._jobs[job.id] = job  # it may have been forgotten while it was idle
        job.users += 1
        job.done_ns = 0
        try:
            yield job
        finally:
            job.users -= 1
            if not job.users:
                job.done_ns = time.time_ns()

    def find(self, job_id: str) -> Job | None:
        """Return the job of an id."""
        return self._jobs.get(job_id)

    def select(self, kind: str, *, only_running: bool = False) -> Iterator[Job]:
        """Yield the jobs of a kind, or of all kinds for "", the latest last."""
        for job in list(self._jobs.values()):
            if kind in ("", job.kind) and not (only_running and job.ended_ns):
                yield job

    def close(self) -> None:
        """Stop all jobs, and wait until they have."""
        for job in self._jobs.values():
            job.stop()
        self._threads.shutdown(wait=True)

    def _add(
        self,
        kind: str,
        bucket: BucketName | None,
        target: BucketName | None = None,
        message: str = "",
    ) -> Job:
        job_id = _PREFIXES.get(kind, "") + new_id()
        job = Job(job_id, kind, self._node, bucket, target, message)
        self._forget()
        self._jobs[job.id] = job
        return job

    def _run(self, job: Job, work: Callable[[Job], None]) -> None:
        try:
            job.check()
            work(job)
        except JobStoppedError:
            job.abort()
        except Refusal as refusal:
            job.is_aborted = True
            job.fail(refusal.message)
        except Exception as error:
            _log.exception("job %s[%s]", job.kind, job.id)
            job.is_aborted = True
            job.fail(f"{type(error).__name__}: {error}")
        finally:
            job.done_ns = time.time_ns()

    def _forget(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.done_ns]
        for job_id in ended[: max(0, len(self._jobs) - MOST_KEPT)]:
            del self._jobs[job_id]


def job_status(job: Job) -> dict[str, Any]:
    """Return what AIStore says of a job under what=status."""
    return {
        "kind": job.kind,
        "uuid": job.id,
        "err": job.error,
        "end_time": job.ended_ns,
        "aborted": job.is_aborted,
    }


def job_snap(job: Job) -> dict[str, Any]:
    """Return what AIStore says of a job on one target."""
    stats = dict.fromkeys(("out-objs", "out-bytes", "in-objs", "in-bytes"), "0")
    return {
        "ext": None,
        "start-time": go_time(job.started_ns),
        "end-time": go_time(job.ended_ns),
        "bck": _bucket(job.bucket),
        "src-bck": _bucket(job.bucket if job.target else None),
        "dst-bck": _bucket(job.target),
        "id": job.id,
        "kind": job.kind,
        "ctlmsg": job.message,
        "abort-err": job.error if job.is_aborted else "",
        "err": job.error,
        "glob.id": "0",
        "stats": {"loc-objs": str(job.objects), "loc-bytes": str(job.size_bytes), **stats},
        "aborted": job.is_aborted,
        "is_idle": bool(job.done_ns),
    }


def go_time(time_ns: int) -> str:
    """Return a time as Go writes it in JSON; of 0 the one that means never."""
    if not time_ns:
        return _NEVER
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def _bucket(bucket: BucketName | None) -> dict[str, Any]:
    name, namespace = bucket or ("", "")
    provider = "ais" if bucket else ""
    return {"name": name, "provider": provider, "namespace": {"uuid": "", "name": namespace}}
