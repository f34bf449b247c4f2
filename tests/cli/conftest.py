"""A gateway for the commands, and two ways to run one."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import aisio
from aisio.cli import main
from aisio.client.client import Bucket, Client
from aisio.gateway import Gateway
from aisio.tasks.service.service import TaskService
from aisio.tasks.settings import load_task_settings

ENVIRONMENT = {
    "AIS_AUTHN_TOKEN": "",
    "AIS_AUTHN_TOKEN_FILE": "",
    "PYTHONUNBUFFERED": "",
    # Programs that are started in another folder find the package under test there.
    "PYTHONPATH": str(Path(aisio.__file__).parents[1]),
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory) -> Iterator[str]:
    """Return the address of a gateway over a folder of this module's own."""
    with Gateway(tmp_path_factory.mktemp("buckets")) as gateway:
        yield gateway.endpoint


@pytest.fixture
def bucket(endpoint, request) -> Iterator[Bucket]:
    """Return an empty bucket."""
    bucket = Client(endpoint).bucket("cli-data").create()
    yield bucket
    bucket.delete()


@pytest.fixture
def environ(endpoint, monkeypatch) -> dict[str, str]:
    """Set the environment that commands run in, and return it."""
    for name, value in {**ENVIRONMENT, "AIS_ENDPOINT": endpoint}.items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)


@pytest.fixture
def run(environ) -> Callable[..., Result]:
    """Return a function that runs a command line in this process."""
    # Before 8.2, click's runner mixes stderr into stdout by default.
    mixes = "mix_stderr" in inspect.signature(CliRunner).parameters
    apart: dict[str, Any] = {"mix_stderr": False} if mixes else {}
    runner = CliRunner(**apart)
    return lambda *words, **options: runner.invoke(main, list(map(str, words)), **options)


@pytest.fixture
def start(environ, tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts a command line as a program, ended with the test."""
    programs = []

    def start(*words: object, **options: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "aisio", *map(str, words)]
        pipes: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": environ,
        }
        program = subprocess.Popen(command, **{**pipes, **options})
        programs.append(program)
        return program

    yield start
    for program in programs:
        program.kill()
        program.wait()
        for pipe in filter(None, (program.stdout, program.stderr)):
            pipe.close()


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture
def files(tmp_path) -> Callable[..., Path]:
    """Return a function that writes a folder of files."""
    return lambda files, name="files": write_files(tmp_path / name, files)


class StubCluster(ThreadingHTTPServer):
    """A cluster whose response to a GET is written by a test, for what no gateway sends.

    Args:
        answer: Writes the whole reply.
    """

    daemon_threads = True

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        class Exchange(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/v1/daemon"):
                    self.send_error(404)  # no cluster map: all requests come to this server
                else:
                    answer(self)

            def log_message(self, *args: object) -> None:
                """Stay silent."""

        super().__init__(("127.0.0.1", 0), Exchange)

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def stub() -> Iterator[Callable[..., str]]:
    """Return a function that starts a StubCluster and returns its endpoint."""
    servers = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        server = StubCluster(answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server.endpoint

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def tasks_home(tmp_path, environ, monkeypatch) -> Iterator[Path]:
    """Return the folder of the records of `aisio tasks`, with code beside it in code/.

    Tasks that still run are ended after the test.
    """
    home = tmp_path / "home"
    environ |= {"AISIO_TASKS_HOME": str(home), "AISIO_TASKS_USER": "ada"}
    monkeypatch.setenv("AISIO_TASKS_HOME", str(home))
    monkeypatch.setenv("AISIO_TASKS_USER", "ada")
    write_files(tmp_path / "code", {"requirements.txt": b"", "train.py": b"print('trained')\n"})
    yield home
    # A test may have set another engine, which need not be installed.
    tasks = TaskService(load_task_settings(home=home, engine="local")).train_tasks
    for row in tasks.all():
        if row.engine == "local":
            tasks.abort(row.id)


@pytest.fixture
def run_task(tasks_home, run, tmp_path) -> Callable[..., str]:
    """Return a function that runs a program to its end as a task, and returns the task's ID."""

    def run_task(program: str, *options: object) -> str:
        (tmp_path / "code" / "train.py").write_text(program)
        words = ("tasks", "run", "--algorithm-dir", tmp_path / "code", "--disable-git", "--json")
        done = run(*words, "--wait", *options, "python", "train.py")
        assert done.exit_code in (0, 1, 3), done.stderr
        return str(json.loads(done.stdout)["id"])

    return run_task
