"""quick_train from end to end: with real processes, under kill -9, and with anylearn's files."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the engine starts torchrun's agents

from aisio.tasks.engines.processes import find_processes
from aisio.tasks.quickstart import resume_unfinished_local_train_tasks
from aisio.tasks.records.local import LocalRecords
from aisio.tasks.states import TaskState
from tests.acceptance.killed_train import PROGRAM, real_service, train
from tests.tasks.engines.programs import WAITS
from tests.tasks.places import make_service, write_code, write_data

ORACLE = os.environ.get("AISIO_TEST_ANYLEARN_PYTHON", "")
needs_oracle = pytest.mark.skipif(
    not ORACLE, reason="AISIO_TEST_ANYLEARN_PYTHON names no Python with anylearn 0.15.5"
)


@pytest.fixture
def place(tmp_path) -> Path:
    """Return a folder with code and data."""
    write_code(tmp_path / "code", PROGRAM)
    write_data(tmp_path / "data", 50)
    return tmp_path


def kill_in(place: Path, when: str) -> None:
    """Run quick_train in a process that is killed."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.acceptance.killed_train", str(place), when]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def pieces(place: Path) -> dict[str, int]:
    """Return the pieces that the store has, with their inodes: what is stored anew has another."""
    files = (path for path in (place / "store" / "pieces").rglob("*") if path.is_file())
    return {path.name: path.stat().st_ino for path in files}


def test_any_01_a_task_runs_on_two_processes(place):
    """And leaves logs, metrics and results."""
    task, algorithm, (dataset,), project = train(place, real_service(place), nproc_per_node=2)
    assert task.wait(polling=0.05) == TaskState.SUCCESS
    assert {"rank 0 of 2", "rank 1 of 2"} <= {line[-11:] for line in task.get_full_log()}
    assert [one.value for one in task.get_intermediate_metric()] == [50]
    assert task.get_final_metric() == 0.9
    (place / "results").mkdir()
    assert Path(task.download_results(place / "results")).is_file()
    assert (task.algorithm_id, task.project_id) == (algorithm.id, project.id)
    assert task.files == [dataset.id]


def test_any_10_an_upload_that_is_killed_goes_on(place):
    """What was stored is not stored again, and nothing half is recorded."""
    kill_in(place, "upload")
    before, service = pieces(place), real_service(place)
    assert 25 <= len(before) < 50
    assert service.resources.find("dataset") == []
    assert LocalRecords(place / "home").tasks() == []
    *_, (dataset,), _ = train(place, service)
    after = pieces(place)
    assert before.items() <= after.items()
    assert len(service.resources.tree(dataset.id).files) == 50
    for task in service.train_tasks.all():
        service.train_tasks.abort(task.id)


def show(place: Path, task_id: str) -> dict[str, Any]:
    """Return what `aisio tasks show` says of a task."""
    command = [sys.executable, "-m", "aisio", "tasks", "show", "--json", task_id]
    settings = {
        "AISIO_TASKS_HOME": str(place / "home"),
        "AISIO_TASKS_STORE_URL": str(place / "store"),
        "AISIO_TASKS_USER": "ada",
    }
    done = subprocess.run(command, env=os.environ | settings, check=True, capture_output=True)
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


@pytest.mark.parametrize("when", ["made", "before", "after"])
def test_any_37_a_start_that_is_killed_is_made_up_for(place, when):
    """Killed before the task was recorded, before the engine had it, or after: it runs once."""
    kill_in(place, when)
    service = real_service(place)
    (row,) = service.train_tasks.all()
    assert (show(place, row.id)["state"] == "CREATED") == (when != "after")
    (task,) = resume_unfinished_local_train_tasks(service=service)
    assert task.wait(polling=0.05) == TaskState.SUCCESS
    assert [one.value for one in task.get_intermediate_metric()] == [50]
    assert [row.id for row in service.train_tasks.all()] == [task.id]
    left = resume_unfinished_local_train_tasks(service=service)
    assert {one.state for one in left} <= {TaskState.SUCCESS}
    (record,) = LocalRecords(place / "home").tasks()
    assert record.id == task.id


