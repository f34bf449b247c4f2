"""The server's process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import aiohttp  # noqa: F401 - the server needs it
import pytest
import requests

from aisio.errors import ConfigError
from aisio.tasks.algorithm_sync import sync_algorithm
from aisio.tasks.server import ServerOptions, TaskServer
from aisio.tasks.server.server import PASSWORD_FILE, password_of
from aisio.tasks.states import ResourceState, TaskState
from tests.tasks.engines.killed_starter import COUNTS, runs
from tests.tasks.engines.paused import Paused
from tests.tasks.fake_engine import FakeEngine
from tests.tasks.places import PROGRAM, make_service, write_code
from tests.tasks.server.served import PASSWORD, Served


def test_it_listens_on_loopback_until_it_is_closed(tmp_path) -> None:
    """At any free port."""
    service = make_service(tmp_path)
    with TaskServer(ServerOptions(service.settings, port=0), service=service) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert requests.get(f"{server.url}/api/mirror/list", timeout=60).status_code == 401
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=60)


def test_a_port_that_is_taken_is_an_error(tmp_path) -> None:
    """Which names it."""
    service = make_service(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = ServerOptions(service.settings, port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="cannot listen"), TaskServer(options):
            pass


@pytest.mark.parametrize(
    "changes",
    [{"host": "no such host"}, {"tls_cert": "/missing.pem"}, {"public_url": "no url"}],
)
def test_options_that_cannot_work_are_refused(changes, tmp_path) -> None:
    """Before anything is served."""
    service = make_service(tmp_path)
    options = ServerOptions(service.settings, port=0, **changes)
    with pytest.raises(ConfigError, match=r"no such host|missing\.pem|no url"), TaskServer(options):
        pass


@contextmanager
def program(
    home: Path, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], Served]]:
    """Run `aisio tasks serve` until the block ends; give it, and a client that is logged in."""
    settings = {"AISIO_TASKS_USER": "ada", "AISIO_TASKS_PASSWORD": PASSWORD}
    command = [sys.executable, "-m", "aisio", "tasks", "serve", "--home", str(home), "--port", "0"]
    with subprocess.Popen(
        command,
        env={**os.environ, **(environment or {}), **settings},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            served = Served(running.stdout.readline().strip(), make_service(home), FakeEngine())
            served.login()
            yield running, served
        finally:
            running.kill()


def test_a_server_that_is_killed_loses_no_upload(tmp_path) -> None:
    """The client logs in no second time: its token is still valid."""
    data = bytes(50_000)
    with program(tmp_path / "home") as (running, client):
        token = client.token
        form = {"name": "data", "filename": "data.bin"}
        datasets = [client.call("POST", "dataset/add", **form)["data"] for _ in range(3)]
        for dataset in datasets:
            client.upload(dataset, data)
        running.kill()
    with program(tmp_path / "home") as (_, client):
        client.token = token
        for dataset in datasets:
            reply = client.wait_for("dataset", dataset, ResourceState.READY, ResourceState.ERROR)
            assert (reply["state"], reply["size"]) == (ResourceState.READY, len(data))


def test_any_37_a_server_that_is_killed_while_it_starts_a_task(tmp_path) -> None:
    """The next one starts it again, and it runs once."""
    service = make_service(tmp_path)
    algorithm, _ = sync_algorithm(
        name="a", dir_path=write_code(tmp_path / "code", COUNTS), service=service
    )
    form = {
        "name": "t",
        "project_id": service.projects.default().id,
        "algorithm_id": str(algorithm.id),
        "entrypoint": PROGRAM,
    }
    store = {"AISIO_TASKS_STORE_URL": service.settings.store_url}
    supervisor = Paused(tmp_path / "paused", "aisio.tasks.engines.supervisor")
    with program(tmp_path / "home", supervisor.environment() | store) as (running, client):
        task_id = client.call("POST", "train_task/add", **form)["data"]
        supervisor.wait()
        running.kill()
    with program(tmp_path / "home", store) as (_, client):
        reply = client.wait_for("train_task", task_id, TaskState.SUCCESS, TaskState.FAIL)
        assert reply["state"] == TaskState.SUCCESS
    supervisor.run_to_end()
    assert runs(service.train_tasks.folder(task_id)) == 1


def test_a_password_is_made_up_once(tmp_path) -> None:
    """By several processes too; only its owner can read it."""
    settings = make_service(tmp_path).settings
    with ThreadPoolExecutor(4) as pool:
        passwords = set(pool.map(password_of, [settings] * 4))
    path = settings.home / PASSWORD_FILE
    assert passwords == {path.read_text("utf-8").strip()}
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        password_of(settings)
    path.write_text("")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="empty"):
        password_of(settings)


def test_the_password_of_the_settings_is_used(tmp_path) -> None:
    """None is made up."""
    settings = make_service(tmp_path, password="given").settings
    assert password_of(settings) == "given"
    assert not (settings.home / PASSWORD_FILE).exists()
