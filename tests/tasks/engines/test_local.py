"""LocalEngine: jobs on this machine."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aisio import ConfigError, IntegrityError, NotFoundError, NotSupportedError, StorageError
from aisio.tasks.engines.base import Engine, Status
from aisio.tasks.engines.local import LocalEngine
from aisio.tasks.engines.processes import end_processes, find_processes
from aisio.tasks.metrics import read_metrics
from aisio.tasks.states import TaskState
from tests.tasks.engines.killed_starter import counting_job, runs, start_and_kill
from tests.tasks.engines.programs import WAITS, finish, python_job, wait_for

if sys.platform != "linux":
    pytest.skip("tasks run on Linux alone", allow_module_level=True)

ABORTED = Status(TaskState.ABORT, None, "aborted")
SPAWNS = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {WAITS!r}], start_new_session=True).wait()
"""
STUBBORN = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
{WAITS}
"""


@pytest.fixture
def engine(tmp_path) -> Iterator[LocalEngine]:
    """Return an engine whose tasks are ended after the test."""
    engine = LocalEngine(grace_s=0.2)
    yield engine
    handle = tmp_path / "task" / "handle.json"
    if handle.exists():
        end_processes(started(tmp_path)["mark"], grace_s=0)


def started(folder: Path) -> dict[str, str]:
    """Return what identifies a task that was started."""
    return json.loads((folder / "task" / "handle.json").read_text())


def processes(folder: Path) -> list[int]:
    """Return the processes of a task; of a finished one, once its supervisor has ended."""
    if (folder / "task" / "result.json").exists():
        with suppress(ProcessLookupError):
            supervisor = os.pidfd_open(int(started(folder)["pid"]))
            select.select([supervisor], [], [])
            os.close(supervisor)
    return [process.pid for process in find_processes(started(folder)["mark"])]


def test_there_is_nothing_to_read_on_standard_input(engine, tmp_path):
    """A program that asks a question fails, and does not wait for ever."""
    status, lines = finish(engine, engine.start(python_job(tmp_path, "input()")))
    assert status == Status(TaskState.FAIL, 1, "exit code 1")
    assert lines[-1].startswith("EOFError")


def test_any_31_exit_code_and_logs(engine, tmp_path):
    """Last lines, all lines, and lines as they come."""
    handle = engine.start(python_job(tmp_path, "for n in range(5): print('line', n)"))
    status, lines = finish(engine, handle)
    assert status == Status(TaskState.SUCCESS, 0)
    assert lines == [f"line {n}" for n in range(5)]
    assert engine.logs(handle) == lines
    assert engine.logs(handle, last=2) == lines[-2:]
    assert engine.logs(handle, last=0) == []
    assert list(engine.follow(handle)) == lines
    assert engine.abort(handle) == status, "what has finished stays as it is"


@pytest.mark.parametrize(
    ("code", "exit_code", "message"),
    [
        ("raise SystemExit(3)", 3, "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", 137, "ended by SIGKILL"),
        ("import os; os.kill(os.getpid(), 40)", 168, "ended by signal 40"),
    ],
)
def test_any_31_failures(engine, tmp_path, code, exit_code, message):
    """The program's exit code, as shells have it."""
    status, _ = finish(engine, engine.start(python_job(tmp_path, code)))
    assert status == Status(TaskState.FAIL, exit_code, message)


def test_a_program_that_cannot_be_started_fails(engine, tmp_path):
    """With the codes of shells."""
    handle = engine.start(python_job(tmp_path, "", argv=("no-such-program",)))
    status, _ = finish(engine, handle)
    assert status == Status(TaskState.FAIL, 127, "no-such-program: No such file or directory")


def test_a_shell_script_is_a_program_as_any_other(engine, tmp_path):
    """`python` in it is the one that runs aisio; it starts in the folder of the code."""
    job = python_job(tmp_path, "", argv=("bash", "run.sh", "a b"))
    (job.cwd / "run.sh").write_text('echo "$1" $RANK; python -c "import sys; print(sys.prefix)"\n')
    status, lines = finish(engine, engine.start(job))
    assert (status.exit_code, lines) == (0, ["a b 0", sys.prefix])


