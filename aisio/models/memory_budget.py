"""How much memory there is for the files of a model.

Source:
    /proc/meminfo and /proc/self/mounts: proc(5). memory.max, memory.current and memory.stat:
    kernel.org, Control Group v2. memory.limit_in_bytes and memory.usage_in_bytes: the same, v1.
    Files of a tmpfs count for the group of the process that writes them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["Room", "room_in"]

_IN_MEMORY = ("tmpfs", "ramfs")
_LIMIT_FILES = (
    ("memory.max", "memory.current"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)


class Room(NamedTuple):
    """How many bytes fit, and what sets the limit.

    Attributes:
        free_bytes: How many bytes.
        limit: What sets the limit, for messages.
    """

    free_bytes: int
    limit: str


def room_in(
    folder: Path, *, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")
) -> Room:
    """Return how many bytes can be written to a folder now.

    Args:
        folder: An existing folder; of a disk, where only the free space counts, or in memory.
        proc: Where the kernel says how much memory is free.
        cgroups: Where it says the limits of a container.
    """
    system = os.statvfs(folder)
    rooms = [Room(system.f_bavail * system.f_frsize, f"free in {folder}")]
    if _is_in_memory(folder, proc):
        with suppress(OSError, ValueError, StopIteration):
            rooms.append(Room(_available_bytes(proc), "the machine's available memory"))
        rooms += _cgroup_rooms(proc, cgroups)
    return min(rooms)


def _is_in_memory(folder: Path, proc: Path) -> bool:
    """Tell whether a folder is of a file system in memory: by the mount nearest to it."""
    nearest = ("", "")
    with suppress(OSError):
        for line in (proc / "self" / "mounts").read_text("utf-8", "replace").splitlines():
            _, mount, kind, *_ = line.split(" ")
            mount = mount.replace("\\040", " ")
            if folder.is_relative_to(mount) and len(mount) >= len(nearest[0]):
                nearest = (mount, kind)
    return nearest[1] in _IN_MEMORY


def _available_bytes(proc: Path) -> int:
    lines = (proc / "meminfo").read_text("utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024


def _cgroup_rooms(proc: Path, cgroups: Path) -> Iterator[Room]:
    """Yield what each control group that this process is in has left."""
    paths: list[Path] = []
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text("utf-8").splitlines():
            number, controllers, group = line.split(":", 2)
            if number == "0" or "memory" in controllers.split(","):
                paths.append(cgroups / ("" if number == "0" else "memory") / group.lstrip("/"))
    for path in paths:
        # A container sees its own group at the top, and the path of the host may lead nowhere.
        for place in (path, *path.parents):
            if place.is_relative_to(cgroups):
                yield from _group_room(place)


def _group_room(group: Path) -> Iterator[Room]:
    for limit_file, used_file in _LIMIT_FILES:
        with suppress(OSError, ValueError):  # no such group, or "max": no limit
            limit = int((group / limit_file).read_text("utf-8"))
            used = int((group / used_file).read_text("utf-8"))
            free = limit - used + _droppable_bytes(group)
            yield Room(max(0, free), f"left of the container's memory ({group / limit_file})")


def _droppable_bytes(group: Path) -> int:
    """Return how much of a group's memory is cache that the kernel drops when it needs room."""
    with suppress(OSError, ValueError):
        for line in (group / "memory.stat").read_text("utf-8").splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0
