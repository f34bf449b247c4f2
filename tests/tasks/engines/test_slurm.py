"""SlurmEngine: jobs by submitit, here by its local executor."""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="needs submitit")
pytest.importorskip("torch", reason="needs torch")

if sys.platform != "linux":
    pytest.skip("tasks run on Linux alone", allow_module_level=True)

import submitit

from aisio import ConfigError, StorageError, UnavailableError
from aisio.tasks.engines.base import Status
from aisio.tasks.engines.node import write_job
from aisio.tasks.engines.processes import end_processes, find_processes, send_signal
from aisio.tasks.engines.slurm import SlurmEngine
from aisio.tasks.engines.slurm_job import run_slurm_node
from aisio.tasks.engines.slurm_nodes import record_node
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState
from tests.tasks.engines.fake_slurm import (
    NO_CONTROLLER,
    NO_CONTROLLER_TO_CANCEL,
    NO_PARTITION,
    UNKNOWN_JOB,
    FakeSlurm,
)
from tests.tasks.engines.killed_starter import counting_job, runs, start_and_kill
from tests.tasks.engines.programs import WAITS, finish, python_job, wait_for

PLACE = """
import os
print(os.environ["LOCAL_RANK"], os.environ["WORLD_SIZE"], os.environ["DSET1"], flush=True)
raise SystemExit(int(os.environ["RANK"]) * 5)
"""


def processes(folder: Path) -> list[int]:
    """Return the processes of a task."""
    handle = json.loads((folder / "task" / "handle.json").read_text())
    return [process.pid for process in find_processes(handle["mark"])]


def test_two_processes_by_the_local_executor(tmp_path):
    """They find their places and mounts; the exit code is that of the one that failed."""
    engine = SlurmEngine("local")
    env = {"DSET1": "/data/x", "secret_key": "s3cret-value"}
    handle = engine.start(python_job(tmp_path, PLACE, nproc_per_node=2, env=env))
    status, lines = finish(engine, handle)
    assert status == Status(TaskState.FAIL, 5, "exit code 5"), lines
    assert {"[0] 0 2 /data/x", "[1] 1 2 /data/x"} <= set(lines)
    assert engine.start(python_job(tmp_path, PLACE)) == handle, "it is not started again"
    files = [file for file in (tmp_path / "task").rglob("*") if file.is_file()]
    assert not [file for file in files if b"s3cret-value" in file.read_bytes()]


def test_abort_ends_all_processes(tmp_path):
    """Also when asked by another engine object."""
    handle = SlurmEngine("local").start(python_job(tmp_path, WAITS))
    wait_for(SlurmEngine("local").follow(handle), "[0] started")
    assert SlurmEngine().poll(handle) == Status(TaskState.RUNNING)
    assert SlurmEngine().abort(handle) == Status(TaskState.ABORT, None, "aborted")
    assert processes(tmp_path) == []


def test_a_job_whose_processes_were_all_killed_has_failed(tmp_path):
    """Nobody could record an exit code."""
    engine = SlurmEngine("local")
    handle = engine.start(python_job(tmp_path, WAITS))
    wait_for(engine.follow(handle), "[0] started")
    mark = json.loads((tmp_path / "task" / "handle.json").read_text())["mark"]
    while left := find_processes(mark):
        for process in left:
            send_signal(process, signal.SIGKILL)
    status = engine.poll(handle)
    assert (status.state, status.exit_code) == (TaskState.FAIL, None)
    assert status.message.startswith("its processes ended without an exit code")


def test_a_code_that_is_written_while_its_processes_are_looked_for_counts(tmp_path, monkeypatch):
    """A node ends between the two."""
    engine = SlurmEngine("local")
    handle = engine.start(python_job(tmp_path, WAITS))
    wait_for(engine.follow(handle), "[0] started")
    folder = tmp_path / "task"

    def ends_meanwhile(mark):
        record_node(folder, 0, 0, 7)
        return []

    with monkeypatch.context() as patch:
        patch.setattr("aisio.tasks.engines.processes.find_processes", ends_meanwhile)
        assert engine.poll(handle) == Status(TaskState.FAIL, 7, "exit code 7")
    end_processes(json.loads((folder / "handle.json").read_text())["mark"], grace_s=1)


