"""quick_train and resume_unfinished_local_train_tasks."""

from __future__ import annotations

import inspect
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from aisio.errors import ConfigError, NotFoundError
from aisio.tasks.engines.base import Job
from aisio.tasks.errors import AnyLearnMissingParamException, InvalidArguments
from aisio.tasks.quickstart import quick_train, resume_unfinished_local_train_tasks
from aisio.tasks.records.local import LocalRecords, LocalTask
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.tree import Piece
from aisio.tasks.service.secrets import secret_of
from aisio.tasks.states import TaskState
from tests.tasks.fake_engine import FakeEngine
from tests.tasks.places import PROGRAM, make_service, stored, write_code, write_data
from tests.tasks.service.test_train_tasks import make_task

ARGUMENTS = """
    algorithm_id algorithm_name algorithm_dir algorithm_force_update algorithm_git_ref
    dataset_hyperparam_name dataset_id dataset_dir dataset_archive model_hyperparam_name model_id
    pretrain_hyperparam_name pretrain_task_id project_id project_name entrypoint output mirror_name
    resource_uploader resource_polling hyperparams hyperparams_prefix hyperparams_delimeter
    resource_request quota_group_name quota_group_request task_description num_nodes nproc_per_node
"""
MAKES = "import pathlib\npathlib.Path('out').mkdir()\npathlib.Path('out/w').write_bytes(b'1')\n"


class KilledEngine(FakeEngine):
    """Ends the process in `start`, as kill -9 would."""

    def start(self, job: Job) -> str:
        """Leave without a handle."""
        raise KeyboardInterrupt


def test_the_arguments_are_the_vendors():
    """In their order; ours are keyword-only."""
    parameters = inspect.signature(quick_train).parameters.values()
    places = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert places == ARGUMENTS.split()


def test_any_01_one_call_starts_a_task(tmp_path):
    """Code, data, command and parameters in; task, algorithm, data sets and project out."""
    engine = FakeEngine()
    service = make_service(tmp_path, engine)
    task, algorithm, datasets, project = quick_train(
        algorithm_dir=write_code(tmp_path / "code"),
        dataset_dir=write_data(tmp_path / "data"),
        entrypoint=PROGRAM,
        hyperparams={"lr": 0.1, "flag": ""},
        quota_group_name="default",
        quota_group_request={"CPU": 2},
        num_nodes=2,
        nproc_per_node=3,
        service=service,
    )
    (job,) = engine.jobs
    (dataset,) = datasets
    assert task.state == TaskState.RUNNING
    assert (task.algorithm_id, task.project_id) == (algorithm.id, project.id)
    mount = job.env[str(dataset.id)]
    assert job.argv[1:] == ("train.py", "--lr", "0.1", "--flag", "--dataset", mount)
    assert sorted(path.name for path in (tmp_path / "home/mounts").rglob("*.bin")) == [
        "0.bin",
        "1.bin",
        "2.bin",
    ]
    assert (job.num_nodes, job.nproc_per_node, job.resources) == (2, 3, {"cpus": 2})
    assert (job.cwd / "train.py").is_file()


def test_a_task_may_be_started_again_after_a_failure(tmp_path):
    """As often as `max_restarts` says, which the engine is told; a negative number is refused."""
    engine = FakeEngine()
    service = make_service(tmp_path, engine)
    code = write_code(tmp_path / "code")
    task, *_ = quick_train(algorithm_dir=code, entrypoint=PROGRAM, max_restarts=3, service=service)
    (job,) = engine.jobs
    assert (job.max_restarts, task.max_restarts) == (3, 3)
    with pytest.raises(InvalidArguments, match="max_restarts=-1 must be at least 0"):
        quick_train(algorithm_dir=code, entrypoint=PROGRAM, max_restarts=-1, service=service)


