from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from aisio.gateway.jobs.jobs import (
    IDLE_NS,
    MOST_KEPT,
    Job,
    Jobs,
    JobStoppedError,
    go_time,
    job_snap,
    job_status,
)
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName


def run(work: Callable[[Job], None]) -> Job:
    """Run a job to its end, or until it is stopped with all others; return it."""

    async def start() -> Job:
        jobs = Jobs("t1")
        job = jobs.start("copy-bck", work, bucket=BucketName("b"))
        await asyncio.to_thread(jobs.close)
        return job

    return asyncio.run(start())


def test_a_job_that_is_done_says_so() -> None:
    """With how much it has done, and when it ended."""
    job = run(lambda job: job.count(7))
    assert job.ended_ns >= job.started_ns
    assert job_status(job) == {
        **{"kind": "copy-bck", "uuid": job.id, "err": "", "end_time": job.ended_ns},
        "aborted": False,
    }
    snap = job_snap(job)
    assert (snap["stats"]["loc-objs"], snap["stats"]["loc-bytes"]) == ("1", "7")
    assert (snap["is_idle"], snap["bck"]["name"], snap["end-time"][:2]) == (True, "b", "20")


def test_a_running_job_has_no_end() -> None:
    """Zero in one place, Go's earliest time in the other."""
    job = Job("id", "archive", "t[t1]", None)
    assert job_status(job)["end_time"] == 0
    assert job_snap(job)["end-time"] == "0001-01-01T00:00:00Z"
    assert job_snap(job)["is_idle"] is False


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Refusal(404, "ais://b/o does not exist"), "ais://b/o does not exist"),
        (OSError("disk"), "disk"),
    ],
)
def test_a_job_that_fails_tells_why(error: Exception, text: str) -> None:
    """It has ended, aborted, and names the node."""

    def work(job: Job) -> None:
        raise error

    job = run(work)
    assert job.is_aborted
    assert job.ended_ns
    assert job.error.startswith("t[t1]: ")
    assert text in job.error


def test_the_first_error_is_the_one_that_is_told() -> None:
    """An error that hinders nothing aborts nothing."""

    def work(job: Job) -> None:
        job.fail("first")
        job.fail("second")

    job = run(work)
    assert (job.error, job.is_aborted) == ("t[t1]: first", False)


def test_a_job_can_be_stopped() -> None:
    """It ends before its next object, aborted by the user."""

    def work(job: Job) -> None:
        while True:
            job.check()

    job = run(work)
    assert job.is_aborted
    assert job.ended_ns
    assert "user abort" in job.error


def test_only_so_many_ended_jobs_are_kept() -> None:
    """The oldest are forgotten first; running ones are not."""

    async def start() -> tuple[Jobs, list[Job]]:
        jobs, release = Jobs("t1"), threading.Event()

        def wait(job: Job) -> None:
            release.wait()

        started = [jobs.start("lru", wait)]
        for _ in range(MOST_KEPT + 10):
            started.append(jobs.start("lru", lambda job: None))
            while not started[-1].ended_ns:
                await asyncio.sleep(0)
        release.set()
        await asyncio.to_thread(jobs.close)
        return jobs, started

    jobs, started = asyncio.run(start())
    assert jobs.find(started[0].id) is started[0]
    assert jobs.find(started[1].id) is None
    assert jobs.find(started[-1].id) is started[-1]
    assert len(list(jobs.select(""))) <= MOST_KEPT + 1


def test_some_kinds_are_idle_before_they_end() -> None:
    """They run, for those who list jobs, until they have been idle long enough or are stopped."""
    job = Job("id", "archive", "t[t1]", None, done_ns=time.time_ns())
    assert (job_snap(job)["is_idle"], job.ended_ns, job.is_aborted) == (True, 0, False)
    job.stop()
    assert (bool(job.ended_ns), job.is_aborted, "user abort" in job.error) == (True, True, True)
    old = Job("id", "archive", "t[t1]", None, done_ns=time.time_ns() - IDLE_NS)
    old.stop()
    assert (bool(old.ended_ns), old.is_aborted) == (True, False)


def test_requests_share_a_job_until_it_is_stopped() -> None:
    """One for each bucket; it is idle while nobody uses it."""
    jobs = Jobs("t1")
    with jobs.share("get-batch", BucketName("b")) as first:
        assert job_snap(first)["is_idle"] is False
        with jobs.share("get-batch", BucketName("c")) as other:
            assert other is not first
    assert job_snap(first)["is_idle"] is True
    with jobs.share("get-batch", BucketName("b")) as again:
        assert again is first
        first.stop()
        with pytest.raises(JobStoppedError):
            again.check()
    with jobs.share("get-batch", BucketName("b")) as new:
        assert new is not first
    assert (first.is_aborted, list(jobs.select("get-batch"))) == (True, [first, other, new])
    jobs.close()


def test_times_are_gos() -> None:
    """Nanoseconds and UTC."""
    assert go_time(1_795_216_010_370_900_577) == "2026-11-20T23:06:50.370900577Z"
