from __future__ import annotations

import time

import pytest

from aisio.gateway.jobs.job import IDLE_NS, Job, JobSpec, JobState, JobStoppedError, SharedJob


def finished(kind: str, ago_ns: int = 0) -> Job:
    """Return a job that finished its work some time ago."""
    return Job("id", JobSpec(kind), "t[t1]", finished_ns=time.time_ns() - ago_ns)


def test_a_job_runs_until_its_work_is_finished() -> None:
    """It has no end until then; afterwards its end is when the work was finished."""
    job = Job("id", JobSpec("copy-bck"), "t[t1]")
    assert (job.state, job.ended_ns) == (JobState.RUNNING, 0)
    job.finished_ns = time.time_ns()
    assert (job.state, job.ended_ns) == (JobState.ENDED, job.finished_ns)


def test_some_kinds_are_idle_before_they_end() -> None:
    """For IDLE_NS, which are part of the job's time."""
    job = finished("archive")
    assert (job.state, job.ended_ns) == (JobState.IDLE, 0)
    job = finished("archive", ago_ns=IDLE_NS)
    assert (job.state, job.ended_ns) == (JobState.ENDED, job.finished_ns + IDLE_NS)


def test_a_stopped_job_stops_at_its_next_check() -> None:
    """It goes on until then."""
    job = Job("id", JobSpec("copy-bck"), "t[t1]")
    job.check()
    job.stop()
    assert job.state is JobState.RUNNING
    with pytest.raises(JobStoppedError):
        job.check()


def test_an_idle_job_ends_at_once_when_it_is_stopped() -> None:
    """It counts as aborted by the user."""
    job = finished("archive")
    job.stop()
    assert (job.state, job.is_aborted) == (JobState.ENDED, True)
    assert job.error == "t[t1]: archive[id] aborted, cause: user abort"


def test_to_stop_an_ended_job_changes_nothing() -> None:
    """It has not been aborted."""
    job = finished("archive", ago_ns=IDLE_NS)
    job.stop()
    assert (job.is_aborted, job.error) == (False, "")


def test_the_first_error_is_kept() -> None:
    """It names the node, and does not abort the job."""
    job = Job("id", JobSpec("copy-bck"), "t[t1]")
    job.fail("first")
    job.fail("second")
    assert (job.error, job.is_aborted) == ("t[t1]: first", False)


def test_a_job_counts_what_it_has_processed() -> None:
    """Objects and bytes."""
    job = Job("id", JobSpec("copy-bck"), "t[t1]")
    for size_bytes in (7, 5):
        job.count(size_bytes)
    assert (job.stats.objects, job.stats.size_bytes) == (2, 12)


def test_a_shared_job_is_idle_while_no_request_uses_it() -> None:
    """Two requests may use it at the same time, and it runs again for the next one."""
    job = SharedJob("id", JobSpec("get-batch"), "t[t1]")
    states = list[JobState]()
    with job.in_use():
        with job.in_use():
            states.append(job.state)
        states.append(job.state)
    states.append(job.state)
    with job.in_use():
        states.append(job.state)
    assert states == [JobState.RUNNING, JobState.RUNNING, JobState.IDLE, JobState.RUNNING]


def test_a_stopped_shared_job_ends_at_once_for_all_its_requests() -> None:
    """No thread of its own would end it."""
    job = SharedJob("id", JobSpec("get-batch"), "t[t1]")
    with job.in_use():
        job.stop()
        assert (job.state, job.is_aborted) == (JobState.ENDED, True)
        with pytest.raises(JobStoppedError):
            job.check()
    assert job.state is JobState.ENDED
