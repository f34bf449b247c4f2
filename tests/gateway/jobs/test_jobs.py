from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from aisio.gateway.jobs.job import Job, JobSpec, JobState, JobStoppedError
from aisio.gateway.jobs.jobs import MAX_JOBS, Jobs
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName


def run(work: Callable[[Job], None]) -> Job:
    """Run a job to its end, or until it is stopped with all others; return it."""

    async def start() -> Job:
        jobs = Jobs("t1")
        job = jobs.start(JobSpec("copy-bck", BucketName("b")), work)
        await asyncio.to_thread(jobs.close)
        return job

    return asyncio.run(start())


def test_a_job_ends_with_its_work() -> None:
    """Not before it started."""
    job = run(lambda job: job.count(7))
    assert job.ended_ns >= job.started_ns
    assert (job.stats.objects, job.error, job.is_aborted) == (1, "", False)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Refusal(404, "ais://b/o does not exist"), "ais://b/o does not exist"),
        (OSError("disk"), "OSError: disk"),
    ],
)
def test_a_job_that_fails_says_why(error: Exception, text: str) -> None:
    """It has ended, aborted, and names the node."""

    def work(job: Job) -> None:
        raise error

    job = run(work)
    assert (job.state, job.is_aborted) == (JobState.ENDED, True)
    assert job.error == f"t[t1]: {text}"


def test_all_jobs_are_stopped_at_the_end() -> None:
    """Each ends before its next object, aborted by the user."""

    def work(job: Job) -> None:
        while True:
            job.check()

    job = run(work)
    assert (job.state, job.is_aborted) == (JobState.ENDED, True)
    assert "user abort" in job.error


def test_only_a_number_of_finished_jobs_are_kept() -> None:
    """The oldest are forgotten first; running ones are not."""

    async def start() -> tuple[Jobs, list[Job]]:
        jobs, release = Jobs("t1"), threading.Event()

        def wait(job: Job) -> None:
            release.wait()

        started = [jobs.start(JobSpec("lru"), wait)]
        for _ in range(MAX_JOBS + 10):
            started.append(jobs.start(JobSpec("lru"), lambda job: None))
            while not started[-1].ended_ns:
                await asyncio.sleep(0)
        release.set()
        await asyncio.to_thread(jobs.close)
        return jobs, started

    jobs, started = asyncio.run(start())
    assert jobs.find(started[0].id) is started[0]
    assert jobs.find(started[1].id) is None
    assert jobs.find(started[-1].id) is started[-1]
    assert len(list(jobs.select(""))) <= MAX_JOBS + 1


def test_requests_share_a_job_until_it_is_stopped() -> None:
    """One for each bucket; after a stop, the next request gets a new one."""
    jobs = Jobs("t1")
    with (
        jobs.share("get-batch", BucketName("b")) as first,
        jobs.share("get-batch", BucketName("c")) as other,
    ):
        assert other is not first
    assert first.state is JobState.IDLE
    with jobs.share("get-batch", BucketName("b")) as again:
        assert again is first
        first.stop()
        with pytest.raises(JobStoppedError):
            again.check()
    with jobs.share("get-batch", BucketName("b")) as new:
        assert new is not first
    assert list(jobs.select("get-batch")) == [first, other, new]
    assert list(jobs.select("get-batch", only_running=True)) == [other, new]
    assert list(jobs.select("archive")) == []
    jobs.close()
