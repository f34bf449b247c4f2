"""The real anylearn 0.15.5 runs against `aisio tasks serve`, unchanged, and its records agree."""

from __future__ import annotations

import json
import sqlite3
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the server needs it
import pytest

from aisio.tasks.server import ServerOptions, TaskServer
from aisio.tasks.service import TaskService
from aisio.tasks.settings import TaskSettings
from aisio.tasks.states import ResourceState, TaskState
from tests.acceptance.anylearn_programs import RESULTS, TRAIN, run_anylearn
from tests.acceptance.killed_server import KilledServer
from tests.tasks.code.code_directory import git
from tests.tasks.fake_engine import FakeEngine

PASSWORD = "secret"  # anylearn cannot send others than plain ones to git
PROGRAM = """
import os, sys
from aisio.tasks import report_final_metric, report_intermediate_metric
print("arguments", *sys.argv[1:3])
print("files", *sorted(os.listdir(sys.argv[4])))
os.mkdir("out")
open("out/weights.bin", "wb").write(b"weights")
report_intermediate_metric(0.5)
report_final_metric(0.9)
"""


@pytest.fixture
def server(tmp_path) -> Iterator[TaskServer]:
    """Return a server that runs tasks at once."""
    home = tmp_path / "served"
    settings = TaskSettings(home, f"file://{home}/store/", "ada", PASSWORD)
    service = TaskService(settings, engine=FakeEngine(runs=True))
    with TaskServer(ServerOptions(settings, port=0), service=service) as running:
        yield running


