"""What processes hold: memory of their own, shared memory, descriptors, threads, names."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """What a process holds in memory besides what it was started with.

    Attributes:
        private: Bytes that it wrote to and that no other process sees: what a forked process still
            shares with its parent is left out.
        shared: Bytes of shared memory that it has touched, as where batches travel.
    """

    private: int
    shared: int

    @classmethod
    def of(cls, process: int) -> Memory:
        """Return the memory of a process; see smaps in proc_pid_smaps(5)."""
        private = shared = 0
        is_shared = False
        for line in _read(f"/proc/{process}/smaps").splitlines():
            first, *words = line.split()
            if not first.endswith(b":"):
                is_shared = words[0].endswith(b"s")
            elif is_shared and first == b"Rss:":
                shared += int(words[0]) * 1024
            elif not is_shared and first == b"Private_Dirty:":
                private += int(words[0]) * 1024
        return cls(private, shared)


class Holdings(NamedTuple):
    """What this process holds, by number.

    Attributes:
        files: Open descriptors.
        threads: Threads.
        children: Child processes.
        names: Names in /dev/shm that have the number of one of `processes` in them.
    """

    files: int
    threads: int
    children: int
    names: int

    @classmethod
    def now(cls, processes: Collection[int]) -> Holdings:
        """Count them.

        Args:
            processes: This process, and all children that it has had.
        """
        own = Path("/proc/self")
        names = [set(re.findall(r"\d+", path.name)) for path in Path("/dev/shm").iterdir()]
        numbers = set(map(str, processes))
        return cls(
            len(list((own / "fd").iterdir())),
            len(list((own / "task").iterdir())),
            len(children()),
            sum(not numbers.isdisjoint(name) for name in names),
        )


def cpu_s() -> float:
    """Return the CPU time of this process and of its children, ended or not, in seconds."""
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ticks = 0
    for process in children():
        fields = _read(f"/proc/{process}/stat").rpartition(b")")[2].split()
        ticks += sum(map(int, fields[11:15]))  # see stat in proc_pid_stat(5)
    return sum(usage.ru_utime + usage.ru_stime for usage in own) + ticks / os.sysconf("SC_CLK_TCK")


def children() -> list[int]:
    """Return the child processes of all threads of this process."""
    threads = Path("/proc/self/task").iterdir()
    return [int(process) for thread in threads for process in _read(thread / "children").split()]


def largest(processes: Iterable[int]) -> Memory:
    """Return the memory of the process that holds most; none if there is no process."""
    return max(map(Memory.of, processes), key=sum, default=Memory(0, 0))


def _read(path: str | Path) -> bytes:
    """Return what is in a file of /proc; nothing if its process or thread has just ended."""
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
