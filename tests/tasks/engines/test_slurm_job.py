"""The two ends of a job of SlurmEngine; test_slurm.py runs them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("submitit", reason="needs submitit")

from aisio.tasks.engines.base import Status
from aisio.tasks.engines.node import ABORTED
from aisio.tasks.engines.slurm_job import run_slurm_job, run_slurm_node
from aisio.tasks.engines.slurm_nodes import node_codes
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState


def test_a_job_that_is_submitted_already_is_not_submitted_again(tmp_path):
    """Its first starter was killed after that, and the second did not know."""
    assert TaskFiles(tmp_path).write_handle({"engine": "slurm", "task_id": "TRAI1"})
    request = {
        "folder": str(tmp_path),
        "cluster": "local",
        "parameters": {},
        "handle": {"mark": ""},
    }
    subprocess.run(
        [sys.executable, "-m", "aisio.tasks.engines.slurm_job"],
        input=json.dumps(request).encode(),
        check=True,
    )
    assert not (tmp_path / "submitit").exists()


def test_any_37_a_job_leaves_the_task_to_the_one_that_is_recorded(tmp_path, monkeypatch):
    """Its submission was killed, and another one has submitted the task again."""
    handle = {"engine": "slurm", "task_id": "TRAI1"}
    TaskFiles(tmp_path).write_handle({**handle, "job_id": "16"})
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "17")
    assert run_slurm_node(tmp_path, "m", handle) == ABORTED
    assert [file.name for file in tmp_path.iterdir()] == ["handle.json"]


def on_slurm(monkeypatch, job_id: str = "12", node: int = 0) -> None:
    """Have this process be a node of a job of Slurm."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SLURM_JOB_ID", job_id)
    monkeypatch.setenv("SLURM_NODEID", str(node))


def test_slurm_learns_the_exit_code(tmp_path, monkeypatch):
    """A job that failed and is COMPLETED in Slurm would start those that wait for its success."""
    (tmp_path / "abort").touch()
    on_slurm(monkeypatch)
    with pytest.raises(SystemExit) as ended:
        run_slurm_job(tmp_path, "m", {"engine": "slurm", "task_id": "TRAI1"})
    assert ended.value.code == 143
    assert node_codes(tmp_path, 1) == [ABORTED]


def test_a_job_that_is_requeued_after_its_task_has_ended_runs_nothing(tmp_path, monkeypatch):
    """Its end is on record, and others read it."""
    TaskFiles(tmp_path).settle(Status(TaskState.FAIL, 3, "exit code 3"))
    on_slurm(monkeypatch)
    assert run_slurm_node(tmp_path, "m", {"engine": "slurm", "task_id": "TRAI1"}) == ABORTED
    assert node_codes(tmp_path, 1) == []


def test_a_parameter_that_submitit_does_not_know(tmp_path):
    """The error names it, in one line."""
    request = {
        "folder": str(tmp_path),
        "cluster": "local",
        "parameters": {"slurm_nope": 1},
        "handle": {"mark": ""},
    }
    done = subprocess.run(
        [sys.executable, "-m", "aisio.tasks.engines.slurm_job"],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"slurm_nope" in done.stderr
