"""SlurmEngine: jobs by submitit, here by its local executor."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="needs submitit")
pytest.importorskip("torch", reason="needs torch")

if sys.platform != "linux":
    pytest.skip("tasks run on Linux alone", allow_module_level=True)

from aisio import ConfigError, StorageError
from aisio.tasks.engines.base import Status
from aisio.tasks.engines.processes import find_processes, send_signal
from aisio.tasks.engines.slurm import SlurmEngine
from aisio.tasks.states import TaskState
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
