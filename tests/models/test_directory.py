"""ModelDirectory: a model as a folder, in one process and in several."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch  # noqa: F401 - in_background needs it

from aisio import ConfigError, UrlError
from aisio.models import MemoryOptions, ModelDirectory
from aisio.models.files import MARKER
from tests.models.models import FILES, Case, files_in

ROOT = Path(__file__).parents[2]
PREPARE = """
import os, sys
from aisio.models import MemoryOptions, ModelDirectory
source, path, memory = sys.argv[1:]
options = MemoryOptions(from_bytes=1000, folder=memory)
directory = ModelDirectory(f"file://{source}", path, memory=options).prepare()
print("prepared", flush=True)
"""


def start(case: Case, path: Path, code: str = "input()") -> subprocess.Popen[str]:
    """Prepare the model in a process of its own; return it when that is done."""
    command = [sys.executable, "-c", PREPARE + code, str(case.source)]
    command += [str(path), str(case.memory)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "prepared\n"
    return process


def assert_nothing_is_left(case: Case) -> None:
    """Check folder and memory."""
    assert not case.path.exists()
    assert list(case.memory.iterdir()) == []


def test_the_folder_has_all_files(case: Case) -> None:
    """Small ones are files, large ones links to memory; afterwards all is gone."""
    with case.directory() as directory:
        assert directory.path == case.path
        assert files_in(case.path) == FILES
        assert (case.path / "a.safetensors").is_symlink()
        assert not (case.path / "config.json").is_symlink()
        assert sorted(json.loads((case.path / MARKER).read_text())["files"]) == sorted(FILES)
    assert_nothing_is_left(case)


def test_it_is_closed_when_it_is_dropped(case: Case) -> None:
    """Or when it is closed, as often as one likes; and it can be prepared again."""
    case.directory().prepare()
    assert_nothing_is_left(case)
    directory = case.directory()
    for _ in range(2):
        assert directory.prepare().prepare() is directory
        assert files_in(case.path) == FILES
        directory.close()
        directory.close()
        assert_nothing_is_left(case)


def test_what_is_mapped_outlives_it(case: Case) -> None:
    """A model that was loaded goes on."""
    with case.directory():
        descriptor = os.open(case.path / "sub/b.bin", os.O_RDONLY)
    assert os.pread(descriptor, 5000, 0) == FILES["sub/b.bin"]
    os.close(descriptor)


def test_a_program_that_has_its_descriptors_outlives_it(case: Case) -> None:
    """It finds all files; the next directory removes them, when the program has ended."""
    directory = case.directory().prepare()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=directory.descriptors()):
        directory.close()
        assert files_in(case.path) == FILES
    case.directory().prepare().close()
    assert_nothing_is_left(case)


def test_it_is_a_path_and_stays_in_its_process(case: Case) -> None:
    """Functions that copy their arguments get the same one; a worker is sent the path."""
    directory = case.directory()
    assert os.fspath(directory) == str(directory) == str(case.path)
    assert copy.deepcopy(directory) is directory
    assert repr(directory) == f"ModelDirectory('file://{case.source}/', '{case.path}')"
    with pytest.raises(TypeError, match="send its path"):
        pickle.dumps(directory)
    with pytest.raises(ConfigError, match="is not prepared"):
        directory.wait()


def test_arguments_that_cannot_work_are_refused() -> None:
    """In words."""
    with pytest.raises(ConfigError, match="dir is empty"):
        ModelDirectory("file:///m", "")
    with pytest.raises(UrlError):
        ModelDirectory("m", "d")


def test_a_file_in_place_of_the_folder_is_an_error(case: Case) -> None:
    """And the memory is freed."""
    case.path.write_text("mine")
    with pytest.raises(OSError, match="model"):
        case.directory().prepare()
    assert case.path.read_text() == "mine"
    assert list(case.memory.iterdir()) == []


def test_processes_share_memory_and_folder(case: Case) -> None:
    """Large files are read once, by the first; its end changes nothing for the others."""
    with start(case, case.path) as first:
        inode = (case.path / "a.safetensors").stat().st_ino
        with case.directory() as same, case.directory(case.path.with_name("other")) as other:
            assert (same.path / "a.safetensors").stat().st_ino == inode
            assert (other.path / "a.safetensors").stat().st_ino == inode
            first.communicate("\n")
            assert first.returncode == 0
            assert files_in(same.path) == files_in(other.path) == FILES
    assert_nothing_is_left(case)


@pytest.mark.parametrize("in_background", [False, True])
def test_the_next_process_takes_over_from_a_killed_one(case: Case, in_background: bool) -> None:
    """Its memory is used, and freed in the end."""
    with start(case, case.path) as killed:
        killed.send_signal(signal.SIGKILL)
    assert (case.path / "a.safetensors").exists()
    inode = (case.path / "a.safetensors").stat().st_ino
    with case.directory(in_background=in_background) as directory:
        directory.wait()
        assert (case.path / "a.safetensors").stat().st_ino == inode
        assert files_in(case.path) == FILES
    assert_nothing_is_left(case)


def test_a_program_that_ends_leaves_nothing(case: Case) -> None:
    """Without having closed it; a forked child removes nothing before."""
    code = """
pid = os.fork()
if not pid:
    directory.close()
    sys.exit()
os.waitpid(pid, 0)
print(os.path.exists(path + "/a.safetensors"))
"""
    with start(case, case.path, code) as process:
        # Not communicate(): the line may have been read along with the one before it.
        assert process.stdout is not None
        assert process.stdout.read() == "True\n"
    assert_nothing_is_left(case)


def test_a_changed_model_is_not_taken_for_the_old_one(case: Case) -> None:
    """While that is in use it needs another folder; then it replaces it."""
    changed = FILES["sub/b.bin"][::-1]
    with case.directory():
        (case.source / "sub/b.bin").write_bytes(changed)
        with pytest.raises(ConfigError, match="another version"):
            case.directory().prepare()
        with case.directory(case.path.with_name("other")) as other:
            assert (other.path / "sub/b.bin").read_bytes() == changed
            assert (case.path / "sub/b.bin").read_bytes() == FILES["sub/b.bin"]
    assert_nothing_is_left(case)


def test_all_files_may_be_small(case: Case) -> None:
    """Then no memory is needed, and there is no limit to check."""
    options = MemoryOptions(max_bytes=0, folder=str(case.memory))
    for in_background in (False, True):
        with case.directory(memory=options, in_background=in_background):
            assert files_in(case.path) == FILES
    assert_nothing_is_left(case)
