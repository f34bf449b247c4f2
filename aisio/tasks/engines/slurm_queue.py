"""What Slurm says of a job: `squeue` is asked, and `sacct` where the controller has forgotten it.

submitit asks `sacct` alone, which needs an accounting database. Many clusters have none, and there
every job would be UNKNOWN for ever.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

from aisio.config import inherited_environment
from aisio.errors import UnavailableError

__all__ = ["SlurmJobState", "SlurmQueue", "cancel_job", "cluster_name"]

# Source: squeue(1), "JOB STATE CODES". A state that is not here is no end: new ones are added.
_FINAL = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED"),
        *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
    }
)
_WAITING = frozenset(
    {
        *("CONFIGURING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD"),
        *("RESV_DEL_HOLD", "SPECIAL_EXIT"),
    }
)
_UNKNOWN_JOB = "Invalid job id"
_ENDED_JOB = "already completing or completed"
_NO_REASON = ("None", "(null)", "")
_COMMAND_TIMEOUT_S = 30.0  # squeue gives up after 18 s where the controller is down (22.05)
_SHORTEST_INTERVAL_S = 1.0
_LONGEST_INTERVAL_S = 30.0
_SOON_S = 2.0


@dataclass(frozen=True)
class SlurmJobState:
    """What Slurm says of a job.

    Attributes:
        name: The state as `squeue` names it; "" where Slurm does not know the job.
        reason: Why it waits, or why it ended; "" if Slurm gives none.
    """

    name: str
    reason: str = ""

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self.name in _FINAL

    @property
    def waiting(self) -> bool:
        """Whether no node runs the job yet, or none any more."""
        return self.name in _WAITING


@dataclass(frozen=True)
class _Answer:
    state: SlurmJobState
    evidence: Hashable
    asked_at: float
    interval_s: float


class SlurmQueue:
    """Answers for jobs, and asks Slurm seldom: one controller serves all users of a cluster.

    A job is asked about again after 1 s, and after twice the time whenever nothing has changed, up
    to 30 s. A controller that does not answer is left alone for 30 s, whatever the job.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[str, _Answer] = {}
        self._silence: tuple[float, UnavailableError] | None = None

    def state(
        self, job_id: str, folder: Path, *, evidence: Hashable = None, soon: bool = False
    ) -> SlurmJobState:
        """Return the state of a job.

        Args:
            job_id: Its ID.
            folder: The task's folder, which holds the script of the job.
            evidence: What is known of the job from elsewhere: when it changes, Slurm is asked.
            soon: Somebody waits for the end of the job: ask every 2 s at least.

        Raises:
            UnavailableError: Slurm does not answer.
        """
        now = self._clock()
        last = self._answers.get(job_id)
        if last and last.evidence == evidence:
            interval_s = min(last.interval_s, _SOON_S) if soon else last.interval_s
            if now < last.asked_at + interval_s:
                return last.state
        if self._silence and now < self._silence[0] + _LONGEST_INTERVAL_S:
            raise UnavailableError(str(self._silence[1]))
        try:
            state = _ask(job_id, folder)
        except UnavailableError as error:
            self._silence = (self._clock(), error)
            raise
        self._silence = None
        interval_s = _SHORTEST_INTERVAL_S
        if last and (last.evidence, last.state) == (evidence, state):
            interval_s = min(2 * last.interval_s, _LONGEST_INTERVAL_S)
        self._answers[job_id] = _Answer(state, evidence, self._clock(), interval_s)
        return state


def _ask(job_id: str, folder: Path) -> SlurmJobState:
    done = _run("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T|%r|%o")
    if done.returncode and _UNKNOWN_JOB not in done.stderr:
        raise _no_answer("squeue", done)
    for line in done.stdout.splitlines():
        name, reason, script = (*line.split("|", 2), "", "")[:3]
        # A cluster that was set up anew gives IDs again: a job with another script is another job.
        if Path(script).parent == folder / "submitit":
            return SlurmJobState(name, "" if reason in _NO_REASON else reason)
    return SlurmJobState(_recorded_state(job_id))


def _recorded_state(job_id: str) -> str:
    """Return how the accounting database says that a job has ended; "" where it does not.

    Of a job that the controller does not know, it may say for ever that the job is running.
    """
    try:
        done = _run(
            *("sacct", "--allocations", "--noheader", "--parsable2"),
            *(f"--jobs={job_id}", "--format=State"),
        )
    except UnavailableError:
        return ""
    words = done.stdout.split()  # as in "CANCELLED by 1000"
    return words[0] if words and words[0] in _FINAL else ""


def cluster_name() -> str:
    """Return the name of the cluster that this machine asks.

    Raises:
        UnavailableError: Slurm does not answer.
    """
    done = _run("scontrol", "show", "config")
    found = re.search(r"^ClusterName\s*=\s*(\S+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        raise _no_answer("scontrol", done)
    return found[1]


def cancel_job(job_id: str) -> None:
    """End a job; one that has ended stays as it is.

    Raises:
        UnavailableError: Slurm does not answer, or refuses it.
    """
    done = _run("scancel", job_id)
    if done.returncode and _UNKNOWN_JOB not in done.stderr and _ENDED_JOB not in done.stderr:
        raise _no_answer("scancel", done)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env=inherited_environment(without=("SQUEUE_", "SACCT_", "SCANCEL_")),  # they filter
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise UnavailableError(f"{command[0]} is not installed on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"{command[0]} has not answered in {_COMMAND_TIMEOUT_S:.0f} s"
        ) from error
    except OSError as error:
        raise UnavailableError(f"{command[0]}: {os.strerror(error.errno or 0)}") from error


def _no_answer(program: str, done: subprocess.CompletedProcess[str]) -> UnavailableError:
    text = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
    return UnavailableError(f"{program}: {text}")