def test_a_single_process_is_a_process_group(engine, tmp_path):
    """It finds what torchrun's processes find, so that its program need not ask."""
    code = (
        "import torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "print(dist.get_rank(), dist.get_world_size())\n"
        "dist.destroy_process_group()\n"
    )
    status, lines = finish(engine, engine.start(python_job(tmp_path, code)))
    assert (status.exit_code, lines[-1]) == (0, "0 1")


def test_a_password_for_git_is_not_a_variable_of_the_program(engine, tmp_path, monkeypatch):
    """It is for the one who starts tasks."""
    monkeypatch.setenv("AISIO_TASKS_PASSWORD", "hunter2")
    code = "import os; print([name for name in os.environ.values() if 'hunter2' in name])"
    assert finish(engine, engine.start(python_job(tmp_path, code)))[1] == ["[]"]


def test_any_12_mounts_are_variables_and_secrets_stay_in_memory(engine, tmp_path):
    """The program sees them; no file of the task holds them."""
    env = {"DSET1": "/data/x", "secret_key": "s3cret-value"}
    code = "import os; print(os.environ['DSET1'], len(os.environ['secret_key']))"
    handle = engine.start(python_job(tmp_path, code, env=env))
    status, lines = finish(engine, handle)
    assert (status.exit_code, lines) == (0, ["/data/x 12"])
    files = [file for file in (tmp_path / "task").rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if b"s3cret-value" in file.read_bytes()]


def test_any_32_metrics_are_read_outside(engine, tmp_path):
    """The engine says where they go."""
    code = (
        "from aisio.tasks.metrics import report_final_metric, report_intermediate_metric\n"
        "report_intermediate_metric(0.5, step=1)\nreport_final_metric(0.25)\n"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[3]), "secret_key": "s3cret"}
    status, lines = finish(engine, engine.start(python_job(tmp_path, code, env=env)))
    assert status.exit_code == 0, lines
    found = read_metrics(tmp_path / "task")
    assert [(metric.value, metric.step, metric.final) for metric in found] == [
        (0.5, 1, False),
        (0.25, None, True),
    ]


def test_any_31_abort_ends_processes_in_sessions_of_their_own(engine, tmp_path):
    """And says so to whoever asks."""
    handle = engine.start(python_job(tmp_path, SPAWNS))
    wait_for(engine.follow(handle), "started")
    assert engine.poll(handle) == Status(TaskState.RUNNING)
    assert len(processes(tmp_path)) == 3
    assert engine.abort(handle) == ABORTED
    assert processes(tmp_path) == []
    assert engine.poll(handle) == ABORTED
    assert engine.abort(handle) == ABORTED


def test_abort_ends_what_ignores_sigterm(engine, tmp_path):
    """After the grace time."""
    handle = engine.start(python_job(tmp_path, STUBBORN))
    wait_for(engine.follow(handle), "started")
    assert engine.abort(handle) == ABORTED
    assert processes(tmp_path) == []


def test_what_a_program_leaves_running_ends_with_it(engine, tmp_path):
    """A helper process that nobody waits for would hold memory and GPUs."""
    code = SPAWNS.replace(".wait()", "") + "print('left', flush=True)"
    status, _ = finish(engine, engine.start(python_job(tmp_path, code)))
    assert status.state == TaskState.SUCCESS
    assert processes(tmp_path) == []


