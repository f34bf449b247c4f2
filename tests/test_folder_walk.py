"""Walking folders: every file once, in order, from any name on, whatever the links."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import StorageError
from aisio.folder_walk import walk

NAMES = sorted(
    ["a", "a-b", "a.txt", "b/c", "b/c-d", "b/c.d/e", "b-x", "b0", "é/z", "日"], key=str.encode
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose names sort one way by folder and another by name."""
    root = tmp_path_factory.mktemp("walked")
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_names_come_in_bytewise_order_with_their_sizes(folder: Path) -> None:
    """Of the whole name: "b-x" is before "b/c", which is before "b0"."""
    files = list(walk(str(folder)))
    assert [file.name for file in files] == NAMES
    assert [file.stat.st_size for file in files] == [len(name.encode()) for name in NAMES]


pieces = st.sampled_from(["", *NAMES, "b", "b/", "b/c.", "x", "aa", "b/d"])


@given(prefix=pieces, start_after=pieces)
def test_prefix_and_start_are_plain_text(folder: Path, prefix: str, start_after: str) -> None:
    """The names are the same although the walk does not read all folders."""
    walked = [file.name for file in walk(str(folder), prefix=prefix, start_after=start_after)]
    assert walked == [name for name in NAMES if name.startswith(prefix) and name > start_after]


def test_links_that_lead_to_each_other_end(tmp_path: Path) -> None:
    """x/link leads to y, y/link to x: the walk meets each file by each path that is no loop."""
    for folder, other in (("x", "y"), ("y", "x")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_bytes(b"")
        (tmp_path / folder / "link").symlink_to(tmp_path / other)
    assert [file.name for file in walk(str(tmp_path))] == [
        "x/file",
        "x/link/file",
        "y/file",
        "y/link/file",
    ]


def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    """A file that the user counts on is missing."""
    (tmp_path / "gone").symlink_to(tmp_path / "absent")
    with pytest.raises(StorageError, match="gone is a link that leads to no file"):
        list(walk(str(tmp_path)))


def test_a_loop_of_links_is_an_error_that_names_one(tmp_path: Path) -> None:
    """Two links that lead to each other, and one to itself."""
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(StorageError, match="/[ab] is a link that leads to no file .*levels of"):
        list(walk(str(tmp_path)))


def test_what_is_no_file_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The line says how many, which and why; another walk of the process logs nothing."""
    (tmp_path / "file").write_bytes(b"")
    for number in range(5):
        os.mkfifo(tmp_path / f"pipe{number}")
    (tmp_path / "up").symlink_to(tmp_path)
    with socket.socket(socket.AF_UNIX) as end:
        before = Path.cwd()
        os.chdir(tmp_path)  # a socket's path has at most some 100 bytes
        try:
            end.bind("socket")
        finally:
            os.chdir(before)
    for _ in range(2):
        assert [file.name for file in walk(str(tmp_path))] == ["file"]
    (message,) = caplog.messages
    assert f"{tmp_path}: skipped 5 (pipes): '{tmp_path}/pipe0', '" in message
    assert "pipe2', ...; 1 (sockets): '" in message
    assert message.endswith(f"; 1 (links to a folder that they are in): '{tmp_path}/up'")


def test_what_is_outside_the_prefix_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The walk does not even look at it, whatever a link there leads to."""
    (tmp_path / "a").write_bytes(b"")
    os.mkfifo(tmp_path / "b")
    (tmp_path / "loop").symlink_to("loop")
    assert [file.name for file in walk(str(tmp_path), prefix="a")] == ["a"]
    assert caplog.messages == []


def test_a_folder_may_be_deeper_than_pythons_stack(tmp_path: Path) -> None:
    """The file system allows some two thousand levels of one letter."""
    deepest = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=deepest)
        inner = os.open("d", os.O_RDONLY, dir_fd=deepest)
        os.close(deepest)
        deepest = inner
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=deepest))
    os.close(deepest)
    try:
        assert [file.name for file in walk(str(tmp_path))] == ["d/" * 1500 + "f"]
    finally:
        # shutil.rmtree is recursive before Python 3.13.
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)
