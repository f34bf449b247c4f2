from __future__ import annotations

import pytest

from aisio.gateway.jobs.job import Job, JobSpec
from aisio.gateway.jobs.snapshots import go_time, job_snapshot, job_status
from aisio.gateway.protocol.targets import BucketName

END_NS = 1_795_216_010_370_900_577
END = "2026-11-20T23:06:50.370900577Z"


@pytest.fixture
def job() -> Job:
    """Return a finished job that has copied an object."""
    spec = JobSpec("copy-bck", BucketName("b"), BucketName("c", "n"), "cp")
    job = Job("id", spec, "t[t1]", finished_ns=END_NS)
    job.count(7)
    return job


def test_the_status_of_a_job(job: Job) -> None:
    """Its kind, end and error."""
    assert job_status(job) == {
        "kind": "copy-bck",
        "uuid": "id",
        "err": "",
        "end_time": END_NS,
        "aborted": False,
    }


def test_the_snapshot_of_a_job(job: Job) -> None:
    """Numbers are strings; a job with a destination names both buckets."""
    snap = job_snapshot(job)
    assert (snap["id"], snap["kind"], snap["ctlmsg"]) == ("id", "copy-bck", "cp")
    assert (snap["bck"]["name"], snap["src-bck"]["name"]) == ("b", "b")
    assert snap["dst-bck"] == {
        "name": "c",
        "provider": "ais",
        "namespace": {"uuid": "", "name": "n"},
    }
    assert (snap["stats"]["loc-objs"], snap["stats"]["loc-bytes"]) == ("1", "7")
    assert (snap["end-time"], snap["is_idle"], snap["aborted"]) == (END, True, False)


def test_a_running_job_has_no_end() -> None:
    """Zero in the status, and Go's zero time in the snapshot."""
    job = Job("id", JobSpec("archive"), "t[t1]")
    assert job_status(job)["end_time"] == 0
    snap = job_snapshot(job)
    assert (snap["end-time"], snap["is_idle"]) == ("0001-01-01T00:00:00Z", False)
    assert (snap["src-bck"]["name"], snap["dst-bck"]["provider"]) == ("", "")


def test_only_an_aborted_job_has_an_abort_error(job: Job) -> None:
    """Its error is in both fields."""
    job.fail("x")
    assert (job_snapshot(job)["err"], job_snapshot(job)["abort-err"]) == ("t[t1]: x", "")
    job.is_aborted = True
    assert job_snapshot(job)["abort-err"] == "t[t1]: x"


def test_times_are_those_of_go() -> None:
    """Nanoseconds, in UTC."""
    assert go_time(END_NS) == END
