"""What Slurm says of a job; the answers are those of a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio import UnavailableError
from aisio.tasks.engines.slurm_queue import (
    SlurmJobState,
    SlurmQueue,
    cancel_job,
    cluster_name,
)
from tests.tasks.engines.fake_slurm import NO_CONTROLLER, UNKNOWN_JOB, FakeSlurm

TASK = Path("/tasks/a b|c")


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> FakeSlurm:
    """A Slurm that answers what it is told to."""
    fake = FakeSlurm(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(fake.folder))
    return fake


def test_the_controller_says_how_a_job_is(slurm):
    """It needs no accounting; filters that the user has set do not count."""
    slurm.has_job(TASK, "PENDING", "JobHeldUser")
    state = SlurmQueue().state("12", TASK)
    assert state == SlurmJobState("PENDING", "JobHeldUser")
    assert (state.waiting, state.final) == (True, False)
    assert slurm.calls("squeue") == [
        ["--noheader", "--states=all", "--jobs=12", "--format=%T|%r|%o"]
    ]
    assert slurm.calls("sacct") == []


def test_filters_of_the_user_do_not_count(slurm, monkeypatch):
    """As a partition that squeue is to show alone."""
    monkeypatch.setenv("SQUEUE_PARTITION", "gpu")
    slurm.has_job(TASK, "RUNNING")
    SlurmQueue().state("12", TASK)
    assert "SQUEUE_PARTITION" not in slurm.environment()


def test_a_state_that_nobody_knows_is_no_end():
    """Slurm gets new ones."""
    state = SlurmJobState("EXPEDITING")
    assert (state.waiting, state.final) == (False, False)


def test_a_job_that_the_controller_has_forgotten_is_in_the_accounts(slurm):
    """A cancelled one with the number of the user who did it."""
    slurm.answer("squeue", errors=UNKNOWN_JOB, code=1)
    slurm.answer("sacct", "CANCELLED by 1000\n")
    assert SlurmQueue().state("12", TASK) == SlurmJobState("CANCELLED")


@pytest.mark.parametrize("recorded", ["", "RUNNING\n"])
def test_a_job_that_is_nowhere_is_unknown(slurm, recorded):
    """The accounts may say of one for ever that it runs."""
    slurm.answer("squeue", errors=UNKNOWN_JOB, code=1)
    if recorded:
        slurm.answer("sacct", recorded)
    assert SlurmQueue().state("12", TASK) == SlurmJobState("")


def test_a_job_with_another_script_is_another_job(slurm):
    """The cluster was set up anew, and has given the ID again."""
    slurm.has_job(Path("/tasks/other"), "RUNNING")
    assert SlurmQueue().state("12", TASK).name == ""


def test_a_controller_that_is_down_is_an_error_and_is_left_alone(slurm):
    """Other jobs are not asked about either; after a while it is asked again."""
    now = [0.0]
    queue = SlurmQueue(lambda: now[0])
    slurm.answer("squeue", errors=f"{NO_CONTROLLER}\n", code=1)
    for job_id in ("12", "13"):
        with pytest.raises(UnavailableError, match="squeue: .*Unable to contact slurm controller"):
            queue.state(job_id, TASK)
    assert len(slurm.calls("squeue")) == 1
    now[0] = 31
    slurm.has_job(TASK, "RUNNING")
    assert queue.state("13", TASK).name == "RUNNING"


def test_slurm_is_asked_more_seldom_while_nothing_changes(slurm):
    """And at once when the nodes have said something."""
    now = [0.0]
    queue = SlurmQueue(lambda: now[0])
    slurm.has_job(TASK, "RUNNING")
    while now[0] < 120:
        queue.state("12", TASK, evidence="begun")
        now[0] += 0.25
    assert len(slurm.calls("squeue")) == 8, "at 0, 1, 3, 7, 15, 31, 61 and 91 s"
    queue.state("12", TASK, evidence="ended")
    assert len(slurm.calls("squeue")) == 9


def test_slurm_is_asked_soon_when_a_job_is_to_end(slurm):
    """Somebody waits for it."""
    now = [0.0]
    queue = SlurmQueue(lambda: now[0])
    slurm.has_job(TASK, "RUNNING")
    while now[0] < 60:
        queue.state("12", TASK)
        now[0] += 0.25
    asked = len(slurm.calls("squeue"))
    for _ in range(3):
        now[0] += 2
        queue.state("12", TASK, soon=True)
    assert len(slurm.calls("squeue")) == asked + 3


def test_a_machine_without_slurm_is_an_error(monkeypatch):
    """It says which program is missing."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnavailableError, match="squeue is not installed on this machine"):
        SlurmQueue().state("12", TASK)


def test_a_job_is_cancelled(slurm):
    """One that has ended stays as it is; where nobody answers, it is an error."""
    slurm.answer("scancel", errors="scancel: error: Invalid job id 12\n", code=1)
    cancel_job("12")
    slurm.answer("scancel", errors=NO_CONTROLLER, code=1)
    with pytest.raises(UnavailableError, match="Unable to contact"):
        cancel_job("12")
    assert slurm.calls("scancel") == [["12"], ["12"]]


def test_the_name_of_the_cluster(slurm):
    """As the controller says it."""
    assert cluster_name() == "try"
    slurm.answer("scontrol", errors=NO_CONTROLLER, code=1)
    with pytest.raises(UnavailableError, match="scontrol"):
        cluster_name()
