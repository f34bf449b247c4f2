"""Folders that are removed with their process: by itself, or by the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aisio.temporary_folders import make_owned_folder, remove_owned_folder

ROOT = Path(__file__).parents[1]
MAKE = "from aisio.temporary_folders import *; print(make_owned_folder('test')[0], flush=True)"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where temporary folders are made, also by other processes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def run(code: str) -> subprocess.Popen[str]:
    """Run Python code in a process of its own that waits for a line of input at the end."""
    command = [sys.executable, "-c", f"{MAKE}\n{code}\ninput()"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def first_line(process: subprocess.Popen[str]) -> Path:
    """Return the path that the process prints."""
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_process_removes_the_folder_of_a_killed_one(temporary: Path, number: int) -> None:
    """Not before: a folder is removed only when no process has locked it."""
    with run("pass") as killed, run("pass") as alive:
        stale, locked = first_line(killed), first_line(alive)
        (stale / "records.jsonl").write_text("{}")
        killed.send_signal(number)
        killed.wait()
        assert stale.exists()
        folder, descriptor = make_owned_folder("test")
        assert sorted(temporary.iterdir()) == sorted([locked, Path(folder)])
        remove_owned_folder(folder, descriptor)
        alive.kill()
    assert list(temporary.iterdir()) == [locked]


def test_a_folder_stays_while_a_forked_worker_may_write_to_it(temporary: Path) -> None:
    """A forked process shares the lock."""
    code = "import os\nif os.fork(): os.kill(os.getpid(), 9)\nprint(os.getpid(), flush=True)"
    with run(code) as process:
        shared = first_line(process)
        worker = int(str(first_line(process)))
        folder, descriptor = make_owned_folder("test")
        assert shared.exists()
        remove_owned_folder(folder, descriptor)
        os.kill(worker, signal.SIGKILL)


def test_what_only_looks_like_one_stays(temporary: Path) -> None:
    """Files, links, and folders with other names or with folders in them are not removed."""
    for name in ("aisio-test-owned-a", "aisio-other-owned-a", "aisio-test-owned-.x"):
        (temporary / name / "inner").mkdir(parents=True)
    (temporary / "aisio-test-owned-file").touch()
    (temporary / "aisio-test-owned-link").symlink_to(temporary / "aisio-other-owned-a")
    before = sorted(temporary.rglob("*"))
    remove_owned_folder(*make_owned_folder("test"))
    assert sorted(temporary.rglob("*")) == before


def test_a_folder_is_emptied_by_its_descriptor(temporary: Path) -> None:
    """Its name may mean another folder by then, if other users can write to its parent."""
    folder, descriptor = make_owned_folder("test")
    (temporary / "other").mkdir()
    (temporary / "other" / "file").touch()
    Path(folder).rmdir()
    Path(folder).symlink_to(temporary / "other")
    remove_owned_folder(folder, descriptor)
    assert (temporary / "other" / "file").exists()


def test_a_folder_may_be_made_elsewhere(temporary: Path) -> None:
    """Folders of the same kind that dead processes left there are removed."""
    parent = temporary / "elsewhere"
    (parent / "aisio-test-owned-stale").mkdir(parents=True)
    folder, descriptor = make_owned_folder("test", parent=str(parent))
    assert list(parent.iterdir()) == [Path(folder)]
    remove_owned_folder(folder, descriptor)
    assert list(parent.iterdir()) == []
