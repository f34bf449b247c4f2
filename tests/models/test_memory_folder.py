"""MemoryFolder: shared, filled by one process at a time, and gone after the last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aisio import ConfigError
from aisio.models.memory_folder import MemoryFolder
from tests.models.forked import is_open_in_a_child

ROOT = Path(__file__).parents[2]
KILLED = """
import os, sys
from aisio.models.memory_folder import MemoryFolder
folder = MemoryFolder(sys.argv[1], sys.argv[2])
folder.try_lock()
folder.write("whole", lambda descriptor: os.write(descriptor, b"whole"))
def fill(descriptor):
    os.write(descriptor, b"a part")
    os.kill(os.getpid(), 9)
folder.write("cut", fill)
"""


def write(folder: MemoryFolder, name: str, data: bytes) -> None:
    """Write a file."""
    folder.write(name, lambda descriptor: assert_written(descriptor, data))


def assert_written(descriptor: int, data: bytes) -> None:
    """Write to a descriptor."""
    assert os.write(descriptor, data) == len(data)


def kill_a_process(parent: Path, key: str) -> None:
    """Have a process write one file and a part of another, and be killed."""
    subprocess.run([sys.executable, "-c", KILLED, parent, key], cwd=ROOT, check=False)


def test_users_share_the_files_and_the_last_removes_them(tmp_path: Path) -> None:
    """Files are read only."""
    first, second = MemoryFolder(str(tmp_path), "k"), MemoryFolder(str(tmp_path), "k")
    write(first, "a", b"data")
    assert second.path_of("a").read_bytes() == b"data"
    assert second.path_of("a").stat().st_mode & 0o777 == 0o400
    assert second.path.stat().st_mode & 0o777 == 0o700
    first.leave()
    assert second.path_of("a").exists()
    second.leave()
    assert list(tmp_path.iterdir()) == []


def test_one_has_the_lock(tmp_path: Path) -> None:
    """Until it unlocks."""
    first, second = MemoryFolder(str(tmp_path), "k"), MemoryFolder(str(tmp_path), "k")
    lock = first.try_lock()
    assert lock is not None
    assert second.try_lock() is None
    first.unlock(lock)
    other = second.try_lock()
    assert other is not None
    second.unlock(other)
    first.leave()
    second.leave()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """Its parent may be killed, and another process takes over."""
    folder = MemoryFolder(str(tmp_path), "k")
    lock = folder.try_lock()
    assert lock is not None
    assert not is_open_in_a_child(lock)
    folder.unlock(lock)
    folder.leave()


def test_a_file_that_is_not_written_to_its_end_is_none(tmp_path: Path) -> None:
    """Whatever is raised meanwhile."""
    folder = MemoryFolder(str(tmp_path), "k")

    def fail(descriptor: int) -> None:
        os.write(descriptor, b"a part")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write("a", fail)
    assert list(folder.path.iterdir()) == []
    folder.leave()


def test_what_a_killed_process_left_is_used_or_removed(tmp_path: Path) -> None:
    """By the next process with the same key, or with any other."""
    kill_a_process(tmp_path, "k")
    folder = MemoryFolder(str(tmp_path), "k")
    assert folder.path_of("whole").read_bytes() == b"whole"
    assert not folder.path_of("cut").exists()
    folder.leave()
    assert list(tmp_path.iterdir()) == []
    kill_a_process(tmp_path, "k")
    other = MemoryFolder(str(tmp_path), "other")
    assert list(tmp_path.iterdir()) == [other.path]
    other.leave()


def test_a_missing_parent_is_told() -> None:
    """With the setting to change."""
    with pytest.raises(ConfigError, match=r"no folder /none/x .*MemoryOptions"):
        MemoryFolder("/none/x", "k")
