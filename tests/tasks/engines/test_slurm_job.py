"""The two ends of a job of SlurmEngine; test_slurm.py runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="needs submitit")

from aisio.tasks.engines.node import ABORTED
from aisio.tasks.engines.slurm_job import node_result_file, run_slurm_node
from aisio.tasks.engines.task_files import TaskFiles


def test_each_node_has_a_file_for_its_exit_code():
    """They are in the task's folder, which all nodes share."""
    assert node_result_file(Path("/task"), 3) == Path("/task/node-3.json")


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
