"""Operations, one after the other, as clients of Anylearn send them."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import aiohttp  # noqa: F401 - the server needs it
import pytest
import requests

from aisio.tasks.states import ResourceState, TaskState
from tests.tasks.server.served import Served, serve

MIRROR = "MIRR" + "0" * 28
PROGRAM = b"""
import os, sys
print("arguments", *sys.argv[1:])
os.mkdir("out")
open("out/weights.bin", "wb").write(b"weights")
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Served]:
    """Return a server that runs tasks at once, for all tests of this file."""
    with serve(tmp_path_factory.mktemp("served"), runs=True) as running:
        yield running


@pytest.fixture
def server(shared) -> Served:
    """Return the server, with a client that is logged in."""
    shared.login()
    return shared


def new_algorithm(server: Served, name: str, program: bytes = PROGRAM) -> str:
    """Register an algorithm with its code; return its id."""
    values = {"name": name, "mirror_id": MIRROR, "filename": f"{name}.zip", "public": 0}
    algorithm = str(server.call("POST", "algorithm/add", **values)["data"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("requirements.txt", b"")
        archive.writestr("train.py", program)
    server.upload(algorithm, buffer.getvalue())
    server.wait_for("algorithm", algorithm, ResourceState.READY)
    return algorithm


def new_task(server: Served, algorithm: str, **values: object) -> str:
    """Start a task; return its id."""
    project = server.call("GET", "project/default")[0]["id"]
    form = {
        "name": "task",
        "project_id": project,
        "algorithm_id": algorithm,
        "entrypoint": f"{sys.executable} train.py",
        "train_params": json.dumps({"lr": 0.1}),
        **values,
    }
    return str(server.call("POST", "train_task/add", **form)["data"])


@pytest.mark.parametrize("kind", ["dataset", "model", "file"])
def test_a_resource_is_made_changed_and_deleted(server, kind) -> None:
    """Each answer has its id."""
    made = server.call("POST", f"{kind}/add", name="one", description="first", public=0)["data"]
    changed = server.call("PUT", f"{kind}/update", id=made, name="two", public=1)["data"]
    reply = server.call("GET", f"{kind}/query", id=made)[0]
    assert (changed, reply["name"], reply["description"], reply["public"]) == (
        made,
        "two",
        "first",
        1,
    )
    assert made in [one["id"] for one in server.call("GET", f"{kind}/list")]
    assert server.call("DELETE", f"{kind}/delete", id=made, force=0)["data"] == made
    assert server.send("GET", f"{kind}/query", id=made).status_code == 404


@pytest.mark.parametrize("kind", ["dataset", "algorithm"])
def test_what_a_task_uses_is_not_deleted_without_force(server, kind) -> None:
    """Its files would vanish while it reads them."""
    data = server.call("POST", "dataset/add", name="data", filename="data.bin")["data"]
    server.upload(data, b"data")
    server.wait_for("dataset", data, ResourceState.READY)
    algorithm, tasks = new_algorithm(server, f"uses-{kind}"), server.service.train_tasks
    project = server.call("GET", "project/default")[0]["id"]
    task = tasks.create(
        project_id=project, algorithm_id=algorithm, name="t", entrypoint="true", files=data
    ).id
    used = data if kind == "dataset" else algorithm
    refused = server.send("DELETE", f"{kind}/delete", id=used, force=0)
    assert (refused.status_code, f"is used by train task {task}" in refused.text) == (400, True)
    assert server.call("DELETE", f"{kind}/delete", id=used, force=1)["data"] == used
    tasks.abort(task)


def test_an_algorithm_is_found_by_its_name(server) -> None:
    """Nothing is an empty list."""
    algorithm = new_algorithm(server, "named")
    assert server.call("GET", "algorithm/custom", name="missing") == []
    assert server.call("GET", "algorithm/custom", name="named")["id"] == algorithm


def test_projects(server) -> None:
    """The default one is made once."""
    made = server.call("POST", "project/add", name="digits", description="d")["data"]
    server.call("PUT", "project/update", id=made, name="numbers", description="n")
    assert server.call("GET", "project/query", id=made)[0]["name"] == "numbers"
    assert made in [one["id"] for one in server.call("GET", "project/list")]
    server.call("DELETE", "project/delete", id=made, force=0)
    assert server.send("GET", "project/query", id=made).status_code == 404
    first, second = (server.call("GET", "project/default")[0]["id"] for _ in range(2))
    assert first == second


def test_quota_groups_and_mirrors(server) -> None:
    """A group is found by name or id."""
    server.service.projects.add_quota_group("big", {"GPU": 8}, {"GPU": 1})
    group = server.call("GET", "quota_group/query", name="big")[0]
    assert (group["capacity"], group["default"], group["allocated"]) == ({"GPU": 8}, {"GPU": 1}, {})
    assert server.call("GET", "quota_group/query", id=group["id"])[0] == group
    assert group in server.call("GET", "quota_group/list")
    assert server.send("GET", "quota_group/query", name="none").status_code == 404
    assert {"id": MIRROR, "name": "QUICKSTART", "requirements": ""} in server.call(
        "GET", "mirror/list"
    )


def test_a_task_runs_and_is_asked_about(server) -> None:
    """Its state, log, results and what becomes a model of them."""
    algorithm = new_algorithm(server, "runs")
    task = new_task(server, algorithm, output="out", num_nodes=1, nproc_per_node=1)
    reply = server.wait_for("train_task", task, TaskState.SUCCESS, TaskState.FAIL)
    assert reply["state"] == TaskState.SUCCESS
    assert json.loads(reply["args"]) == {"lr": 0.1}
    assert server.call("GET", "train_task/status", id=task)["exit_code"] == 0
    log = server.call("GET", "train_task/log", id=task, limit=10, direction="init")
    assert [line["text"] for line in log] == ["arguments --lr 0.1"]
    listed = server.call("GET", "resource/listdir", file_id=reply["results_id"])
    assert listed == ["weights.bin"]
    values = {"file_id": reply["results_id"], "file_path": "weights.bin", "name": "weights"}
    model = server.call("POST", "model/transform", **values)["data"]
    assert server.call("GET", "model/query", id=model)[0]["size"] == len(b"weights")
    values["file_path"] = "missing"
    assert server.send("POST", "model/transform", **values).status_code == 404
    tasks = server.call("GET", "train_task/list", project_id=reply["project_id"])
    assert task in [one["id"] for one in tasks]
    server.call("DELETE", "train_task/delete", id=task, force=0)
    assert server.call("GET", "train_task/query", id=task)[0]["state"] == TaskState.DELETED


def test_a_request_that_comes_again_makes_one_task(server) -> None:
    """Its client did not get the answer; both may be there at once. Another name is another one."""
    algorithm = new_algorithm(server, "again", b"pass")
    values = {"name": "x7a3k9mp", "max_restarts": 2}
    with ThreadPoolExecutor(4) as pool:
        tasks = set(pool.map(lambda _: new_task(server, algorithm, **values), range(8)))
    (task,) = tasks
    assert server.call("GET", "train_task/query", id=task)[0]["max_restarts"] == 2
    assert new_task(server, algorithm, name="other") != task
    assert new_task(server, algorithm, name="x7a3k9mp", max_restarts=3) != task


def test_a_client_that_has_the_answer_may_ask_for_another_task(server) -> None:
    """It has used the id of the first one; with a key, its request is the same still."""
    algorithm = new_algorithm(server, "more", b"pass")
    for key, count in (("", 2), ("k", 1)):
        if key:
            server.headers["Idempotency-Key"] = key
        tasks = [new_task(server, algorithm), new_task(server, algorithm)]
        server.call("PUT", "train_task/abort", id=tasks[0])
        tasks += [new_task(server, algorithm), new_task(server, algorithm)]
        assert len(set(tasks)) == count
        assert (tasks[0], tasks[2]) == (tasks[1], tasks[3])
    server.headers.clear()


def test_an_idempotency_key_tells_requests_apart(server) -> None:
    """Of a client that wants the same task twice."""
    algorithm = new_algorithm(server, "keys", b"pass")
    tasks = []
    for key in ("one", "two", "one"):
        server.headers["Idempotency-Key"] = key
        tasks.append(new_task(server, algorithm))
    server.headers.clear()
    assert tasks[0] == tasks[2] != tasks[1]


def test_variables_are_in_no_answer(server) -> None:
    """The task has them."""
    program = b"import os; print(os.environ['API_KEY'])"
    task = new_task(server, new_algorithm(server, "keeps", program), envs="API_KEY=s3cret,A=")
    reply = server.wait_for("train_task", task, TaskState.SUCCESS, TaskState.FAIL)
    assert (reply["state"], reply["envs"]) == (TaskState.SUCCESS, "API_KEY=***,A=***")
    lines = server.call("GET", "train_task/log", id=task)
    assert [line["text"] for line in lines] == ["s3cret"]


def test_a_task_reports_metrics_with_its_secret(server) -> None:
    """No login is needed; another secret is refused; the time filters."""
    task = new_task(server, new_algorithm(server, "reports", b"pass"))
    secret = server.wait_for("train_task", task, TaskState.SUCCESS)["secret_key"]

    def report(kind: str, value: str, secret: str) -> requests.Response:
        return requests.post(
            f"{server.url}/api/train_task/{kind}_metric",
            headers={"Secret-Key": secret},
            data={"id": task, "metric": value, "step": "7"},
            timeout=60,
        )

    assert server.call("GET", "train_task/final_metric", id=task)["final_metric"] is None
    for value in ("0.5", "0.25"):
        assert report("intermediate", value, secret).status_code == 200
    assert report("final", "0.125", secret).status_code == 200
    metrics = server.call("GET", "train_task/intermediate_metric", id=task)
    assert [(one["metric"], one["step"]) for one in metrics] == [(0.5, 7), (0.25, 7)]
    since = metrics[0]["reported_at"]
    later = server.call("GET", "train_task/intermediate_metric", id=task, last_timestamp=since)
    assert [one["metric"] for one in later] == [0.25]
    assert server.call("GET", "train_task/final_metric", id=task)["final_metric"] == 0.125
    for kind, value, key, status in (
        ("final", "1", "", 403),
        ("final", "1", "0" * 32, 403),
        ("intermediate", "much", secret, 400),
    ):
        assert report(kind, value, key).status_code == status


def test_what_cannot_run_is_refused(server) -> None:
    """When the task is made."""
    algorithm = new_algorithm(server, "refused", b"pass")
    project = server.call("GET", "project/default")[0]["id"]
    form = {"name": "task", "project_id": project, "algorithm_id": algorithm, "entrypoint": "x"}
    for changes, status in (
        ({"project_id": "PROJ0"}, 404),
        ({"algorithm_id": "ALGO0"}, 404),
        ({"algorithm_git_ref": "v9"}, 404),
        ({"entrypoint": ""}, 400),
        ({"train_params": "lr=1"}, 400),
        ({"files": "DSET0"}, 404),
        ({"num_nodes": "two"}, 400),
        ({"max_restarts": "-1"}, 400),
        ({"envs": "s3cret,value"}, 400),
        ({"resources": "[]x"}, 400),
        ({"resources": '[{"nobody": {"GPU": 1}}]'}, 404),
    ):
        assert server.send("POST", "train_task/add", **form | changes).status_code == status


@pytest.mark.parametrize(
    "values", [{"direction": "up"}, {"limit": 0}, {"limit": 10**6}, {"offset_index": "x"}]
)
def test_a_page_of_a_log_that_cannot_be_meant_is_refused(server, values) -> None:
    """With what is expected."""
    task = new_task(server, new_algorithm(server, "logs", b"pass"))
    assert server.send("GET", "train_task/log", id=task, **values).status_code == 400


def test_a_task_is_aborted(tmp_path) -> None:
    """By the route of aisio's own."""
    with serve(tmp_path) as server:
        server.login()
        task = new_task(server, new_algorithm(server, "waits"))
        server.wait_for("train_task", task, TaskState.RUNNING)
        server.call("PUT", "train_task/abort", id=task)
        assert server.call("GET", "train_task/status", id=task)["state"] == TaskState.ABORT
