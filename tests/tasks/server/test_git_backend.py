"""Repositories of algorithms over smart HTTP: real git against the server."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator

import aiohttp  # noqa: F401 - the server needs it
import pytest
import requests

from aisio.errors import AccessError, NotFoundError
from aisio.tasks.code import GitRemote, checkout, sync_code
from aisio.tasks.states import TaskState
from tests.tasks.code.code_directory import IDENTITY, CodeDirectory
from tests.tasks.code.git_server import backend
from tests.tasks.server.served import PASSWORD, Served, serve

# requests would encode the password as Latin-1.
LOGIN = {"Authorization": f"Basic {base64.b64encode(f'ada:{PASSWORD}'.encode()).decode()}"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Served]:
    """Return a server with git, for all tests of this file."""
    backend()
    with serve(tmp_path_factory.mktemp("served"), runs=True, disable_git=False) as running:
        yield running


@pytest.fixture
def server(shared, monkeypatch) -> Served:
    """Return the server, with a client that is logged in."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    shared.login()
    return shared


def new_address(server: Served, name: str) -> tuple[str, str]:
    """Register an algorithm; return its id and the URL of its repository."""
    values = {"name": name, "mirror_id": "MIRR" + "0" * 28}
    algorithm = str(server.call("POST", "algorithm/add", **values)["data"])
    return algorithm, server.call("GET", "algorithm/query", id=algorithm)[0]["git_address"]


def test_code_is_pushed_and_runs(server, tmp_path) -> None:
    """By commit, and by a branch that only the repository knows."""
    code = CodeDirectory.committed(tmp_path / "code")
    code.write("weights.bin", "w" * 3_000_000)  # more than git sends with a Content-Length
    code.commit("weights")
    algorithm, url = new_address(server, "pushed")
    commit = sync_code(code.folder, GitRemote(url, "ada", PASSWORD))
    server.call("POST", "resource/sync_finish", algorithm_id=algorithm, checkout_sha=commit)
    project = server.call("GET", "project/default")[0]["id"]
    for ref in ("", commit, "main"):
        form = {"name": "task", "project_id": project, "algorithm_id": algorithm,
                "algorithm_git_ref": ref, "entrypoint": f"{sys.executable} train.py"}  # fmt: skip
        task = server.call("POST", "train_task/add", **form)["data"]
        reply = server.wait_for("train_task", task, TaskState.SUCCESS, TaskState.FAIL)
        assert (reply["state"], reply["algorithm_git_ref"]) == (TaskState.SUCCESS, commit)
    folder = checkout(GitRemote(url, "ada", server.token), commit, tmp_path / "out")
    assert (folder / "weights.bin").stat().st_size == 3_000_000


def test_a_commit_that_was_not_pushed_is_not_found(server) -> None:
    """When the client says that it is there."""
    algorithm, _ = new_address(server, "empty")
    values = {"algorithm_id": algorithm, "checkout_sha": "0" * 40}
    assert server.send("POST", "resource/sync_finish", **values).status_code == 404


def test_only_the_user_gets_in(server, tmp_path) -> None:
    """Git is asked for a password, and a wrong one is refused."""
    code = CodeDirectory.committed(tmp_path / "code")
    _, url = new_address(server, "closed")
    for remote in (GitRemote(url), GitRemote(url, "ada", "wrong")):
        with pytest.raises(AccessError):
            sync_code(code.folder, remote)
    missing = GitRemote(url.replace("/git/ALGO", "/git/NONE"), "ada", PASSWORD)
    with pytest.raises(NotFoundError):
        sync_code(code.folder, missing)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "HEAD"), ("GET", "config"), ("GET", "objects/info/packs"), ("GET", "info/refs"),
     ("POST", "git-upload-archive"), ("GET", "git-receive-pack"), ("POST", "../../service.db")],
)  # fmt: skip
def test_only_smart_http_is_answered(server, method, path) -> None:
    """No file of a repository is sent as it is."""
    _, url = new_address(server, f"smart-{method}-{path.count('/')}-{len(path)}")
    response = requests.request(method, f"{url}/{path}", headers=LOGIN, timeout=60)
    assert response.status_code in (401, 404)


def test_without_git_there_are_no_repositories(tmp_path) -> None:
    """Clients send archives then."""
    with serve(tmp_path) as server:
        server.login()
        algorithm, url = new_address(server, "archived")
        assert url == ""
        response = requests.get(
            f"{server.url}/git/{algorithm}.git/info/refs?service=git-upload-pack",
            headers=LOGIN,
            timeout=60,
        )
        assert response.status_code == 404
