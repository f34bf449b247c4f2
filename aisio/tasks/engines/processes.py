"""The processes of one task on this machine: found and ended, and none of anybody else's.

Every process of a task has a mark in its environment, which it inherits from the one that started
it. A process ID alone would not do: IDs are used again. A process belongs to a task if it

- has the mark;
- descends from one that has it, as one that wrote over its environment;
- is in a session that one with the mark leads.

A task that was started by a task has another mark, and stays. Linux only: this reads /proc.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aisio.errors import NotSupportedError

__all__ = [
    "MARK_VARIABLE",
    "adopt_orphans",
    "boot_id",
    "check_platform",
    "die_with_parent",
    "end_processes",
    "find_processes",
    "has_mark",
    "send_signal",
]

MARK_VARIABLE = "AISIO_TASK_RUN"
"""The environment variable with the mark of a task's processes."""

_PROC = Path("/proc")
_POLL_INTERVAL_S = 0.02
_EMPTY_SCANS = 2
# Source: linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class ProcessInfo:
    """A process as /proc shows it.

    Attributes:
        pid: Its ID.
        parent: The ID of its parent.
        session: The ID of its session.
        start: When it started, in ticks since the machine did: with it, the ID is unique.
        mark: The mark in its environment; None if it has none, or the environment is another
            user's.
    """

    pid: int
    parent: int
    session: int
    start: int
    mark: str | None


def check_platform() -> None:
    """Refuse a system without Linux's /proc.

    Raises:
        NotSupportedError: It is one.
    """
    if sys.platform != "linux":
        raise NotSupportedError(f"tasks run on this machine on Linux alone, not on {sys.platform}")


def boot_id() -> str:
    """Return what this machine is known by until it is started anew; containers share it."""
    # Source: random(4), "/proc interfaces".
    return (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()


def find_processes(mark: str) -> list[ProcessInfo]:
    """Return the processes of a task that have not ended, without the one that asks."""
    every = {
        found.pid: found
        for name in os.listdir(_PROC)  # noqa: PTH208 - Path objects double the time
        if name.isdecimal() and (found := _read(int(name)))
    }
    mine = {pid for pid, process in every.items() if process.mark == mark}
    leaders = frozenset(pid for pid in mine if every[pid].session == pid)
    while True:
        more = {
            pid
            for pid, process in every.items()
            if pid not in mine
            and process.mark is None
            and (process.parent in mine or process.session in leaders)
        }
        if not more:
            break
        mine |= more
    mine.discard(os.getpid())
    return [every[pid] for pid in sorted(mine)]


def has_mark(pid: int, mark: str) -> bool:
    """Tell whether a process has this mark, and has not ended."""
    process = _read(pid)
    return process is not None and process.mark == mark


def send_signal(process: ProcessInfo, number: int) -> bool:
    """Signal a process; return whether it was still there.

    Raises:
        PermissionError: It runs as another user.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The descriptor stands for whoever has the ID now: it must still be the same process.
        now = _read(process.pid)
        if now is None or now.start != process.start:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def end_processes(mark: str, *, grace_s: float, keep: Iterable[int] = ()) -> None:
    """End the processes of a task: by SIGTERM, after a while by SIGKILL, until there is none.

    Args:
        mark: The task's mark.
        grace_s: Seconds between the two.
        keep: IDs of processes that stay.
    """
    kept = frozenset(keep)
    kill_at = time.monotonic() + grace_s
    warned: set[tuple[int, int]] = set()
    empty_scans = 0
    # A scan may miss a process whose parent starts it and ends meanwhile: the next one finds it.
    while empty_scans < _EMPTY_SCANS:
        processes = [found for found in find_processes(mark) if found.pid not in kept]
        empty_scans = 0 if processes else empty_scans + 1
        if time.monotonic() >= kill_at:
            for process in processes:
                send_signal(process, signal.SIGKILL)
        else:
            for process in processes:
                if (process.pid, process.start) not in warned:
                    send_signal(process, signal.SIGTERM)
                    warned.add((process.pid, process.start))
        time.sleep(_POLL_INTERVAL_S)


def adopt_orphans() -> None:
    """Become the parent of each descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Get SIGTERM when the thread that started this process ends, however it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _read(pid: int) -> ProcessInfo | None:
    """Return a process; None if it has ended, also where its parent has not noticed."""
    folder = _PROC / str(pid)
    try:
        # The name, in brackets, may hold blanks and brackets. Source: proc_pid_stat(5).
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    try:
        environment = (folder / "environ").read_bytes()
    except OSError:
        environment = b""
    return ProcessInfo(pid, int(fields[1]), int(fields[3]), int(fields[19]), _mark_in(environment))


def _mark_in(environment: bytes) -> str | None:
    start = f"{MARK_VARIABLE}=".encode()
    for variable in environment.split(b"\0"):
        if variable.startswith(start):
            return variable[len(start) :].decode(errors="replace")
    return None
