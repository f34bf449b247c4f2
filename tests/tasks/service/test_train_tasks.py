"""Train tasks: made, started once, asked about, ended."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from aisio.errors import AccessError, ConfigError, NotFoundError, StorageError
from aisio.tasks.algorithm_sync import sync_algorithm
from aisio.tasks.engines.base import Job, Status
from aisio.tasks.errors import InvalidArguments, TaskStateError
from aisio.tasks.metrics import Metric
from aisio.tasks.service.rows import RequestRow, TrainTaskRow
from aisio.tasks.service.secrets import secret_of
from aisio.tasks.service.service import TaskService
from aisio.tasks.service.train_tasks import SAME_REQUEST_S
from aisio.tasks.states import TaskState
from tests.tasks.fake_engine import FakeEngine
from tests.tasks.places import PROGRAM, make_service, write_code

FAILS = "import sys\nprint('one')\nprint('two')\nsys.exit(3)\n"
WRITES = "import pathlib\npathlib.Path('out').mkdir()\npathlib.Path('out/w.pt').write_bytes(b'1')\n"


class BrokenEngine(FakeEngine):
    """An engine that starts nothing."""

    def start(self, job: Job) -> str:
        """Fail."""
        raise StorageError("no machine is free")


class ForgetfulEngine(FakeEngine):
    """An engine whose cluster may be set up anew."""

    forgets = False

    def poll(self, handle: str) -> Status:
        """Ask; after the change there is no such job."""
        if self.forgets:
            raise NotFoundError("the cluster does not know it")
        return super().poll(handle)


def make_task(service: TaskService, program: str = "", **more: Any) -> TrainTaskRow:
    """Make a task, which is not started."""
    home = service.settings.home
    code = write_code(home.parent / "code", program)
    algorithm, _ = sync_algorithm(name="a", dir_path=code, service=service)
    values = {"name": "t", "entrypoint": PROGRAM} | more
    project = service.projects.default()
    return service.train_tasks.create(
        project_id=project.id, algorithm_id=str(algorithm.id), **values
    )


def test_a_task_is_started_once(tmp_path):
    """By whomever, and how often."""
    engine = FakeEngine()
    service = make_service(tmp_path, engine)
    row = make_task(service)
    assert (row.state, row.handle) == (TaskState.CREATED, None)
    started = service.train_tasks.start(row.id)
    assert started.state == TaskState.RUNNING
    assert make_service(tmp_path, engine).train_tasks.start(row.id) == started
    assert len(engine.jobs) == 1
    assert engine.jobs[0].argv == (sys.executable, "train.py")


def test_a_task_that_cannot_be_started_says_why(tmp_path):
    """It is in FAIL, for everybody who asks."""
    service = make_service(tmp_path, BrokenEngine())
    row = make_task(service)
    with pytest.raises(StorageError, match="no machine"):
        service.train_tasks.start(row.id)
    row = service.train_tasks.get(row.id)
    assert (row.state, row.handle) == (TaskState.FAIL, None)
    assert row.message == "it could not be started: no machine is free"


def test_the_exit_code_decides_and_logs_stay(tmp_path):
    """A failure is one."""
    service = make_service(tmp_path, FakeEngine(runs=True))
    row = service.train_tasks.start(make_task(service, FAILS).id)
    assert (row.state, row.exit_code) == (TaskState.FAIL, 3)
    assert row.finish_time is not None
    tasks = service.train_tasks
    assert tasks.logs(row.id) == list(tasks.follow(row.id)) == ["one", "two"]
    assert tasks.logs(row.id, 1) == ["two"]


def test_a_task_is_aborted_and_deleted(tmp_path):
    """One that runs is not deleted; one that has ended stays as it ended."""
    service = make_service(tmp_path)
    tasks = service.train_tasks
    row = tasks.start(make_task(service).id)
    with pytest.raises(TaskStateError, match="abort it first"):
        tasks.delete(row.id)
    assert tasks.users_of(row.algorithm_id) == [row.id]
    assert tasks.abort(row.id).state == TaskState.ABORT
    assert tasks.abort(row.id).state == TaskState.ABORT
    assert tasks.users_of(row.algorithm_id) == []
    tasks.delete(row.id)
    assert tasks.get(row.id).state == TaskState.DELETED
    assert not tasks.folder(row.id).exists()
    with pytest.raises(TaskStateError, match="was deleted"):
        tasks.report_metric(row.id, Metric(1.0, 0.0))


def test_why_a_task_waits_is_recorded_as_it_changes(tmp_path):
    """As that its cluster does not answer, and then that it does."""
    service = make_service(tmp_path)
    tasks = service.train_tasks
    row = tasks.start(make_task(service).id)
    assert row.handle is not None
    for message in ("Slurm does not answer", ""):
        service.engine.finish(row.handle, TaskState.RUNNING, message=message)  # type: ignore[attr-defined]
        assert tasks.refresh(row.id).message == message


def test_one_that_the_engine_has_lost_can_be_aborted_and_deleted(tmp_path):
    """As after a cluster was set up anew. Until then its state is the last known."""
    service = make_service(tmp_path, ForgetfulEngine())
    tasks = service.train_tasks
    row = tasks.start(make_task(service).id)
    service.engine.forgets = True  # type: ignore[attr-defined]
    with pytest.raises(NotFoundError, match="does not know it"):
        tasks.refresh(row.id)
    assert tasks.get(row.id).state == TaskState.RUNNING
    assert tasks.abort(row.id).message == "aborted: the cluster does not know it"
    tasks.delete(row.id)


@pytest.mark.parametrize("task_id", ["../../evil", "a\0b", ""])
def test_an_id_is_not_a_path(tmp_path, task_id):
    """Nothing is made for one that is not known."""
    service = make_service(tmp_path)
    with pytest.raises(NotFoundError):
        service.train_tasks.abort(task_id)
    assert not (tmp_path / "evil").exists()


def test_one_that_was_not_started_can_be_aborted(tmp_path):
    """And is not started any more."""
    service = make_service(tmp_path)
    row = make_task(service)
    assert service.train_tasks.abort(row.id).state == TaskState.ABORT
    assert service.train_tasks.start(row.id).state == TaskState.ABORT


def test_metrics_need_the_tasks_secret(tmp_path):
    """Or the user who started it; they can be read since a time."""
    service = make_service(tmp_path)
    tasks, row = service.train_tasks, make_task(service)
    secret = secret_of(row.id, service.settings.home)
    tasks.report_metric(row.id, Metric(0.5, 10.0), secret)
    tasks.report_metric(row.id, Metric(0.7, 20.0))
    tasks.report_metric(row.id, Metric(0.9, 30.0, final=True), secret)
    assert [one.value for one in tasks.metrics(row.id, since=10.0, final=False)] == [0.7]
    assert tasks.get(row.id).final_metric == 0.9
    with pytest.raises(AccessError, match="secret is not that"):
        tasks.report_metric(row.id, Metric(1.0, 40.0), "0" * 32)
    with pytest.raises(AccessError):
        make_service(tmp_path, user="bob").train_tasks.report_metric(row.id, Metric(1.0, 40.0))


def test_results_are_kept_once(tmp_path):
    """And parts of them become models."""
    service = make_service(tmp_path, FakeEngine(runs=True))
    tasks = service.train_tasks
    row = tasks.start(make_task(service, WRITES, output="out").id)
    file = tasks.results(row.id)
    assert tasks.results(row.id).id == file.id
    assert [one.name for one in service.resources.tree(file.id).files] == ["w.pt"]
    model = tasks.model_of_results(row.id, "w.pt", "weights")
    assert (model.kind, model.algorithm_id, model.size) == ("model", row.algorithm_id, 1)
    with pytest.raises(NotFoundError, match=r"no file 'x\.pt'"):
        tasks.model_of_results(row.id, "x.pt", "weights")
    tasks.delete(row.id)
    with pytest.raises(NotFoundError):
        service.resources.get(file.id)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"entrypoint": ""}, ConfigError),
        ({"entrypoint": "python 'x"}, ConfigError),
        ({"train_params": "[1]"}, InvalidArguments),
        ({"train_params": '{"a": {"b": 1}}'}, ConfigError),
        ({"num_nodes": 0}, InvalidArguments),
        ({"envs": "A"}, InvalidArguments),
        ({"output": "../../home"}, InvalidArguments),
        ({"output": "."}, InvalidArguments),
        ({"files": "DSET1"}, NotFoundError),
        ({"algorithm_git_ref": "v9"}, NotFoundError),
    ],
)
def test_what_cannot_run_is_not_made(tmp_path, more, error):
    """It is refused before there is a row."""
    service = make_service(tmp_path)
    with pytest.raises(error):
        make_task(service, **more)
    assert service.train_tasks.all() == []


class SlowStart(FakeEngine):
    """An engine whose starter is killed before it has a handle."""

    def start(self, job: Job) -> str:
        """Do not come back."""
        raise KeyboardInterrupt


def test_values_of_variables_are_in_no_record(tmp_path):
    """A start that was killed has them still; one that was made keeps no file."""
    service = make_service(tmp_path, SlowStart())
    row = make_task(service, envs="KEY=s3cret")
    assert row == service.train_tasks.get(row.id)
    assert row.envs == "KEY=***"
    with pytest.raises(KeyboardInterrupt):
        service.train_tasks.start(row.id)
    engine = FakeEngine()
    again = make_service(tmp_path, engine).train_tasks
    again.start(row.id)
    assert engine.jobs[0].env["KEY"] == "s3cret"
    aborted = make_task(make_service(tmp_path / "other"), envs="KEY=s3cret")
    tasks = make_service(tmp_path / "other").train_tasks
    assert tasks.abort(aborted.id).envs == "KEY=***"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"s3cret" not in path.read_bytes(), path
    with pytest.raises(InvalidArguments, match="value of KEY is not recorded"):
        make_task(make_service(tmp_path / "third"), envs="KEY=***")


def test_a_task_is_found_by_the_request_that_made_it(tmp_path):
    """For a while."""
    tasks = make_service(tmp_path).train_tasks
    row = make_task(make_service(tmp_path), digest="d1")
    assert tasks.of_request("d1") == row
    assert tasks.of_request("d2") is None
    registry = tasks._registry
    (request,) = registry.find(RequestRow)
    registry.update(request, time=request.time - SAME_REQUEST_S)
    assert tasks.of_request("d1") is None


def test_a_task_is_in_ones_own_project(tmp_path):
    """Another user's takes none."""
    service, other = make_service(tmp_path), make_service(tmp_path, user="bob")
    row = make_task(service)
    with pytest.raises(AccessError, match="another user's"):
        service.train_tasks.create(
            project_id=other.projects.default().id, algorithm_id=row.algorithm_id, name="t"
        )
