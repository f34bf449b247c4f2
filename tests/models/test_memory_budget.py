"""How much memory there is: of the file system, the machine, and the container."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.models.memory_budget import room_in

MIB = 1024 * 1024


def write(files: dict[Path, str]) -> None:
    """Write files as the kernel has them."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a folder like /proc, by which tmp_path is in memory."""
    folder = tmp_path / "proc"
    write(
        {
            folder / "meminfo": "MemTotal: 9 kB\nMemAvailable: 10 kB\n",
            folder / "self/mounts": f"none / ext4 rw 0 0\nnone {tmp_path} tmpfs rw 0 0\n",
            folder / "self/cgroup": "0::/job/step\n",
        }
    )
    return folder


def test_a_folder_in_memory_has_what_the_machine_has(tmp_path: Path, proc: Path) -> None:
    """Which is less than its file system says."""
    room = room_in(tmp_path, proc=proc, cgroups=tmp_path / "none")
    assert room == (10 * 1024, "the machine's available memory")


def test_a_folder_of_a_disk_has_its_free_space(tmp_path: Path, proc: Path) -> None:
    """Whatever memory there is."""
    (proc / "self/mounts").write_text("none / ext4 rw 0 0\n")
    room = room_in(tmp_path, proc=proc, cgroups=tmp_path / "none")
    assert room.free_bytes > MIB
    assert room.limit == f"free in {tmp_path}"


@pytest.mark.parametrize("group", ["job/step", "job", ""])
def test_a_container_has_what_its_group_leaves(tmp_path: Path, proc: Path, group: str) -> None:
    """Any of the groups that it is in; cache that can be dropped counts as free."""
    place = tmp_path / "groups" / group
    write(
        {
            place / "memory.max": "5000\n",
            place / "memory.current": "2000\n",
            place / "memory.stat": "anon 1\ninactive_file 300\n",
        }
    )
    room = room_in(tmp_path, proc=proc, cgroups=tmp_path / "groups")
    assert room.free_bytes == 3300
    assert str(place) in room.limit


def test_older_groups_and_no_limits(tmp_path: Path, proc: Path) -> None:
    """Version 1 has other names; "max" is no limit."""
    groups = tmp_path / "groups"
    (proc / "self/cgroup").write_text("3:cpu:/x\n4:memory:/job\n0::/\n")
    write(
        {
            groups / "memory.max": "max\n",
            groups / "memory/job/memory.limit_in_bytes": "5000\n",
            groups / "memory/job/memory.usage_in_bytes": "6000\n",
        }
    )
    assert room_in(tmp_path, proc=proc, cgroups=groups).free_bytes == 0
