"""Walking folders: every file once, in order, from any point on, whatever the links."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import StorageError
from aisio.folders import walk

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
    found = list(walk(str(folder)))
    assert [one.name for one in found] == NAMES
    assert [one.stat.st_size for one in found] == [len(name.encode()) for name in NAMES]


pieces = st.sampled_from(["", *NAMES, "b", "b/", "b/c.", "x", "aa", "b/d"])


@given(prefix=pieces, start_after=pieces)
def test_prefix_and_start_are_plain_text(folder: Path, prefix: str, start_after: str) -> None:
    """Skipping folders unread changes nothing of the answer."""
    found = [one.name for one in walk(str(folder), prefix=prefix, start_after=start_after)]
    assert found == [name for name in NAMES if name.startswith(prefix) and name > start_after]


def test_links_that_lead_to_each_other_end(tmp_path: Path) -> None:
    """x/l leads to y, y/k to x: each file is met by each way to it that is no circle."""
    for here, there in (("x", "y"), ("y", "x")):
        (tmp_path / here).mkdir()
        (tmp_path / here / "file").write_bytes(b"")
        (tmp_path / here / "link").symlink_to(tmp_path / there)
    assert [one.name for one in walk(str(tmp_path))] == [
        "x/file",
        "x/link/file",
        "y/file",
        "y/link/file",
    ]


def test_a_link_to_nowhere_is_an_error(tmp_path: Path) -> None:
    """A file that was counted on is missing: that is not passed over."""
    (tmp_path / "gone").symlink_to(tmp_path / "absent")
    with pytest.raises(StorageError, match="gone is a link that leads to no file"):
        list(walk(str(tmp_path)))


def test_a_link_in_a_circle_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Two links that lead to each other, and one to itself."""
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(StorageError, match="/[ab] is a link that leads to no file .*levels of"):
        list(walk(str(tmp_path)))


def test_what_is_no_file_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """How many, which and why; another walk of the process adds nothing."""
    (tmp_path / "file").write_bytes(b"")
    for number in range(5):
        os.mkfifo(tmp_path / f"pipe{number}")
    (tmp_path / "up").symlink_to(tmp_path)
    with socket.socket(socket.AF_UNIX) as end:
        here = Path.cwd()
        os.chdir(tmp_path)  # the name of a socket has room for 100 bytes
        try:
            end.bind("socket")
        finally:
            os.chdir(here)
    for _ in range(2):
        assert [one.name for one in walk(str(tmp_path))] == ["file"]
    (message,) = caplog.messages
    assert f"{tmp_path}: left out 5 (pipes): '{tmp_path}/pipe0', '" in message
    assert "pipe2', ...; 1 (sockets): '" in message
    assert message.endswith(f"; 1 (links to a folder that they are in): '{tmp_path}/up'")


def test_what_is_beside_the_prefix_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody asked for it; nor is it looked at, whatever a link there leads to."""
    (tmp_path / "a").write_bytes(b"")
    os.mkfifo(tmp_path / "b")
    (tmp_path / "circle").symlink_to("circle")
    assert [one.name for one in walk(str(tmp_path), prefix="a")] == ["a"]
    assert caplog.messages == []


def test_a_folder_may_be_deeper_than_pythons_stack(tmp_path: Path) -> None:
    """The file system allows some two thousand levels of one letter."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    try:
        assert [found.name for found in walk(str(tmp_path))] == ["d/" * 1500 + "f"]
    finally:
        # Python's own way to remove it is recursive before 3.13.
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)
