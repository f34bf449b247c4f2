"""RayEngine: jobs on a Ray cluster, here one of this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray.job_submission", reason="needs ray[default]")

from aisio import NotFoundError, UnavailableError
from aisio.tasks.engines.base import Status
from aisio.tasks.engines.processes import find_processes
from aisio.tasks.engines.ray import ENVIRONMENT_FILE, RayEngine
from aisio.tasks.engines.ray_driver import main as run_driver
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState
from tests.tasks.engines.folder_cluster import FolderCluster, start_and_kill
from tests.tasks.engines.killed_starter import counting_job
from tests.tasks.engines.programs import WAITS, finish, python_job, wait_for

PLACE = """
import os
print(os.environ["LOCAL_RANK"], os.environ["WORLD_SIZE"], os.environ["DSET1"], flush=True)
raise SystemExit(int(os.environ["RANK"]) * 5)
"""


def unused_ports(count: int) -> list[int]:
    """Return ports that nothing uses, as other clusters may run on this machine."""
    with ExitStack() as stack:
        reserved = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in reserved:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in reserved]


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """Run a cluster of one machine for the tests of this file."""
    bin_folder = str(Path(sys.executable).parent)
    path = os.pathsep.join((bin_folder, os.environ["PATH"]))
    # Not pytest's folder: the names of Ray's sockets would be too long.
    folder = tempfile.mkdtemp(prefix="ray-")
    port, dashboard_port, agent_port, client_port = unused_ports(4)
    options = [
        *("--head", f"--port={port}", f"--dashboard-port={dashboard_port}", "--num-cpus=4"),
        f"--dashboard-agent-listen-port={agent_port}",
        # By default all clusters of a machine take these from the same few.
        *(f"--ray-client-server-port={client_port}", "--min-worker-port=0", "--max-worker-port=0"),
        *("--include-dashboard=true", "--disable-usage-stats", f"--temp-dir={folder}"),
        *("--object-store-memory=80000000", "--node-ip-address=127.0.0.1"),
    ]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PATH": path}
    # Ray would kill jobs where others have taken the machine's memory.
    environment["RAY_memory_monitor_refresh_ms"] = "0"
    engine = RayEngine(f"http://127.0.0.1:{dashboard_port}")
    with subprocess.Popen(
        [f"{bin_folder}/ray", "start", "--block", *options], env=environment
    ) as started:
        try:
            while started.poll() is None:
                with suppress(UnavailableError):
                    engine._client()
                    break
            yield engine
        finally:
            started.terminate()
            started.wait()
            shutil.rmtree(folder)


def processes(folder: Path) -> list[int]:
    """Return the processes of a task."""
    handle = json.loads((folder / "task" / "handle.json").read_text())
    return [process.pid for process in find_processes(handle["mark"])]


def test_any_30_two_nodes_on_a_ray_cluster(engine, tmp_path):
    """The processes find their places and mounts; the exit code is that of the one that failed."""
    env = {"DSET1": "/data/x", "secret_key": "s3cret-value"}
    handle = engine.start(python_job(tmp_path, PLACE, num_nodes=2, env=env))
    status, lines = finish(engine, handle)
    assert status == Status(TaskState.FAIL, 5, "exit code 5"), lines
    assert {"[0] 0 2 /data/x", "[1] 0 2 /data/x"} <= set(lines)
    assert engine.start(python_job(tmp_path, PLACE, num_nodes=2)) == handle
    assert RayEngine(engine._address).poll(handle) == status
    files = [file for file in (tmp_path / "task").rglob("*") if file.is_file()]
    assert not [file for file in files if b"s3cret-value" in file.read_bytes()]


def test_any_30_abort_on_a_ray_cluster(engine, tmp_path):
    """No process is left."""
    handle = engine.start(python_job(tmp_path, WAITS, nproc_per_node=2))
    wait_for(engine.follow(handle), "[0] started", "[1] started")
    assert engine.poll(handle) == Status(TaskState.RUNNING)
    assert engine.abort(handle) == Status(TaskState.ABORT, None, "aborted")
    assert processes(tmp_path) == []


def test_a_job_waits_for_room_and_can_be_aborted(engine, tmp_path):
    """It is created, and does not run."""
    handle = engine.start(python_job(tmp_path, WAITS, resources={"cpus": 64}))
    assert engine.poll(handle).state == TaskState.CREATED
    assert engine.abort(handle).state == TaskState.ABORT  # its driver has begun by then, or not


def test_a_job_that_ray_does_not_know_is_not_found_and_can_be_started(engine, tmp_path):
    """Its starter was killed before it submitted the job."""
    job = python_job(tmp_path, "print('here')")
    handle = engine.start(job)
    finish(engine, handle)
    (tmp_path / "task" / "result.json").unlink()
    file = tmp_path / "task" / "handle.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "submission_id": "other"}))
    with pytest.raises(NotFoundError, match="does not know it"):
        engine.poll(handle)
    assert engine.start(job) == handle
    assert finish(engine, handle)[0] == Status(TaskState.SUCCESS, 0)


def test_a_cluster_that_is_not_there_is_an_error(tmp_path):
    """And leaves no task behind."""
    with pytest.raises(UnavailableError, match="cannot be reached"):
        RayEngine("http://127.0.0.1:1").start(python_job(tmp_path, ""))
    assert not (tmp_path / "task" / "handle.json").exists()


class LossyEngine(RayEngine):
    """Its client gets no answer to the first request of each kind, which the cluster has taken."""

    def __init__(self) -> None:
        super().__init__()
        self.submitted: list[str] = []
        self._lost: set[str] = set()

    def _client(self) -> Any:
        return self

    def _lose_first(self, kind: str) -> None:
        if kind not in self._lost:
            self._lost.add(kind)
            raise ConnectionError("the server closed the connection")

    def submit_job(self, *, submission_id: str, **_: object) -> None:
        """Take a job."""
        self.submitted.append(submission_id)
        self._lose_first("submit")

    def get_job_info(self, submission_id: str) -> Any:
        """Return what is known of a job."""
        self._lose_first("info")
        if submission_id not in self.submitted:
            raise RuntimeError(f"Job {submission_id} does not exist")
        return SimpleNamespace(status=SimpleNamespace(value="PENDING"))


def test_a_lost_answer_is_no_lost_job(tmp_path):
    """A job is submitted once, and a question is asked again."""
    engine = LossyEngine()
    handle = engine.start(python_job(tmp_path, ""))
    assert engine.poll(handle).state == TaskState.CREATED
    assert len(engine.submitted) == 1


class StartingEngine(LossyEngine):
    """Its cluster has no agent yet when a job is submitted for the first time."""

    def _lose_first(self, kind: str) -> None:
        if kind == "submit" and kind not in self._lost:
            self._lost.add(kind)
            self.submitted.clear()
            raise RuntimeError(
                "Request failed with status code 500: No available agent to submit job, "
                "please try again later.."
            )


def test_a_cluster_that_is_starting_is_waited_for(tmp_path):
    """Its agents start after the server that takes jobs."""
    engine = StartingEngine()
    handle = engine.start(python_job(tmp_path, ""))
    assert engine.poll(handle).state == TaskState.CREATED
    assert len(engine.submitted) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_any_37_a_starter_is_killed_when_it_submits_a_job(tmp_path, when):
    """The job is found if the cluster has it, and is submitted once."""
    start_and_kill(tmp_path, when)
    cluster, job = FolderCluster(tmp_path / "cluster"), counting_job(tmp_path)
    found = cluster.find(job.task_id, job.folder)
    assert (found is None) == (when == "before")
    handle = cluster.start(job)
    assert found in (None, handle)
    assert cluster.find(job.task_id, job.folder) == handle
    assert cluster.poll(handle).state == TaskState.CREATED
    assert len(cluster.jobs()) == 1


class LateCluster(FolderCluster):
    """The request of a starter that was killed comes after the next one has asked."""

    def get_job_info(self, submission_id: str) -> Any:
        """Take the job, and say that it is not known."""
        is_new = submission_id not in self.jobs()
        (self.folder / submission_id).touch()
        if is_new:
            raise RuntimeError(f"Job {submission_id} does not exist")
        return super().get_job_info(submission_id)


def test_any_37_a_request_that_comes_late_is_no_second_job(tmp_path):
    """Ray refuses the second one, which is no failure."""
    start_and_kill(tmp_path, "before")
    cluster = LateCluster(tmp_path / "cluster")
    handle = cluster.start(counting_job(tmp_path))
    assert cluster.poll(handle).state == TaskState.CREATED
    assert len(cluster.jobs()) == 1


def test_any_37_a_job_that_is_withdrawn_runs_nothing(tmp_path):
    """Its driver starts after that; and nothing that may be secret stays."""
    start_and_kill(tmp_path, "before")
    cluster, job = FolderCluster(tmp_path / "cluster"), counting_job(tmp_path)
    assert (job.folder / ENVIRONMENT_FILE).exists()
    handle = cluster.withdraw(job.task_id, job.folder)
    assert handle is not None
    with pytest.raises(NotFoundError, match="does not know it"):
        cluster.abort(handle)
    assert run_driver(job.folder) == 1
    aborted = Status(TaskState.ABORT, None, "aborted before it was started")
    assert cluster.poll(handle) == aborted
    assert TaskFiles(job.folder).outputs() == []
    assert not (job.folder / ENVIRONMENT_FILE).exists()


class FullCluster(FolderCluster):
    """Takes no jobs."""

    def submit_job(self, *, submission_id: str, **_: object) -> None:
        """Refuse a job."""
        raise RuntimeError("status code 500: no room")


def test_a_job_that_is_refused_leaves_no_variables(tmp_path):
    """They may be secrets."""
    cluster, job = FullCluster(tmp_path / "cluster"), counting_job(tmp_path)
    with pytest.raises(UnavailableError, match="no room"):
        cluster.start(job)
    assert not (job.folder / ENVIRONMENT_FILE).exists()
