"""LocalFolder."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from aisio.errors import ConfigError, ConflictError
from aisio.transfer.local_folder import AbandonedError, LocalFolder

URL = "ais://b/a"


def write(folder, name, data=b"new"):
    """Write a file of the folder."""
    with LocalFolder(folder).open(str(folder / name), URL) as file:
        file.write(data)


def test_files_are_written_below_it(tmp_path):
    """Folders are made as they are needed; what killed processes left is removed."""
    folder = tmp_path / "out"
    write(folder, "a/b/c")
    (folder / "a/b" / f".{'0' * 16}.aisio-partial").write_bytes(b"half")
    write(folder, "a/b/d")
    assert sorted(path.name for path in (folder / "a/b").iterdir()) == ["c", "d"]


def test_a_file_is_replaced_at_the_end_or_not_at_all(tmp_path):
    """An error leaves the old one, and nothing else."""
    write(tmp_path, "a", b"old")
    with pytest.raises(TypeError):
        write(tmp_path, "a", None)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_links_may_not_lead_out_of_it(tmp_path):
    """Those that stay in it are followed."""
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "in").symlink_to("deep")
    (folder / "away").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    write(folder, "in/a")
    assert (folder / "deep/a").read_bytes() == b"new"
    with pytest.raises(ConfigError, match="leads out of"):
        write(folder, "away/a")
    with pytest.raises(OSError, match="symbolic links"):
        write(folder, "loop")


def test_other_kinds_of_files_are_not_replaced(tmp_path):
    """Nor is a file taken for a folder."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (
        ("folder", "is a folder"),
        ("pipe", "is a pipe"),
        ("file/a", "should be a folder"),
    ):
        with pytest.raises(ConflictError, match=problem):
            write(tmp_path, name)
    with pytest.raises(NotADirectoryError):
        LocalFolder(tmp_path / "file")


def test_empty_folders_above_a_file_are_removed(tmp_path):
    """Up to the folder itself, and no others."""
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/file").write_bytes(b"")
    LocalFolder(tmp_path).remove_empty_parents(tmp_path / "a/b/c/x")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
    (tmp_path / "a/file").unlink()
    LocalFolder(tmp_path).remove_empty_parents(tmp_path / "a/x")
    assert tmp_path.exists()
    assert not list(tmp_path.iterdir())


def test_threads_may_begin_with_one_folder(tmp_path):
    """None removes what another is about to write."""
    folder = LocalFolder(tmp_path / "out")
    paths = [tmp_path / "out" / f"{number // 8}" / f"{number}" for number in range(160)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda path: folder.write(str(path), URL, b"data"), paths))
    assert {path.read_bytes() for path in paths} == {b"data"}


def test_what_is_abandoned_leaves_no_file(tmp_path):
    """Neither what is being written, nor what another thread begins afterwards."""
    folder = LocalFolder(tmp_path)
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(FileNotFoundError))
        stack.enter_context(folder.open(f"{tmp_path}/a", URL)).write(b"half")
        folder.abandon()
        assert not list(tmp_path.iterdir())
    with pytest.raises(AbandonedError), folder.open(f"{tmp_path}/b", URL):
        pass
    assert not list(tmp_path.iterdir())
