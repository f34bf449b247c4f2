"""Jobs: starts jobs, runs them in threads, and finds them again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from aisio.gateway.http.cluster import new_id
from aisio.gateway.jobs.job import Job, JobSpec, JobState, JobStoppedError, SharedJob
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName

MAX_JOBS = 1000
"""How many jobs are kept; beyond it, the oldest finished ones are forgotten."""

_THREADS = 4
_ID_PREFIXES = {"copy-listrange": "tco-", "get-batch": "gbt-"}
_log = logging.getLogger(__name__)


class Jobs:
    """The jobs of a gateway.

    Args:
        target_id: The id of the node that does them.
    """

    def __init__(self, target_id: str) -> None:
        self._node = f"t[{target_id}]"
        self._jobs: dict[str, Job] = {}
        self._shared: dict[tuple[str, BucketName | None], SharedJob] = {}
        self._threads = ThreadPoolExecutor(_THREADS, "job")

    def start(self, spec: JobSpec, work: Callable[[Job], None]) -> Job:
        """Start a job.

        Args:
            spec: What it is to do.
            work: Does it, in a thread; calls check() of its argument before each object.
        """
        job = Job(_new_job_id(spec.kind), spec, self._node)
        self._add(job)
        asyncio.get_running_loop().run_in_executor(self._threads, _run, job, work)
        return job

    @contextlib.contextmanager
    def share(self, kind: str, bucket: BucketName | None) -> Iterator[SharedJob]:
        """Work in the block as part of a job that many requests share.

        Args:
            kind: One of IDLE_KINDS.
            bucket: The bucket that it works on; each has its own job.
        """
        job = self._shared.get((kind, bucket))
        if job is None or job.state is JobState.ENDED:
            job = SharedJob(_new_job_id(kind), JobSpec(kind, bucket), self._node)
            self._shared[kind, bucket] = job
            self._add(job)
        self._jobs[job.id] = job  # it may have been forgotten while it was idle
        with job.in_use():
            yield job

    def find(self, job_id: str) -> Job | None:
        """Return the job with an id; None if there is none."""
        return self._jobs.get(job_id)

    def select(self, kind: str, *, only_running: bool = False) -> Iterator[Job]:
        """Yield the jobs of a kind, or of all kinds for "", the latest last.

        Args:
            kind: The kind.
            only_running: Leave out jobs that have ended; idle ones count as running.
        """
        for job in list(self._jobs.values()):
            if kind not in ("", job.spec.kind):
                continue
            if not (only_running and job.state is JobState.ENDED):
                yield job

    def close(self) -> None:
        """Stop all jobs, and wait until they have ended."""
        for job in self._jobs.values():
            job.stop()
        self._threads.shutdown(wait=True)

    def _add(self, job: Job) -> None:
        """Add a job; forget the oldest finished ones if there are too many."""
        finished = [old.id for old in self._jobs.values() if old.state is not JobState.RUNNING]
        for job_id in finished[: max(0, len(self._jobs) - MAX_JOBS)]:
            del self._jobs[job_id]
        self._jobs[job.id] = job


def _run(job: Job, work: Callable[[Job], None]) -> None:
    try:
        job.check()
        work(job)
    except JobStoppedError:
        job.abort()
    except Refusal as refusal:
        job.is_aborted = True
        job.fail(refusal.message)
    except Exception as error:
        _log.exception("job %s[%s]", job.spec.kind, job.id)
        job.is_aborted = True
        job.fail(f"{type(error).__name__}: {error}")
    finally:
        job.finished_ns = time.time_ns()


def _new_job_id(kind: str) -> str:
    return _ID_PREFIXES.get(kind, "") + new_id()
