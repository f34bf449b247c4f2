"""TrainTask: what can be asked about a task."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from aisio.tasks.errors import TaskStateError
from aisio.tasks.objects.train_task import TrainTask
from aisio.tasks.quickstart import quick_train
from aisio.tasks.service.service import TaskService, configure
from aisio.tasks.states import TaskState
from tests.tasks.fake_engine import FakeEngine
from tests.tasks.places import PROGRAM, make_service, write_code

TRAINS = """
import pathlib
from aisio.tasks import report_final_metric, report_intermediate_metric
for number in range(3):
    print("epoch", number)
    report_intermediate_metric(number)
report_final_metric(0.9)
pathlib.Path("out/sub").mkdir(parents=True)
pathlib.Path("out/sub/w.pt").write_bytes(b"weights")
"""


@pytest.fixture
def service(tmp_path) -> Iterator[TaskService]:
    """Have a new service for this process, whose engine runs programs."""
    service = make_service(tmp_path, FakeEngine(runs=True))
    configure(service)
    yield service
    configure(None)


def test_what_a_task_leaves_behind(tmp_path, service):
    """Logs, metrics and results."""
    code = write_code(tmp_path / "code", TRAINS)
    task, algorithm, *_ = quick_train(algorithm_dir=code, entrypoint=PROGRAM, output="out")
    lines = ["epoch 0", "epoch 1", "epoch 2"]
    assert task.wait() == task.get_status() == TaskState.SUCCESS
    assert task.finished()
    assert task.get_full_log() == list(task.stream_log()) == lines
    assert task.get_last_log(2) == lines[1:]
    assert task.get_log(1, "forward", 1) == task.get_log(1, "backward", 2) == lines[1:2]
    assert task.get_final_metric() == 0.9
    assert [one.value for one in task.get_intermediate_metric()] == [0, 1, 2]
    later = datetime.now() + timedelta(days=1)
    for time in (later, later.timestamp(), str(later)):
        assert task.get_intermediate_metric(time) == []
    (tmp_path / "results").mkdir()
    with zipfile.ZipFile(task.download_results(tmp_path / "results")) as archive:
        assert archive.read("sub/w.pt") == b"weights"
    model = task.transform_model("sub/w.pt", "weights")
    assert (model.algorithm_id, model.size) == (algorithm.id, 7)
    profile = task.get_train_profile()
    assert profile is not None
    assert profile.entrypoint == PROGRAM
    assert [one.id for one in TrainTask.get_list()] == [task.id]
    assert TrainTask(task.id, load_detail=True).results_id == task.get_results_file().id
    assert service.train_tasks.get(str(task.id)).exit_code == 0


def test_a_task_that_runs_is_asked_aborted_and_deleted(tmp_path):
    """And takes metrics from the user who started it."""
    service = make_service(tmp_path)
    code = write_code(tmp_path / "code")
    task, *_ = quick_train(algorithm_dir=code, entrypoint=PROGRAM, service=service)
    with pytest.raises(TimeoutError, match="RUNNING"):
        task.wait(timeout_s=0, polling=0)
    with pytest.raises(TaskStateError, match="not SUCCESS"):
        task.transform_model("x", "x")
    assert task.report_intermediate_metric(1)
    assert task.report_final_metric(2)
    assert task.get_final_metric() == 2
    with pytest.raises(TaskStateError, match="abort it first"):
        task.delete()
    assert task.abort()
    assert task.state == TaskState.ABORT
    assert task.delete(force=True)
    assert task.get_status() == TaskState.DELETED


def test_an_attribute_that_is_misspelt():
    """Is an error, as it is for any class."""
    with pytest.raises(TypeError, match="train_params_delimiter"):
        TrainTask(train_params_delimiter="=")


def test_a_task_can_be_made_by_hand(tmp_path, service):
    """As the vendor's programs do."""
    code = write_code(tmp_path / "code")
    first, *_ = quick_train(algorithm_dir=code, entrypoint=PROGRAM, hyperparams={"lr": 1})
    task = TrainTask(
        name="again",
        project_id=first.project_id,
        algorithm_id=first.algorithm_id,
        train_params=first.train_params,
        entrypoint=first.entrypoint,
    )
    assert task.save()
    assert task.get_status() == TaskState.SUCCESS
    assert task.id != first.id
    assert service.train_tasks.get(str(task.id)).algorithm_git_ref == first.algorithm_git_ref
