"""Walking folders: every file once, in order, from any point on, whatever the links."""

from __future__ import annotations

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
