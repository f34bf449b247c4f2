"""The process that watches one task on this machine. It needs nobody: its starter may die.

It reads the job from its standard input, so that no secret is in its arguments or in a file; then
it detaches itself, starts the nodes, waits until they have ended, and records how.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from aisio import file_locks
from aisio.tasks.engines.base import Status
from aisio.tasks.engines.elastic_agent import agent_command, program_environment, shell_exit_code
from aisio.tasks.engines.processes import adopt_orphans, die_with_parent, end_processes
from aisio.tasks.engines.task_files import TaskFiles
from aisio.tasks.states import TaskState

__all__ = ["ALIVE_INTERVAL_S", "main"]

ALIVE_INTERVAL_S = 30.0
"""So often a supervisor says that it lives, in seconds."""

_WATCHED = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_LOOPBACK = "127.0.0.1"
_SINGLE_PROCESS = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "LOCAL_WORLD_SIZE": "1",
    "MASTER_ADDR": _LOOPBACK,
}


class _Stopped(Exception):
    """Somebody wants the task to end."""


class _Supervisor:
    """Runs a job: once, or again after a node was lost.

    Args:
        job: The job, as `LocalEngine` writes it.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._files = TaskFiles(Path(job["folder"]))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def run(self) -> Status:
        """Run the job; return how it ended."""
        try:
            return self._run_attempts()
        except _Stopped:
            return Status(TaskState.ABORT, None, "aborted")
        except (FileNotFoundError, PermissionError) as error:
            code = 127 if isinstance(error, FileNotFoundError) else 126
            return Status(TaskState.FAIL, code, f"{error.filename}: {error.strerror}")
        finally:
            self._end_all()

    def _run_attempts(self) -> Status:
        code = 0
        for attempt in range(self._job["max_restarts"] + 1):
            code = self._run_nodes(attempt)
            if code >= 0:
                break
            self._end_all()  # the agent of a node was killed: its processes may still run
        if code < 0:
            return Status(TaskState.FAIL, shell_exit_code(code), f"ended by {_signal_name(code)}")
        if code:
            return Status(TaskState.FAIL, code, f"exit code {code}")
        return Status(TaskState.SUCCESS, 0)

    def _run_nodes(self, attempt: int) -> int:
        """Run all nodes; return 0, or the exit code of the first that failed, -n for signal n."""
        rendezvous = self._files.folder / f"rendezvous-{attempt}"
        try:
            for node in range(self._job["num_nodes"]):
                self._start_node(node, attempt, rendezvous)
            while self._processes:
                for code in self._wait():
                    if code != 0:
                        return code
            return 0
        finally:
            rendezvous.unlink(missing_ok=True)

    def _start_node(self, node: int, attempt: int, rendezvous: Path) -> None:
        job = self._job
        nproc = job["nproc_per_node"]
        env = dict(job["env"])
        if job["num_nodes"] * nproc == 1 and not job["max_restarts"]:
            command = job["argv"]
            env |= _SINGLE_PROCESS | {"MASTER_PORT": str(_free_port())}
        else:
            command = agent_command(
                job["argv"],
                num_nodes=job["num_nodes"],
                nproc_per_node=nproc,
                max_restarts=job["max_restarts"],
                run_id=f"{job['task_id']}-{attempt}",
                rendezvous=rendezvous,
                log_folder=self._files.folder / "ranks" / f"node{node}",
                address=_LOOPBACK,
            )
        with self._files.output(node).open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=job["cwd"],
                env=program_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_prepare_child,
            )
        self._processes[process.pid] = process

    def _wait(self) -> list[int]:
        """Wait until a node has ended; return the exit codes of those that have."""
        codes: list[int] = []
        while not codes:
            with suppress(OSError):  # a full disk does not end the task
                self._files.alive.touch()
            received = signal.sigtimedwait(_WATCHED, ALIVE_INTERVAL_S)
            if received and received.si_signo != signal.SIGCHLD:
                raise _Stopped
            codes = self._reap()
        return codes

    def _reap(self) -> list[int]:
        """Forget the children that have ended, adopted ones too; return the nodes' exit codes."""
        codes = []
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                process = self._processes.pop(ended[0], None)
                if process:
                    process.returncode = os.waitstatus_to_exitcode(ended[1])
                    codes.append(process.returncode)
        return codes

    def _end_all(self) -> None:
        end_processes(self._job["mark"], grace_s=self._job["grace_s"])
        self._reap()


def _free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as listener:
        listener.bind((_LOOPBACK, 0))
        return int(listener.getsockname()[1])


def _signal_name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:  # real-time signals have no names
        return f"signal {-code}"


def _prepare_child() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
    die_with_parent()


def main() -> None:
    """Read the job, detach, run it, and record how it ended."""
    job = json.load(sys.stdin)
    files = TaskFiles(Path(job["folder"]))
    ready, report = os.pipe()
    parent_ended, parent_runs = os.pipe()
    if os.fork():
        os.close(report)
        sys.exit(0 if os.read(ready, 1) else "the supervisor of the task did not start")
    os.close(ready)
    os.close(parent_runs)
    os.setsid()
    _detach_output(files.folder / "supervisor.log")
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    adopt_orphans()
    handle = {key: job[key] for key in ("engine", "task_id", "host", "boot_id", "mark")}
    is_first = files.write_handle({**handle, "pid": os.getpid()})
    os.write(report, b"1")
    os.close(report)
    os.read(parent_ended, 1)  # it has the mark of the task, and would be ended with it
    os.close(parent_ended)
    if not is_first:
        return
    _lock(files.supervisor_lock)
    if files.abort_request.exists():  # its starter was killed, and the task aborted meanwhile
        files.settle(Status(TaskState.ABORT, None, "aborted before it was started"))
        return
    try:
        status = _Supervisor(job).run()
    except BaseException:
        traceback.print_exc()
        end_processes(job["mark"], grace_s=job["grace_s"])
        status = Status(TaskState.FAIL, None, "the supervisor failed: see supervisor.log")
    files.settle(status)


def _lock(path: Path) -> None:
    """Hold a lock until this process ends; its file is there when it is held."""
    new = path.with_name(f".{path.name}")
    with suppress(OSError):  # some file systems have no locks
        file_locks.acquire(new)
        new.rename(path)


def _detach_output(log: Path) -> None:
    with Path(os.devnull).open("rb") as nothing, log.open("ab") as output:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)


if __name__ == "__main__":
    main()