def test_any_02_all_ids_are_checked_before_anything_is_sent(tmp_path):
    """Nothing is registered either."""
    service = make_service(tmp_path)
    code, data = write_code(tmp_path / "code"), write_data(tmp_path / "data")
    for name in ("dataset_id", "model_id", "pretrain_task_id", "project_id", "algorithm_id"):
        unknown: dict[str, Any] = {name: "NONE"}
        with pytest.raises(NotFoundError):
            quick_train(
                algorithm_dir=code,
                dataset_dir=data,
                entrypoint=PROGRAM,
                service=service,
                **unknown,
            )
    assert stored(service) == set()
    assert service.resources.find("algorithm") == service.resources.find("dataset") == []
    assert service.projects.all() == []


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"entrypoint": None}, ConfigError),
        ({"hyperparams": {"dataset": "x"}}, InvalidArguments),
        ({"hyperparams": {"a": {"b": 1}}}, ConfigError),
        ({"output": "../out"}, InvalidArguments),
        ({"mirror_name": "none"}, ConfigError),
        ({"algorithm_name": "a b"}, ConfigError),
        ({"algorithm_dir": None}, AnyLearnMissingParamException),
        ({"dataset_dir": "none"}, ConfigError),
        ({"quota_group_name": "none", "quota_group_request": {"CPU": 1}}, NotFoundError),
        ({"nproc_per_node": 0}, InvalidArguments),
    ],
)
def test_what_cannot_run_sends_nothing(tmp_path, more, error):
    """It is told at once."""
    service = make_service(tmp_path)
    arguments: dict[str, Any] = {
        "algorithm_dir": write_code(tmp_path / "code"),
        "dataset_dir": write_data(tmp_path / "data"),
        "entrypoint": PROGRAM,
    }
    with pytest.raises(error):
        quick_train(**arguments | more, service=service)
    assert stored(service) == set()
    assert service.resources.find("algorithm") == []


class ReadsNoted(PieceStore):
    """Notes which pieces are read."""

    def read(self, piece: Piece) -> bytes:
        """Read a piece."""
        vars(self).setdefault("noted", []).append(piece.digest)
        return super().read(piece)


@pytest.mark.parametrize("archive", [False, True])
def test_the_first_task_gets_its_data_from_where_it_was_uploaded(tmp_path, archive):
    """A file that has changed since is read from the store: the task sees what was uploaded."""
    engine = FakeEngine()
    service = make_service(tmp_path, engine)
    service.resources.store = store = ReadsNoted(service.settings.store_url)
    data = write_data(tmp_path / "data", 4)
    if archive:
        shutil.make_archive(str(tmp_path / "data"), "zip", data)

    def change(done: int, total: int) -> None:
        if done == total and not archive:
            (data / "train" / "2.bin").write_bytes(b"x" * 1000)

    _, _, (dataset,), _ = quick_train(
        algorithm_dir=write_code(tmp_path / "code"),
        dataset_dir=None if archive else data,
        dataset_archive=tmp_path / "data.zip" if archive else None,
        entrypoint=PROGRAM,
        on_progress=change,
        service=service,
    )
    mounted = Path(engine.jobs[0].env[str(dataset.id)])
    for number in range(4):
        assert (mounted / "train" / f"{number}.bin").read_bytes() == bytes([number]) * 1000
    tree = service.resources.tree(str(dataset.id))
    read = [file.name for file in tree.files if file.pieces[0].digest in vars(store)["noted"]]
    assert read == ([] if archive else ["train/2.bin"])


def test_any_14_the_callers_parameters_stay(tmp_path):
    """And nothing of a call is in the next one."""
    engine = FakeEngine()
    service, code = make_service(tmp_path, engine), write_code(tmp_path / "code")
    hyperparams = {"lr": 0.1}
    quick_train(
        algorithm_dir=code,
        dataset_dir=write_data(tmp_path / "data"),
        entrypoint=PROGRAM,
        hyperparams=hyperparams,
        service=service,
    )
    assert hyperparams == {"lr": 0.1}
    quick_train(algorithm_dir=code, entrypoint=PROGRAM, service=service)
    assert engine.jobs[1].argv[1:] == ("train.py",)


def test_any_11_the_local_data_set_is_passed_if_no_other_is(tmp_path):
    """It is uploaded and returned all the same."""
    engine = FakeEngine()
    service, code = make_service(tmp_path, engine), write_code(tmp_path / "code")
    arguments: dict[str, Any] = {"algorithm_dir": code, "entrypoint": PROGRAM, "service": service}
    *_, (first,), _ = quick_train(dataset_dir=write_data(tmp_path / "a"), **arguments)
    task, _, datasets, _ = quick_train(
        dataset_dir=write_data(tmp_path / "b", 2),
        dataset_id=first.id,
        dataset_hyperparam_name="data",
        **arguments,
    )
    assert datasets[0].id == first.id
    assert len(datasets) == 2
    assert task.files == [first.id]
    assert engine.jobs[1].argv[2:] == ("--data", engine.jobs[1].env[str(first.id)])
    profile = task.get_train_profile()
    assert profile is not None
    assert profile.dataset_id == ",".join(str(one.id) for one in datasets)


def test_any_28_the_project_of_a_task(tmp_path):
    """By id; by name, made once; else the user's default one."""
    service, code = make_service(tmp_path), write_code(tmp_path / "code")

    def project_of(**named: Any) -> str:
        *_, project = quick_train(algorithm_dir=code, entrypoint=PROGRAM, service=service, **named)
        return str(project.id)

    vision = project_of(project_name="vision")
    assert project_of(project_name="vision") == vision
    assert project_of(project_id=vision) == vision
    default = project_of()
    assert project_of() == default != vision