def test_a_task_outlives_its_killed_caller(engine, tmp_path):
    """Another process asks about it, by the handle, and ends it."""
    code = (
        "import os, pathlib, sys\n"
        "from aisio.tasks.engines.local import LocalEngine\n"
        "from tests.tasks.engines.programs import WAITS, python_job\n"
        "print(LocalEngine().start(python_job(pathlib.Path(sys.argv[1]), WAITS)), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[3]
    caller = subprocess.run(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, cwd=root, check=False
    )
    assert caller.returncode == -signal.SIGKILL
    handle = caller.stdout.decode().strip()
    wait_for(engine.follow(handle), "started")
    assert engine.poll(handle).state == TaskState.RUNNING
    assert engine.start(python_job(tmp_path, WAITS)) == handle, "it is not started again"
    assert engine.abort(handle) == ABORTED


def test_a_killed_supervisor_takes_its_job_along(engine, tmp_path):
    """The task has failed, for everybody who asks, also after an abort."""
    handle = engine.start(python_job(tmp_path, WAITS))
    wait_for(engine.follow(handle), "started")
    os.kill(int(started(tmp_path)["pid"]), signal.SIGKILL)
    status, _ = finish(engine, handle)
    assert (status.state, status.exit_code) == (TaskState.FAIL, None)
    assert "supervisor was killed" in status.message
    assert processes(tmp_path) == []
    assert engine.abort(handle) == status
    assert LocalEngine().poll(handle) == status


def test_what_outlives_a_killed_supervisor_is_seen_and_can_be_ended(engine, tmp_path):
    """It runs on, and the status says so until somebody aborts it."""
    handle = engine.start(python_job(tmp_path, STUBBORN))
    wait_for(engine.follow(handle), "started")
    os.kill(int(started(tmp_path)["pid"]), signal.SIGKILL)
    status = engine.poll(handle)
    while "supervisor" not in status.message:
        status = engine.poll(handle)
    assert status.state == TaskState.RUNNING
    assert "1 of its processes still run" in status.message
    assert engine.abort(handle) == ABORTED
    assert processes(tmp_path) == []


def move(folder: Path, **changes: str) -> None:
    """Have a task be one that another host has started."""
    file = folder / "task" / "handle.json"
    file.write_text(json.dumps({**started(folder), "host": "elsewhere", **changes}))


@pytest.mark.parametrize("boot_id", [None, "another-machine"])
def test_a_task_of_a_container_that_is_gone_has_failed(engine, tmp_path, boot_id):
    """The next container has another name, and sees no processes; other machines cannot know."""
    handle = engine.start(python_job(tmp_path, WAITS))
    wait_for(engine.follow(handle), "started")
    move(tmp_path, **({"boot_id": boot_id} if boot_id else {}))
    running = Status(TaskState.RUNNING, None, "runs on elsewhere")
    assert engine.poll(handle) == running
    with pytest.raises(NotSupportedError, match="runs on elsewhere: abort it there"):
        engine.abort(handle)
    supervisor = int(started(tmp_path)["pid"])
    os.kill(supervisor, signal.SIGKILL)
    wait_for_end(supervisor)
    if boot_id:
        assert engine.poll(handle) == running
    else:
        assert engine.poll(handle).message.startswith("its supervisor was killed, on elsewhere")
        assert engine.abort(handle).state == TaskState.FAIL


def wait_for_end(pid: int) -> None:
    """Wait until a process, of whomever, has ended: a supervisor lives on after its last word."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([descriptor], [], [])
    os.close(descriptor)


def test_a_process_that_got_the_id_of_the_supervisor_is_left_alone(engine, tmp_path):
    """IDs are used again; the mark in the environment is not."""
    handle = engine.start(python_job(tmp_path, "raise SystemExit(1)"))
    finish(engine, handle)
    wait_for_end(int(started(tmp_path)["pid"]))
    (tmp_path / "task" / "result.json").unlink()
    file = tmp_path / "task" / "handle.json"
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            file.write_text(json.dumps({**started(tmp_path), "pid": other.pid}))
            assert engine.poll(handle).state == TaskState.FAIL
            assert engine.abort(handle).state == TaskState.FAIL
            assert other.poll() is None
        finally:
            other.kill()


def test_a_task_that_a_task_started_stays(engine, tmp_path):
    """It has a mark of its own."""
    inner = tmp_path / "inner"
    inner.mkdir()
    code = (
        "import pathlib, sys\n"
        "from aisio.tasks.engines.local import LocalEngine\n"
        "from tests.tasks.engines.programs import WAITS, python_job\n"
        f"LocalEngine().start(python_job(pathlib.Path({str(inner)!r}), WAITS))\n{WAITS}"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[3])}
    handle = engine.start(python_job(tmp_path, code, env=env))
    wait_for(engine.follow(handle), "started")
    inner_handle = json.dumps(
        {"engine": "local", "task_id": "TRAI1", "folder": str(inner / "task")}
    )
    assert engine.abort(handle) == ABORTED
    assert engine.poll(inner_handle).state == TaskState.RUNNING
    assert engine.abort(inner_handle) == ABORTED


def test_a_folder_has_one_task(engine, tmp_path):
    """Two tasks would mix their states and logs."""
    finish(engine, engine.start(python_job(tmp_path, "")))
    with pytest.raises(ConfigError, match="folder of another task: TRAI1"):
        engine.start(python_job(tmp_path, "", task_id="TRAI2"))


def test_a_task_without_code_is_refused(engine, tmp_path):
    """Before anything is started."""
    with pytest.raises(ConfigError, match="gone does not exist"):
        engine.start(python_job(tmp_path, "", cwd=tmp_path / "gone"))
    assert not (tmp_path / "task").exists()


def test_a_task_whose_folder_is_gone_is_not_found(engine, tmp_path):
    """It is neither running nor failed."""
    handle = json.dumps({"engine": "local", "task_id": "T", "folder": str(tmp_path / "x")})
    for ask in (engine.poll, engine.abort, engine.logs, engine.follow):
        with pytest.raises(NotFoundError, match="holds no task that was started"):
            ask(handle)


def test_a_damaged_file_is_an_error(engine, tmp_path):
    """Its text names the file."""
    handle = engine.start(python_job(tmp_path, ""))
    finish(engine, handle)
    (tmp_path / "task" / "result.json").write_text("{")
    with pytest.raises(IntegrityError, match="result.json is damaged"):
        engine.poll(handle)


def test_a_supervisor_that_cannot_start_is_an_error(engine, tmp_path):
    """And not a task that nobody watches."""
    (tmp_path / "task" / "supervisor.log").mkdir(parents=True)
    with pytest.raises(StorageError, match="TRAI1 could not be started"):
        engine.start(python_job(tmp_path, ""))


GLOO = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1)
dist.all_reduce(total)
print(dist.get_rank(), "of", int(total), flush=True)
dist.destroy_process_group()
"""


@pytest.mark.parametrize(("num_nodes", "nproc"), [(1, 2), (2, 1)])
def test_any_29_processes_are_really_started(engine, tmp_path, num_nodes, nproc):
    """They meet, and each line that is printed begins with the rank."""
    pytest.importorskip("torch")
    job = python_job(tmp_path, GLOO, num_nodes=num_nodes, nproc_per_node=nproc)
    status, lines = finish(engine, engine.start(job))
    assert status == Status(TaskState.SUCCESS, 0), lines
    assert {"[0] 0 of 2", "[1] 1 of 2"} <= set(lines)


DIES_FIRST = """
import os, pathlib, signal, sys, time

def meet(name, *words):
    pathlib.Path(name + os.environ["RANK"]).touch()
    print(*words, flush=True)
    while not all(os.path.exists(name + rank) for rank in "01"):
        time.sleep(0.01)

first = sys.argv[1]
if not os.path.exists(first + os.environ["RANK"]):
    meet(first, "parent", os.getppid())
    if os.environ["RANK"] == "1" and sys.argv[2] == "worker":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
meet(first + "again", "again", os.environ["LOCAL_RANK"])
raise SystemExit(int(sys.argv[3]) * int(os.environ["RANK"]))
"""


def test_all_processes_start_again_after_one_was_killed(engine, tmp_path):
    """As often as max_restarts says; then the exit code is that of the one that failed."""
    pytest.importorskip("torch")
    arguments = (str(tmp_path / "first"), "worker", "5")
    job = python_job(tmp_path, DIES_FIRST, *arguments, nproc_per_node=2, max_restarts=1)
    status, lines = finish(engine, engine.start(job))
    assert status == Status(TaskState.FAIL, 5, "exit code 5"), lines
    assert {"[0] again 0", "[1] again 1"} <= set(lines)


def test_all_processes_start_again_after_a_node_was_lost(engine, tmp_path):
    """Its agent was killed: all nodes start anew, and nothing of the old ones stays."""
    pytest.importorskip("torch")
    arguments = (str(tmp_path / "first"), "node", "0")
    job = python_job(tmp_path, DIES_FIRST, *arguments, nproc_per_node=2, max_restarts=1)
    handle = engine.start(job)
    lines = engine.follow(handle)
    parents = (line for line in lines if " parent " in line)
    parent, _ = next(parents), next(parents)
    os.kill(int(parent.split()[-1]), signal.SIGKILL)
    assert {"[0] again 0", "[1] again 1"} <= set(lines)
    assert engine.poll(handle) == Status(TaskState.SUCCESS, 0)
    assert processes(tmp_path) == []


def test_every_engine_has_a_name():
    """Handles begin with it."""
    assert issubclass(LocalEngine, Engine)
    assert LocalEngine.name == "local"


SUPERVISOR = "aisio.tasks.engines.supervisor"


def test_any_37_a_starter_is_killed_when_the_supervisor_has_the_job(engine, tmp_path):
    """The job runs, and is found by whoever asks."""
    supervisor = start_and_kill(tmp_path, "local", SUPERVISOR)
    job = counting_job(tmp_path)
    assert engine.find(job.task_id, job.folder) is None
    supervisor.run_to_end()
    handle = engine.find(job.task_id, job.folder)
    assert handle is not None
    assert finish(engine, handle)[0] == Status(TaskState.SUCCESS, 0)
    assert engine.start(job) == handle
    assert (runs(tmp_path), processes(tmp_path)) == (1, [])


def test_any_37_the_job_of_a_killed_starter_runs_once(engine, tmp_path):
    """Another starter was faster: the supervisor of the first one ends."""
    supervisor = start_and_kill(tmp_path, "local", SUPERVISOR)
    handle = engine.start(counting_job(tmp_path))
    mark = started(tmp_path)["mark"]
    assert finish(engine, handle)[0] == Status(TaskState.SUCCESS, 0)
    supervisor.run_to_end()
    assert (started(tmp_path)["mark"], runs(tmp_path)) == (mark, 1)
    assert processes(tmp_path) == []


def test_any_37_the_job_of_a_killed_starter_is_withdrawn(engine, tmp_path):
    """What comes late runs nothing."""
    supervisor = start_and_kill(tmp_path, "local", SUPERVISOR)
    job = counting_job(tmp_path)
    assert engine.withdraw(job.task_id, job.folder) is None
    supervisor.run_to_end()
    handle = engine.find(job.task_id, job.folder)
    assert handle is not None
    status, _ = finish(engine, handle)
    assert status == Status(TaskState.ABORT, None, "aborted before it was started")
    assert (runs(tmp_path), processes(tmp_path)) == (0, [])


def test_a_task_of_a_machine_that_is_silent_is_said_to_be(engine, tmp_path):
    """The machine may be lost. The supervisor says from time to time that it lives."""
    handle = engine.start(python_job(tmp_path, WAITS))
    wait_for(engine.follow(handle), "started")
    supervisor = int(started(tmp_path)["pid"])
    move(tmp_path, boot_id="another-machine")
    alive = tmp_path / "task" / "alive"
    os.utime(alive, (0, 0))
    status = engine.poll(handle)
    assert status.state == TaskState.RUNNING
    assert "runs on elsewhere, which has not been seen since 19" in status.message
    while not alive.stat().st_mtime:
        os.kill(supervisor, signal.SIGCHLD)
    assert engine.poll(handle).message == "runs on elsewhere"