def test_what_cannot_work_is_refused(tmp_path):
    """Before anything is submitted."""
    with pytest.raises(ConfigError, match="cluster='pbs'"):
        SlurmEngine("pbs")
    with pytest.raises(ConfigError, match="nodes= cannot be set"):
        SlurmEngine(nodes=2)
    with pytest.raises(ConfigError, match="num_nodes=2"):
        SlurmEngine("local").start(python_job(tmp_path, "", num_nodes=2))


def test_a_machine_without_slurm_is_an_error(tmp_path, monkeypatch):
    """The text has submitit's reason."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StorageError, match="TRAI1 could not be submitted: .*srun"):
        SlurmEngine().start(python_job(tmp_path, ""))


def test_what_slurm_is_asked_for(tmp_path):
    """Own parameters win."""
    job = python_job(tmp_path, "", num_nodes=2, resources={"gpus": 4, "cpus": 8}, max_restarts=1)
    assert SlurmEngine(
        slurm_partition="gpu", timeout_min=60, slurm_additional_parameters={"hold": True}
    )._parameters(job) == {
        "name": "TRAI1",
        "nodes": 2,
        "tasks_per_node": 1,
        "timeout_min": 60,
        "slurm_signal_delay_s": 0,
        "cpus_per_task": 8,
        "gpus_per_node": 4,
        "slurm_partition": "gpu",
        "slurm_additional_parameters": {"requeue": True, "hold": True},
        "slurm_srun_args": ["--kill-on-bad-exit=1", "--cpus-per-task=8"],
    }


def test_any_37_a_starter_is_killed_before_the_job_is_submitted(tmp_path):
    """Another one submits it: it runs once."""
    submission = start_and_kill(tmp_path, "slurm", "aisio.tasks.engines.slurm_job")
    engine, job = SlurmEngine("local"), counting_job(tmp_path)
    assert engine.find(job.task_id, job.folder) is None
    handle = engine.start(job)
    submission.run_to_end()
    assert engine.find(job.task_id, job.folder) == handle
    assert finish(engine, handle)[0] == Status(TaskState.SUCCESS, 0)
    assert runs(tmp_path) == 1


def test_any_37_a_submission_is_withdrawn(tmp_path):
    """What comes late submits nothing."""
    submission = start_and_kill(tmp_path, "slurm", "aisio.tasks.engines.slurm_job")
    engine, job = SlurmEngine("local"), counting_job(tmp_path)
    assert engine.withdraw(job.task_id, job.folder) is None
    submission.run_to_end()
    assert engine.find(job.task_id, job.folder) is None
    assert not (job.folder / "submitit").exists()


def test_any_37_a_submission_is_killed_before_it_has_recorded_its_job(tmp_path):
    """The job records itself, and is not submitted again."""
    engine, job = SlurmEngine("local"), counting_job(tmp_path)
    job.folder.mkdir()
    write_job(job, TaskFiles(job.folder))
    executor = submitit.AutoExecutor(job.folder / "submitit", cluster="local")
    handle = {
        **{"engine": "slurm", "task_id": job.task_id, "cluster": "local", "mark": "m-orphan"},
        **{"host": socket.gethostname(), "num_nodes": 1},
    }
    orphan = executor.submit(run_slurm_node, job.folder, "m-orphan", handle)
    assert orphan.result() == 0
    found = engine.find(job.task_id, job.folder)
    assert found is not None
    assert engine.poll(found) == Status(TaskState.SUCCESS, 0)
    assert engine.start(job) == found
    assert runs(tmp_path) == 1


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> FakeSlurm:
    """A Slurm that answers what it is told to."""
    fake = FakeSlurm(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(fake.folder))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return fake


def submitted(folder: Path, **changes: object) -> str:
    """Submit a job of two nodes; return its handle."""
    return SlurmEngine().start(python_job(folder, "", num_nodes=2, **changes))


def test_the_job_gets_its_variables_and_no_mark(tmp_path, slurm, monkeypatch):
    """With the mark, srun would be ended together with the first node."""
    monkeypatch.setenv("SBATCH_EXPORT", "NONE")
    monkeypatch.setenv("AISIO_TASK_RUN", "of-the-task-that-starts-this-one")
    submitted(tmp_path, env={"DSET1": "/data/x y"})
    environment = slurm.environment()
    assert environment["DSET1"] == "/data/x y"
    assert environment["SBATCH_EXPORT"] == "ALL"
    assert "AISIO_TASK_RUN" not in environment
    handle = json.loads((tmp_path / "task/handle.json").read_text())
    assert (handle["job_id"], handle["cluster_name"]) == ("12", "try")


def test_a_job_that_a_job_submits_has_its_own_shape(tmp_path, slurm, monkeypatch):
    """Its srun takes defaults from the variables of the job that it runs in."""
    outer = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "5", "SLURM_CONF": "/site/slurm.conf"}
    for name, value in outer.items():
        monkeypatch.setenv(name, value)
    submitted(tmp_path)
    names = {name for name in slurm.environment() if name.startswith("SLURM")}
    assert names == {"SLURM_CONF"}


def test_a_partition_that_does_not_exist_is_an_error_of_one_line(tmp_path, slurm):
    """It is what sbatch says."""
    slurm.answer("sbatch", errors=NO_PARTITION, code=1)
    with pytest.raises(StorageError) as error:
        submitted(tmp_path)
    assert str(error.value) == (
        "task TRAI1 could not be submitted: invalid partition specified: nope; "
        "Batch job submission failed: Invalid partition name specified"
    )


@pytest.mark.parametrize(
    ("codes", "state", "reason", "expected"),
    [
        ([], "PENDING", "None", Status(TaskState.CREATED, None, "waits in Slurm")),
        ([], "PENDING", "Priority", Status(TaskState.CREATED, None, "waits in Slurm: Priority")),
        ([], "RUNNING", "None", Status(TaskState.CREATED)),
        ([None, None], "RUNNING", "None", Status(TaskState.RUNNING)),
        ([3, None], "COMPLETING", "None", Status(TaskState.RUNNING)),
        ([None], "SUSPENDED", "None", Status(TaskState.RUNNING, None, "in Slurm: SUSPENDED")),
        (
            [143, 1],
            "PENDING",
            "BeginTime",
            Status(TaskState.CREATED, None, "waits in Slurm: BeginTime"),
        ),
        ([3, None], "FAILED", "NonZeroExitCode", Status(TaskState.FAIL, 3, "exit code 3")),
        ([None, None], "COMPLETED", "None", Status(TaskState.SUCCESS, 0)),
        ([None], "CANCELLED", "None", Status(TaskState.ABORT, None, "cancelled in Slurm")),
        (
            [143, 143],
            "TIMEOUT",
            "TimeLimit",
            Status(TaskState.FAIL, 143, "Slurm ended it: TIMEOUT, TimeLimit"),
        ),
        (
            [143, None],
            "NODE_FAIL",
            "NodeDown",
            Status(TaskState.FAIL, 143, "Slurm ended it: NODE_FAIL, NodeDown"),
        ),
    ],
)
def test_the_state_of_a_job(tmp_path, slurm, codes, state, reason, expected):
    """It is what the nodes and Slurm say together; an end is recorded."""
    handle = submitted(tmp_path)
    for node, code in enumerate(codes):
        record_node(tmp_path / "task", node, 0, code)
    slurm.has_job(tmp_path / "task", state, reason)
    assert SlurmEngine().poll(handle) == expected
    slurm.answer("squeue", errors=UNKNOWN_JOB, code=1)
    if expected.state.finished:
        assert SlurmEngine().poll(handle) == expected


def test_the_nodes_are_enough_to_know_of_success(tmp_path, slurm):
    """Slurm is not asked."""
    handle = submitted(tmp_path)
    for node in range(2):
        record_node(tmp_path / "task", node, 0, 0)
    assert SlurmEngine().poll(handle) == Status(TaskState.SUCCESS, 0)
    assert slurm.calls("squeue") == []


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (
            [],
            Status(
                TaskState.FAIL,
                None,
                "Slurm does not know its job 12 any more: the exit code is not known",
            ),
        ),
        ([None, 3], Status(TaskState.FAIL, 3, "exit code 3")),
    ],
)
def test_a_job_that_slurm_has_forgotten_has_ended(tmp_path, slurm, codes, expected):
    """A cluster without accounting forgets it soon; submitit has it UNKNOWN for ever."""
    handle = submitted(tmp_path)
    for node, code in enumerate(codes):
        record_node(tmp_path / "task", node, 0, code)
    slurm.answer("squeue", errors=UNKNOWN_JOB, code=1)
    assert SlurmEngine().poll(handle) == expected


def test_another_cluster_cannot_know_the_job(tmp_path, slurm):
    """Two clusters may share a file system: the job has not ended because one does not know it."""
    handle = submitted(tmp_path)
    slurm.answer("squeue", errors=UNKNOWN_JOB, code=1)
    slurm.answer("scontrol", "ClusterName             = other\n")
    status = SlurmEngine().poll(handle)
    assert status.state == TaskState.CREATED
    assert "job 12 is one of the cluster try, and this machine asks other" in status.message


def test_a_controller_that_is_down_has_not_ended_the_job(tmp_path, slurm):
    """The task stays as its nodes have it, also where all of them have failed."""
    handle = submitted(tmp_path)
    slurm.answer("squeue", errors=NO_CONTROLLER, code=1)
    text = f"Slurm does not answer: squeue: {NO_CONTROLLER}"
    assert SlurmEngine().poll(handle) == Status(TaskState.CREATED, None, text)
    for node in range(2):
        record_node(tmp_path / "task", node, 0, 143)
    assert SlurmEngine().poll(handle) == Status(TaskState.RUNNING, None, text)


def test_a_job_that_waits_is_aborted(tmp_path, slurm):
    """Slurm is told at once."""
    handle = submitted(tmp_path)
    slurm.has_job(tmp_path / "task", "PENDING", "JobHeldUser")
    slurm.on_cancel(tmp_path / "task")
    assert SlurmEngine().abort(handle) == Status(TaskState.ABORT, None, "aborted")
    assert slurm.calls("scancel") == [["12"]]


def test_a_job_that_runs_is_aborted_while_the_controller_is_down(tmp_path, slurm):
    """Its nodes read the request, and say that they have ended."""
    handle = submitted(tmp_path)
    for node in range(2):
        record_node(tmp_path / "task", node, 0, -1)
    slurm.answer("squeue", errors=NO_CONTROLLER, code=1)
    assert SlurmEngine().abort(handle) == Status(TaskState.ABORT, None, "aborted")


def test_a_job_that_waits_cannot_be_aborted_while_the_controller_is_down(tmp_path, slurm):
    """The error says so, and is no endless wait."""
    handle = submitted(tmp_path)
    slurm.answer("squeue", errors=NO_CONTROLLER, code=1)
    slurm.answer("scancel", errors=NO_CONTROLLER_TO_CANCEL, code=1)
    with pytest.raises(UnavailableError, match="its job 12 could not be cancelled: .*connect fail"):
        SlurmEngine().abort(handle)
