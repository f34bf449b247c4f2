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

from aisio import ConfigError, StorageError
from aisio.tasks.engines.base import Status
from aisio.tasks.engines.node import write_job
from aisio.tasks.engines.processes import find_processes, send_signal
from aisio.tasks.engines.slurm import SlurmEngine
from aisio.tasks.engines.slurm_job import run_slurm_node
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState
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
    assert engine.poll(handle) == Status(TaskState.FAIL, None, "Slurm ended it: ENDED")


def test_what_cannot_work_is_refused(tmp_path):
    """Before anything is submitted."""
    with pytest.raises(ConfigError, match="cluster='pbs'"):
        SlurmEngine("pbs")
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
    assert SlurmEngine(slurm_partition="gpu", timeout_min=60)._parameters(job) == {
        "name": "TRAI1",
        "nodes": 2,
        "tasks_per_node": 1,
        "timeout_min": 60,
        "cpus_per_task": 8,
        "gpus_per_node": 4,
        "slurm_partition": "gpu",
        "slurm_additional_parameters": {"requeue": True},
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