def test_any_37_a_start_that_is_killed_can_be_aborted(place):
    """Nobody has recorded that the engine has the task: no process is left behind."""
    (place / "code" / "train.py").write_text(WAITS)
    kill_in(place, "after")
    service = real_service(place)
    (row,) = service.train_tasks.all()
    assert (row.state, row.handle) == (TaskState.CREATED, None)
    folder = service.train_tasks.folder(row.id)
    mark = json.loads((folder / "handle.json").read_text())["mark"]
    assert service.train_tasks.abort(row.id).state == TaskState.ABORT
    assert find_processes(mark) == []
    assert resume_unfinished_local_train_tasks(service=service)[0].state == TaskState.ABORT
    assert find_processes(mark) == []


MAKE_DATABASE = """
import sys
from anylearn.config import AnylearnConfig
AnylearnConfig.init_workspace(sys.argv[1])
from anylearn.interfaces.train_task import TrainTask
from anylearn.storage.db import DB
db = DB()
db.force_init()
db.create_local_dataset(id="DSET" + "0" * 28, checksum="ab" * 64)
task = TrainTask(id="TRAI" + "1" * 28, name="x", state=1, secret_key="s" * 32, project_id="PROJ1")
db.create_or_update_train_task(task)
profile = dict(algorithm_id="ALGO1", dataset_id="A,B", entrypoint="python x.py")
db.create_train_profile(id="DESC" + "3" * 28, train_task_id=task.id, train_params="{}", **profile)
"""

READ_DATABASE = """
import sys
from anylearn.config import AnylearnConfig
AnylearnConfig.init_workspace(sys.argv[1])
from anylearn.storage.db import DB
db = DB()
db.force_init()
print(*(task.id for task in db.get_unfinished_train_tasks()))
"""


def ask_oracle(program: str, folder: Path) -> list[str]:
    """Run a program with anylearn 0.15.5; return what it printed, in words."""
    environment = os.environ | {"HOME": str(folder)}
    command = [ORACLE, "-c", program, str(folder)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()


@needs_oracle
def test_any_35_a_database_of_anylearn_opens(tmp_path):
    """Its rows are found, and anylearn still reads the file when aisio has written to it."""
    ask_oracle(MAKE_DATABASE, tmp_path)
    service, records = make_service(tmp_path), LocalRecords(tmp_path)
    assert records.find_dataset("ab" * 64) == "DSET" + "0" * 28
    (task,) = records.tasks()
    assert (task.state, task.secret_key) == (TaskState.RUNNING, "s" * 32)
    profile = records.profile_of(task.id)
    assert profile is not None
    assert (profile.dataset_id, profile.dataset_dir) == ("A,B", None)
    records.save_task(task)
    records.add_dataset("DSET" + "4" * 28, "cd" * 64)
    assert ask_oracle(READ_DATABASE, tmp_path) == [task.id]
    assert service.settings.home == tmp_path / "home"


@needs_oracle
def test_any_34_the_tables_are_the_vendors(tmp_path):
    """Names, types, defaults and keys of all columns."""
    ask_oracle(MAKE_DATABASE, tmp_path / "theirs")
    LocalRecords(tmp_path / "ours").tasks()

    def schema(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
        with closing(sqlite3.connect(folder / "anylearn.db")) as db:
            query = "SELECT name FROM sqlite_master WHERE type = 'table'"
            tables = [row[0] for row in db.execute(query)]
            return {
                f"{name} {what}": db.execute(f"PRAGMA {what}({name})").fetchall()
                for name in tables
                for what in ("table_info", "foreign_key_list")
            }

    assert schema(tmp_path / "ours") == schema(tmp_path / "theirs")
