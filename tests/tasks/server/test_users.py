"""Who sees what: a server is one user's, and others may have theirs over the same home folder."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp  # noqa: F401 - the server needs it
import pytest
import requests

from aisio.tasks.objects.train_task import TrainTask
from aisio.tasks.server.transfers import UnfinishedUploads
from aisio.tasks.service import TaskService
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.states import ResourceState
from tests.tasks.code.git_server import backend
from tests.tasks.fake_engine import FakeEngine
from tests.tasks.places import make_service
from tests.tasks.server.served import PASSWORD, Served, serve
from tests.tasks.service.test_train_tasks import make_task


@dataclass
class Two:
    """Two users over one home folder.

    Attributes:
        ada: The user of a server.
        bob: Another one's service.
        task: A task of the other one.
        data: A private data set of the other one.
        shared: A public algorithm of the other one, with a repository.
    """

    ada: Served
    bob: TaskService
    task: TrainTaskRow
    data: str
    shared: str


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Iterator[Two]:
    """Return two users, one of whom has a server."""
    backend()
    folder = tmp_path_factory.mktemp("two")
    bob = make_service(folder, FakeEngine(), user="bob", disable_git=False)
    row = bob.train_tasks.start(make_task(make_service(folder, user="bob"), output="out").id)
    bob = TaskService(bob.settings, engine=FakeEngine())
    data = bob.resources.create("dataset", "private").id
    mirror = bob.projects.mirrors()[0].id
    shared = bob.algorithms.create("shared", mirror, public=True).id
    with serve(folder, disable_git=False) as ada:
        ada.login()
        yield Two(ada, bob, row, data, shared)


def test_lists_have_ones_own(two) -> None:
    """And what is public."""
    assert two.ada.call("GET", "train_task/list") == []
    assert two.ada.call("GET", "train_task/list", project_id=two.task.project_id) == []
    assert two.ada.call("GET", "project/list") == []
    assert two.ada.call("GET", "dataset/list") == []
    assert [one["id"] for one in two.ada.call("GET", "algorithm/list")] == [two.shared]
    assert two.ada.call("GET", "algorithm/custom", name="shared") == []


def test_what_another_user_has_is_refused(two) -> None:
    """Whatever is asked of it."""
    task, data = {"id": two.task.id}, {"file_id": two.data}
    cases = [
        ("GET", "train_task/query", task),
        ("GET", "train_task/status", task),
        ("GET", "train_task/log", task),
        ("GET", "train_task/final_metric", task),
        ("GET", "train_task/intermediate_metric", task),
        ("PUT", "train_task/abort", task),
        ("DELETE", "train_task/delete", task | {"force": 1}),
        ("POST", "train_task/final_metric", task | {"metric": 1}),
        ("GET", "project/query", {"id": two.task.project_id}),
        ("DELETE", "project/delete", {"id": two.task.project_id}),
        ("GET", "dataset/query", {"id": two.data}),
        ("PUT", "dataset/update", {"id": two.data, "name": "x"}),
        ("DELETE", "dataset/delete", {"id": two.data}),
        ("GET", "resource/listdir", data),
        ("POST", "resource/compression", data),
        ("POST", "resource/upload_finish", data),
        ("GET", "resource/download", data | {"compression_id": "0" * 64}),
        ("PUT", "algorithm/update", {"id": two.shared, "name": "x"}),
        ("DELETE", "algorithm/delete", {"id": two.shared}),
        ("POST", "resource/sync_finish", {"algorithm_id": two.shared, "checkout_sha": "0" * 40}),
        ("POST", "train_task/add", {"name": "t", "project_id": two.task.project_id,
                                    "algorithm_id": two.shared, "entrypoint": "x"}),
    ]  # fmt: skip
    for method, path, values in cases:
        response = two.ada.send(method, path, **values)
        assert response.status_code == 403, (path, response.text)
    assert two.ada.send_chunk(two.data, 0, b"x").status_code == 403
    assert two.bob.train_tasks.get(two.task.id) == two.task


def test_a_public_repository_is_read_and_not_written(two) -> None:
    """By git."""
    login = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    url = f"{two.ada.url}/git/{two.shared}.git"
    codes = {
        service: requests.get(
            f"{url}/info/refs",
            params={"service": service},
            headers={"Authorization": f"Basic {login}"},
            timeout=60,
        ).status_code
        for service in ("git-upload-pack", "git-receive-pack")
    }
    assert codes == {"git-upload-pack": 200, "git-receive-pack": 403}
    headers = {"Authorization": f"Basic {login}"}
    pushed = requests.post(f"{url}/git-receive-pack", headers=headers, data=b"0000", timeout=60)
    assert pushed.status_code == 403


def test_an_upload_of_another_user_is_left_to_his_server(two) -> None:
    """A server that starts stores what is its own user's."""
    row = two.bob.resources.create("file", "half", filename="half")
    two.bob.resources.write_chunk(row.id, 0, b"x")
    bobs, adas = UnfinishedUploads(two.bob), UnfinishedUploads(two.ada.service)
    bobs.add(row.id)
    assert adas.all() == []
    assert bobs.all() == [row.id]
    bobs.finish(row.id)
    assert two.bob.resources.get(row.id).state == ResourceState.READY


def test_objects_do_not_show_values_of_variables() -> None:
    """A task that was not saved yet has them."""
    assert "s3cret" not in repr(TrainTask(name="t", envs="KEY=s3cret"))
