"""The two ends of a job of SlurmEngine; test_slurm.py runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="needs submitit")

from aisio.tasks.engines.slurm_job import node_result_file


def test_each_node_has_a_file_for_its_exit_code():
    """They are in the task's folder, which all nodes share."""
    assert node_result_file(Path("/task"), 3) == Path("/task/node-3.json")