@pytest.fixture
def home(tmp_path) -> Path:
    """Return the home folder of anylearn's user, with code and data in it."""
    folder = tmp_path / "home"
    for name, text in (
        ("code/train.py", PROGRAM),
        ("code/requirements.txt", ""),
        ("data/a.txt", "one"),
        ("data/b.txt", "two"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def train(url: str, home: Path, *, disable_git: bool = False) -> dict[str, Any]:
    """Run quick_train of the real anylearn; return what it tells."""
    arguments = {
        "algorithm_name": "digits",
        "algorithm_dir": "code",
        "algorithm_force_update": True,
        "dataset_dir": "data",
        "entrypoint": f"{sys.executable} train.py",
        "output": "out",
        "hyperparams": {"lr": 0.1},
        "task_description": "the first run",
        "resource_polling": 0.1,
    }
    login = [url, "ada", PASSWORD]
    given = {"login": login, "disable_git": disable_git, "arguments": arguments}
    return run_anylearn(TRAIN, home, given)


@pytest.mark.parametrize("disable_git", [False, True])
def test_anylearn_trains_end_to_end(disable_git, server, home) -> None:
    """With code by git or as an archive; what it tells is what the server has."""
    result = train(server.url, home, disable_git=disable_git)
    service, told = server.service, result["task"]
    task = service.train_tasks.get(told["id"])
    dataset = service.resources.get(result["datasets"][0]["id"], "dataset")
    assert (told["state"], task.state) == (TaskState.SUCCESS, TaskState.SUCCESS)
    assert told["algorithm_git_ref"] == task.algorithm_git_ref
    assert json.loads(told["train_params"]) == {"lr": 0.1, "dataset": [f'"${dataset.id}"']}
    assert (task.files, task.description) == (dataset.id, "the first run")
    assert (dataset.state, dataset.name) == (ResourceState.READY, result["datasets"][0]["name"])
    assert (result["project"]["id"], result["algorithm"]["id"]) == (
        task.project_id,
        task.algorithm_id,
    )
    lines = ["arguments --lr 0.1", "files a.txt b.txt"]
    for log in ("log", "last_log", "stream"):
        assert [line.partition("] ")[2] for line in result[log]] == lines
    assert result["final_metric"]["final_metric"] == 0.9
    assert [one["metric"] for one in result["metrics"]] == [0.5]
    if not disable_git:
        assert git(home / "code", "rev-parse", "HEAD") == task.algorithm_git_ref
        message = git(home / "code", "show", "--no-patch", "--format=%B", "HEAD")
        assert message == "the first run"


def test_anylearn_keeps_records_that_agree(server, home) -> None:
    """A second run uploads no data set, as its id and checksum are in anylearn's database."""
    first = train(server.url, home, disable_git=True)
    second = train(server.url, home, disable_git=True)
    dataset = first["datasets"][0]["id"]
    assert second["datasets"][0]["id"] == dataset
    assert [row.id for row in server.service.resources.find("dataset")] == [dataset]
    algorithm = first["algorithm"]["id"]
    assert second["algorithm"]["id"] == algorithm
    assert len(server.service.algorithms.versions(algorithm)) == 2
    with closing(sqlite3.connect(home / ".anylearn" / "anylearn.db")) as database:
        tasks = database.execute("SELECT id, secret_key, project_id FROM local_train_task")
        datasets = database.execute("SELECT id FROM local_dataset")
        told = [first["task"], second["task"]]
        assert sorted(tasks) == sorted(
            (task["id"], task["secret_key"], task["project_id"]) for task in told
        )
        assert list(datasets) == [(dataset,)]


def test_anylearn_downloads_results_and_makes_a_model(server, home, tmp_path) -> None:
    """As one zip, which holds the files of the output folder."""
    task = train(server.url, home, disable_git=True)["task"]["id"]
    folder = tmp_path / "downloads"
    given = {"login": [server.url, "ada", PASSWORD], "task": task, "folder": str(folder),
             "file": "weights.bin"}  # fmt: skip
    result = run_anylearn(RESULTS, home, given)
    (path,) = folder.iterdir()
    with zipfile.ZipFile(path) as archive:
        assert archive.read("weights.bin") == b"weights"
    service = server.service
    assert [(one["id"], one["state"]) for one in result["resumed"]] == [(task, TaskState.SUCCESS)]
    assert service.resources.get(result["model"]["id"], "model").size == len(b"weights")
    assert result["results"]["id"] == service.train_tasks.get(task).results_id
    assert result["final_metric"]["final_metric"] == 0.75
    assert result["project"]["id"] in [row.id for row in service.projects.all()]
    assert [group["name"] for group in result["quota_groups"]] == ["default"]


REPEATED = [
    "GET /api/mirror/list",
    "POST /api/dataset/add",
    "half POST /api/train_task/add",
    "POST /api/train_task/add",
    "GET /api/train_task/query",
]
"""Requests that anylearn sends again when the server ends before it has answered."""

NOT_REPEATED = [
    "half POST /api/resource/upload",  # that of code: of data, anylearn would wait for ever
    "POST /api/resource/upload_finish",
    "half POST /git/*.git/git-receive-pack",
    "POST /git/*.git/git-receive-pack",
    "POST /api/resource/sync_finish",
]


def test_a_server_that_is_killed_loses_no_request(home, tmp_path) -> None:
    """In the middle of each kind that anylearn sends again: there is one task, which runs on."""
    with KilledServer(tmp_path / "served", REPEATED) as server:
        result = train(server.url, home)
        assert server.left == []
    service = TaskService(TaskSettings(tmp_path / "served", "file:///unused/", "ada"))
    (task,) = service.train_tasks.all()
    assert (task.id, task.state) == (result["task"]["id"], TaskState.SUCCESS)
    assert task.algorithm_git_ref == git(home / "code", "rev-parse", "HEAD")
    assert [line.partition("] ")[2] for line in result["log"]][-1] == "files a.txt b.txt"
    assert [one["metric"] for one in result["metrics"]] == [0.5]


def test_a_request_that_anylearn_does_not_repeat_is_made_by_the_next_call(home, tmp_path) -> None:
    """The call fails, or goes on: there is one task for each call that has returned one."""
    results = []
    with KilledServer(tmp_path / "served", []) as server:
        for request in NOT_REPEATED:
            server.left.append(request)
            with suppress(AssertionError):
                results.append(train(server.url, home, disable_git="upload" in request))
            assert server.left == []
        results.append(train(server.url, home))
    service = TaskService(TaskSettings(tmp_path / "served", "file:///unused/", "ada"))
    tasks = service.train_tasks.all()
    assert [task.id for task in tasks] == [result["task"]["id"] for result in results]
    assert {task.state for task in tasks} == {TaskState.SUCCESS}
    assert tasks[-1].algorithm_git_ref == git(home / "code", "rev-parse", "HEAD")
    assert [line.partition("] ")[2] for line in results[-1]["log"]][-1] == "files a.txt b.txt"
