"""Jobs and handles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aisio import ConfigError
from aisio.tasks.engines.base import Job, read_handle


def job(**changes: Any) -> Job:
    """Return a job that runs `true`, with changes."""
    arguments = {"task_id": "TRAI1", "argv": ("true",), "cwd": Path(), "folder": Path("task")}
    return Job(**{**arguments, **changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"task_id": ""}, "task_id"),
        ({"argv": ()}, "program"),
        ({"argv": ("",)}, "program"),
        ({"argv": ("a", "b\0c")}, "NUL"),
        ({"env": {"A": "b\0c"}}, "NUL"),
        ({"num_nodes": 0}, "num_nodes=0"),
        ({"nproc_per_node": -1}, "nproc_per_node=-1"),
        ({"max_restarts": -1}, "max_restarts=-1"),
        ({"resources": {"gpu": 1}}, "gpus and cpus, not gpu"),
    ],
)
def test_a_job_that_cannot_work_is_refused(changes, named):
    """The text names what is wrong."""
    with pytest.raises(ConfigError, match=named):
        job(**changes)


def test_a_job_shows_no_value_of_its_environment():
    """The secret of a task is one."""
    assert "hidden" not in repr(job(env={"secret_key": "hidden"}))


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"engine": "ray"}'])
def test_a_handle_of_another_engine_is_refused(text):
    """A record may name the wrong engine, or be damaged."""
    with pytest.raises(ConfigError, match="not a handle of the engine local"):
        read_handle(text, "local")
