"""What engines have in common that keep all of a task in its folder; test_local.py has the rest."""

from __future__ import annotations

from pathlib import Path

from aisio.tasks.engines.base import Job
from aisio.tasks.engines.folder_engine import task_environment


def test_a_job_may_change_what_every_task_has():
    """As where its metrics go."""
    env = {"AISIO_TASK_METRICS": "http://server", "DSET1": "/data"}
    job = Job("TRAI1", ("true",), Path(), Path(), env=env)
    assert task_environment(job, Path("/task")) == {
        "task_id": "TRAI1",
        "AISIO_TASK_METRICS": "http://server",
        "PYTHONUNBUFFERED": "1",
        "DSET1": "/data",
    }
