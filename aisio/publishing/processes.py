"""What the processes of this machine publish, as `aisio top` reads it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from aisio.publishing.publisher import FILE, KIND, VERSION
from aisio.temporary_folders import owned_folder_prefix, remove_stale_folders

__all__ = ["PublishedProcess", "family_of", "published_processes"]


class PublishedProcess(msgspec.Struct, frozen=True):
    """What a process has last written of itself.

    Attributes:
        version: Of the form of this record.
        host: The machine's name.
        pid: The process.
        parent: The process that started it.
        command: Its command line, without the credentials of URLs.
        started: When it began to publish, in seconds since 1970.
        time: When it wrote this, likewise.
        seconds: How long before it counted `before`.
        totals: All it has counted.
        before: What it had counted some seconds before.
        rank: Its rank; None if nothing has looked for it.
        ranks: Number of ranks; None likewise.
        worker: Its number among a DataLoader's workers; None for none.
        waits_for_batch_s: How long it has waited for a batch; None if it does not.
        blocked_on: The URL whose bytes a thread has waited for the longest; "" for none.
        blocked_s: How long.
    """

    version: int
    host: str
    pid: int
    parent: int
    command: str
    started: float
    time: float
    seconds: float
    totals: dict[str, float]
    before: dict[str, float]
    rank: int | None = None
    ranks: int | None = None
    worker: int | None = None
    waits_for_batch_s: float | None = None
    blocked_on: str = ""
    blocked_s: float = 0.0

    def total(self, *names: str) -> float:
        """Return the sum of some counters."""
        return sum(self.totals.get(name, 0) for name in names)

    def rate(self, *names: str) -> float | None:
        """Return what some counters have grown by in a second; None if that is not known yet."""
        if self.seconds <= 0:
            return None
        return (self.total(*names) - sum(map(self._before, names))) / self.seconds

    def _before(self, name: str) -> float:
        return self.before.get(name, 0)


_decoder = msgspec.json.Decoder(PublishedProcess)


def published_processes(folder: Path) -> list[PublishedProcess]:
    """Return what this user's processes publish in a folder, by rank, then workers.

    What processes left that have ended is removed.

    Raises:
        OSError: The folder cannot be read.
    """
    remove_stale_folders(str(folder), KIND)
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(owned_folder_prefix(KIND)):
                continue
            # Another user's, one that is just made or removed, or of another version of aisio.
            with suppress(OSError, msgspec.DecodeError, RecursionError):
                if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                    process = _decoder.decode(Path(entry.path, FILE).read_bytes())
                    if process.version == VERSION:
                        found.append(process)
    return sorted(found, key=_order)


def _order(process: PublishedProcess) -> tuple[float, ...]:
    rank = float("inf") if process.rank is None else process.rank
    worker = -1 if process.worker is None else process.worker
    return rank, process.parent if process.worker is not None else process.pid, worker, process.pid


def family_of(pid: int, processes: Iterable[PublishedProcess]) -> list[PublishedProcess]:
    """Return those processes that are a process, or that it has started, at whatever remove."""
    processes = list(processes)
    parents = {process.pid: process.parent for process in processes}
    return [process for process in processes if pid in _ancestors(process.pid, parents)]


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    """Return a process and all that it descends from, as far as this machine tells."""
    found: set[int] = set()
    while pid > 1 and pid not in found:
        found.add(pid)
        pid = parents.get(pid) or _parent_of(pid)
    return found


def _parent_of(pid: int) -> int:
    """Return the parent of a process; 0 where that is not to be seen, as on macOS."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        return int(text.rpartition(")")[2].split()[1])  # the name before may hold anything
    except (OSError, ValueError, IndexError):
        return 0
