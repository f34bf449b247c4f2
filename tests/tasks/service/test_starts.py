"""Starts that were killed or have failed."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from aisio.errors import ConfigError, StorageError
from aisio.tasks.engines.base import Job
from aisio.tasks.records.locks import locked
from aisio.tasks.service.starts import is_unstarted
from aisio.tasks.states import TaskState
from tests.tasks.fake_engine import FakeEngine
from tests.tasks.places import make_service
from tests.tasks.service.test_train_tasks import make_task


class Killed(BaseException):
    """The process ends here."""


class StoppingEngine(FakeEngine):
    """Its starter is killed, or gets an error, when the engine has the job.

    Args:
        error: What ends the start.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def start(self, job: Job) -> str:
        """Take the job, and end the start."""
        super().start(job)
        raise self.error


class OtherEngine(FakeEngine):
    """Another engine."""

    name = "other"


class LateEngine(FakeEngine):
    """Gets a job after it was withdrawn."""

    def withdraw(self, task_id: str, folder: Path) -> str | None:
        """Note that."""
        (folder / "withdrawn").touch()
        return super().withdraw(task_id, folder)


def killed_start(folder: Path, **more: str) -> str:
    """Return a task that the engine has, and whose starter was killed."""
    service = make_service(folder, StoppingEngine(Killed()))
    row = make_task(service, **more)
    with pytest.raises(Killed):
        service.train_tasks.start(row.id)
    assert is_unstarted(service.train_tasks.get(row.id))
    return row.id


def test_whoever_asks_finds_the_job(tmp_path):
    """Its state and logs are those of the engine, and a start runs nothing more."""
    task_id, engine = killed_start(tmp_path, envs="KEY=s3cret"), FakeEngine()
    tasks = make_service(tmp_path, engine).train_tasks
    assert [row.id for row in tasks.unstarted()] == [task_id]
    (tasks.folder(task_id) / "log").write_text("one\n")
    assert tasks.logs(task_id) == ["one"]
    assert not (tasks.folder(task_id) / "variables.json").exists()
    assert tasks.refresh(task_id).state == TaskState.RUNNING
    assert tasks.start(task_id).state == TaskState.RUNNING
    assert (engine.jobs, tasks.unstarted()) == ([], [])


def test_a_job_that_runs_is_not_ended_by_a_start_that_cannot_be_made(tmp_path):
    """It needs nothing any more of what a start needs."""
    task_id = killed_start(tmp_path)
    tasks = make_service(tmp_path).train_tasks
    shutil.rmtree(tasks.code_folder(task_id))
    shutil.rmtree(tmp_path / "store")
    assert tasks.start(task_id).state == TaskState.RUNNING


def test_a_start_that_goes_on_is_left_alone(tmp_path):
    """The task is not started yet."""
    task_id = killed_start(tmp_path)
    tasks = make_service(tmp_path).train_tasks
    with locked(tmp_path / "home", task_id):
        assert is_unstarted(tasks.refresh(task_id))


def test_an_abort_ends_the_job(tmp_path):
    """Though nobody has recorded that there is one."""
    task_id, engine = killed_start(tmp_path), FakeEngine()
    tasks = make_service(tmp_path, engine).train_tasks
    row = tasks.abort(task_id)
    assert row.state == TaskState.ABORT
    assert row.handle is not None
    assert engine.poll(row.handle).state == TaskState.ABORT
    tasks.delete(task_id)


def test_an_abort_withdraws_a_job_that_the_engine_may_get_yet(tmp_path):
    """Its starter has asked for it, and was killed."""
    service = make_service(tmp_path, LateEngine())
    row = make_task(service)
    service.train_tasks.folder(row.id).mkdir(parents=True)
    row = service.train_tasks.abort(row.id)
    assert (row.state, row.message) == (TaskState.ABORT, "aborted before it was started")
    assert (service.train_tasks.folder(row.id) / "withdrawn").exists()


def test_a_start_that_fails_leaves_no_job(tmp_path):
    """The engine had the job when it failed."""
    engine = StoppingEngine(StorageError("no answer"))
    service = make_service(tmp_path, engine)
    row = make_task(service)
    with pytest.raises(StorageError, match="no answer"):
        service.train_tasks.start(row.id)
    row = service.train_tasks.get(row.id)
    assert (row.state, row.message) == (TaskState.FAIL, "it could not be started: no answer")
    assert row.handle is not None
    assert engine.poll(row.handle).state == TaskState.ABORT


def test_a_job_that_may_be_left_is_a_warning(tmp_path, caplog):
    """The reason of the failure is that of the start."""
    engine = StoppingEngine(StorageError("no answer"))
    service = make_service(tmp_path, engine)
    row = make_task(service)
    engine.unreachable.add(row.id)
    with (
        caplog.at_level(logging.WARNING, "aisio.tasks"),
        pytest.raises(StorageError, match="no answer"),
    ):
        service.train_tasks.start(row.id)
    assert "may have left a job behind: the engine cannot be reached" in caplog.text


def test_another_engine_starts_and_ends_nothing(tmp_path):
    """It would not know whether the first one has the job."""
    task_id, other = killed_start(tmp_path), OtherEngine()
    tasks = make_service(tmp_path, other).train_tasks
    for method in (tasks.start, tasks.abort):
        with pytest.raises(ConfigError, match="is for the engine fake, not other"):
            method(task_id)
    assert is_unstarted(tasks.refresh(task_id))
    assert other.jobs == []
    status = json.loads((tasks.folder(task_id) / "status.json").read_text())
    assert status["state"] == TaskState.RUNNING
