"""One node of a job on a cluster."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch")

from aisio.tasks.engines.log_files import follow_lines
from aisio.tasks.engines.node import ABORTED, read_job, run_node, write_job
from aisio.tasks.engines.processes import find_processes
from aisio.tasks.engines.task_files import TaskFiles
from tests.tasks.engines.programs import WAITS, python_job, wait_for

if sys.platform != "linux":
    pytest.skip("tasks run on Linux alone", allow_module_level=True)


def test_a_job_is_written_without_its_environment(tmp_path):
    """Secrets are in it."""
    files = TaskFiles(tmp_path)
    job = python_job(tmp_path, "code", num_nodes=2, env={"secret_key": "s3cret-value"})
    write_job(job, files)
    assert read_job(files)["argv"] == [sys.executable, "-c", "code"]
    assert read_job(files)["num_nodes"] == 2
    assert "s3cret-value" not in (tmp_path / "job.json").read_text()


def test_an_aborted_node_ends_its_processes(tmp_path):
    """Those that ask for it may be on another machine: they leave a file."""
    files = TaskFiles(tmp_path)
    write_job(python_job(tmp_path, WAITS), files)
    with ThreadPoolExecutor(1) as pool:
        node = pool.submit(run, tmp_path)
        wait_for(follow_lines(files.outputs, node.done), "[0] started")
        files.abort_request.touch()
        assert node.result() == ABORTED
    assert [found for found in find_processes("m-node") if found.pid != os.getpid()] == []


def test_a_node_that_is_aborted_before_starts_nothing(tmp_path):
    """The task was aborted when its job had not begun."""
    TaskFiles(tmp_path).abort_request.touch()
    assert run(tmp_path) == ABORTED
    assert TaskFiles(tmp_path).outputs() == []


def run(folder: Path) -> int:
    """Run a node."""
    return run_node(folder, 0, rendezvous="127.0.0.1:0", run_id="x", mark="m-node", grace_s=1.0)