def test_any_33_results_of_a_task_are_mounted_for_the_next(tmp_path):
    """Uploaded when they are asked for."""
    engine = FakeEngine(runs=True)
    service, code = make_service(tmp_path, engine), write_code(tmp_path / "code", MAKES)
    arguments: dict[str, Any] = {"algorithm_dir": code, "entrypoint": PROGRAM, "service": service}
    first, *_ = quick_train(output="out", **arguments)
    (code / "train.py").write_text("import sys, os\nprint(os.listdir(sys.argv[-1]))\n")
    second, *_ = quick_train(pretrain_task_id=first.id, **arguments)
    assert second.get_full_log() == ["['w']"]
    assert second.files == [first.get_results_file().id]


def test_any_37_every_unfinished_task_is_asked_about(tmp_path, caplog):
    """One that cannot be, or is gone, hides none of the others."""
    engine = FakeEngine()
    service, code = make_service(tmp_path, engine), write_code(tmp_path / "code")
    records = LocalRecords(service.settings.home)
    records.save_task(LocalTask("TRAI0", TaskState.RUNNING, "PROJ0", "s"))
    tasks = [
        quick_train(algorithm_dir=code, entrypoint=PROGRAM, service=service)[0] for _ in range(4)
    ]
    engine.finish(str(tasks[0].handle), TaskState.SUCCESS, 0)
    engine.unreachable.add(str(tasks[1].id))
    tasks[2].abort()
    with caplog.at_level(logging.WARNING, "aisio.tasks"):
        found = resume_unfinished_local_train_tasks(service=service)
    assert [one.id for one in found] == ["TRAI0", *(one.id for one in tasks)]
    states = [one.state for one in found]
    assert states == [
        TaskState.DELETED,
        TaskState.SUCCESS,
        TaskState.RUNNING,
        TaskState.ABORT,
        TaskState.RUNNING,
    ]
    assert [task.state for task in records.tasks()] == states
    assert "TRAI0 is not known any more" in caplog.text
    assert "cannot be asked about: the engine cannot be reached" in caplog.text
    left = resume_unfinished_local_train_tasks(service=service)
    assert [one.id for one in left] == [tasks[1].id, tasks[3].id]


def test_a_start_that_was_interrupted_is_made_up_for(tmp_path):
    """The task was recorded before."""
    service, code = make_service(tmp_path, KilledEngine()), write_code(tmp_path / "code")
    with pytest.raises(KeyboardInterrupt):
        quick_train(algorithm_dir=code, entrypoint=PROGRAM, service=service)
    engine = FakeEngine()
    (task,) = resume_unfinished_local_train_tasks(service=make_service(tmp_path, engine))
    assert task.state == TaskState.RUNNING
    assert [job.task_id for job in engine.jobs] == [task.id]


def test_any_37_a_task_that_was_made_and_not_recorded_is_started(tmp_path):
    """The caller was killed in between."""
    service = make_service(tmp_path)
    row = make_task(service)
    (task,) = resume_unfinished_local_train_tasks(service=service)
    assert (task.id, task.state) == (row.id, TaskState.RUNNING)
    (record,) = LocalRecords(tmp_path / "home").tasks()
    assert (record.id, record.state) == (row.id, TaskState.RUNNING)


def test_any_37_a_task_is_started_by_the_engine_that_it_is_for(tmp_path, caplog):
    """The settings may name another one by now, and the task's may not be installed."""

    class Elsewhere(FakeEngine):
        name = "elsewhere"

    row = make_task(make_service(tmp_path, Elsewhere()))
    engine = FakeEngine()
    with caplog.at_level(logging.WARNING, "aisio.tasks"):
        (task,) = resume_unfinished_local_train_tasks(service=make_service(tmp_path, engine))
    assert (task.id, task.state, engine.jobs) == (row.id, TaskState.CREATED, [])
    assert "engine 'elsewhere'" in caplog.text


def test_no_secret_is_in_a_record_or_file(tmp_path):
    """The task has its secret by the environment; the password is nowhere."""
    engine = FakeEngine()
    service = make_service(tmp_path, engine, disable_git=False, password="hunter2")
    task, *_ = quick_train(
        algorithm_dir=write_code(tmp_path / "code"),
        algorithm_force_update=True,
        entrypoint=PROGRAM,
        service=service,
    )
    secret = secret_of(str(task.id), service.settings.home)
    assert engine.jobs[0].env["secret_key"] == secret
    for path in tmp_path.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert secret.encode() not in data
        assert b"hunter2" not in data
    assert secret not in repr(task) + repr(engine.jobs[0]) + json.dumps(task.train_params)
