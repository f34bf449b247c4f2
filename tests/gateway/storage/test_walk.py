from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aisio.gateway.storage.safe_opener import SafeOpener
from aisio.gateway.storage.skipped import SkippedNames
from aisio.gateway.storage.walk import Directory, DirectoryReader, Walk

TREE = ["a/b/c", "a/bd", "a/bq/r", "aaa.txt", "aaa/.h", "aaa/bbb/ccc/z", "aaa/bbb/y", "aaa/x"]
TREE += ["aaab/q", "a-b", "a0", "top", "ü/ö", "\U0001f600", "\uffff"]
STARTS = [
    "",
    "a",
    "a/",
    "a/b",
    "a/b/",
    "aa",
    "aaa",
    "aaa.",
    "aaa/",
    "aaa/b",
    "aaa/bbb/",
    "t",
    "ü/",
    "zz",
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with the files of TREE."""
    root = tmp_path_factory.mktemp("tree").resolve()
    for name in TREE:
        (root / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "b" / name).touch()
    return str(root)


def names(root: str, prefix: str = "", after: str = "", *, recursive: bool = True) -> list[str]:
    """Return the names that a walk over bucket b yields."""
    with contextlib.closing(SafeOpener(root, excluded=".aisio")) as opener:
        walk = Walk(DirectoryReader(opener, SkippedNames()), prefix, after, recursive=recursive)
        return [found.name for found in walk.below("b")]


@pytest.mark.parametrize("depth", [1, 2])
def test_a_directory_can_be_left(tree: str, depth: int) -> None:
    """Of each directory of a depth the first name is yielded, and what is beside it."""
    found, seen = list[str](), set[str]()
    with contextlib.closing(SafeOpener(tree, excluded=".aisio")) as opener:
        walk = Walk(DirectoryReader(opener, SkippedNames()), "", "", recursive=True)
        for entry in walk.below("b"):
            found.append(entry.name)
            parts = entry.name.split("/")
            if len(parts) > depth:
                walk.leave("/".join(parts[:depth]) + "/")
    expected = list[str]()
    for name in sorted(TREE, key=str.encode):
        parts = name.split("/")
        group = "/".join(parts[:depth]) + "/" * (len(parts) > depth)
        if group not in seen:
            expected.append(name)
        seen.add(group)
    assert found == expected


@pytest.mark.parametrize("prefix", STARTS)
@pytest.mark.parametrize("after", [*STARTS, *TREE])
def test_names_come_in_bytewise_order_from_anywhere(tree: str, prefix: str, after: str) -> None:
    """As if all names were sorted by their UTF-8 bytes, and then filtered."""
    expected = sorted(TREE, key=str.encode)
    expected = [name for name in expected if name.startswith(prefix) and name > after]
    assert names(tree, prefix, after) == expected


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["a-b", "a/", "a0", "aaa.txt", "aaa/", "aaab/", "top", "ü/", "\uffff", "\U0001f600"]),
        ("aaa/", ["aaa/.h", "aaa/bbb/", "aaa/x"]),
        ("aaa", ["aaa.txt", "aaa/.h", "aaa/bbb/", "aaa/x", "aaab/"]),
        ("a/b", ["a/b/c", "a/bd", "a/bq/"]),
        ("zz", []),
    ],
)
def test_one_level_has_its_folders_as_entries(tree: str, prefix: str, expected: list[str]) -> None:
    """A folder is an entry with / at its end; the one that the prefix names is entered."""
    assert names(tree, prefix, recursive=False) == expected


def test_one_level_can_be_continued_after_a_folder(tree: str) -> None:
    """The name of a folder is a continuation token like any other."""
    assert names(tree, after="aaa/", recursive=False)[:2] == ["aaab/", "top"]


keys = st.lists(st.text("ab.-/", min_size=1, max_size=4), max_size=12)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(keys, st.text("ab.-/", max_size=4), st.text("ab.-/", max_size=4))
def test_a_directory_selects_wanted_keys(raw: list[str], prefix: str, after: str) -> None:
    """A file if it is wanted; a directory if a name below it can be wanted."""
    found = sorted({key.replace("/", "") + "/" * key.endswith("/") for key in raw} - {"", "/"})
    selected = list(Directory(found, frozenset()).select(prefix, after))

    def wanted(key: str) -> bool:
        if not key.endswith("/"):
            return key.startswith(prefix) and key > after
        return (key.startswith(prefix) or prefix.startswith(key)) and (
            key > after or after.startswith(key)
        )

    assert selected == [key for key in found if wanted(key)]


def test_links_inside_are_followed_and_others_skipped(tmp_path: Path) -> None:
    """Only what is in the served folder, and not in the gateway's private folder, is listed."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    for folder in (outside, root / "b", root / "other", root / ".aisio"):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (root / "b" / "to-outside").symlink_to(outside)
    (root / "b" / "to-file-outside").symlink_to(outside / "file")
    (root / "b" / "to-metadata").symlink_to(root / ".aisio" / "file")
    (root / "b" / "to-nothing").symlink_to(root / "b" / "nothing")
    (root / "b" / "inside").symlink_to(root / "other")
    (root / "b" / "inside-file").symlink_to(root / "other" / "file")
    assert names(str(root.resolve())) == ["file", "inside-file", "inside/file"]


def test_loops_of_links_end(tmp_path: Path) -> None:
    """A folder is not entered again from below itself, by one link or by several."""
    root = tmp_path.resolve()
    for name in ("b/x", "b/y"):
        (root / name).mkdir(parents=True)
        (root / name / "file").touch()
    (root / "b" / "x" / "up").symlink_to(root / "b")
    (root / "b" / "x" / "y").symlink_to(root / "b" / "y")
    (root / "b" / "y" / "x").symlink_to(root / "b" / "x")
    assert names(str(root)) == ["x/file", "x/y/file", "y/file", "y/x/file"]


def test_fifos_and_names_that_are_not_utf8_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither can be an object; both are logged."""
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / "fifo")
    Path(os.fsdecode(bytes(tmp_path / "b" / "bad") + b"\xff")).touch()
    (tmp_path / "b" / "good").touch()
    assert names(str(tmp_path.resolve())) == ["good"]
    assert "names that are not UTF-8" in caplog.text
    assert "sockets, fifos or devices" in caplog.text


def test_a_cached_directory_notices_changes(tmp_path: Path) -> None:
    """Large directories are cached only as long as nothing in them changes."""
    root = tmp_path.resolve()
    (root / "b").mkdir()
    for number in range(1000):
        (root / "b" / f"{number:04}").touch()
    with contextlib.closing(SafeOpener(str(root))) as opener:
        directories = DirectoryReader(opener, SkippedNames())
        first = directories.read("b")
        (root / "b" / "new").touch()
        assert len(directories.read("b").keys) == len(first.keys) + 1


def test_a_directory_that_is_removed_during_a_walk_is_left_out(tmp_path: Path) -> None:
    """Also if it is replaced by a link that leads out, or by a file."""
    for name in ("a", "b", "c", "d"):
        (tmp_path / "b" / name).mkdir(parents=True)
        (tmp_path / "b" / name / "file").touch()
    with contextlib.closing(SafeOpener(str(tmp_path))) as opener:
        found = Walk(DirectoryReader(opener, SkippedNames()), "", "", recursive=True).below("b")
        assert next(found).name == "a/file"
        for name in ("b", "c", "d"):
            (tmp_path / "b" / name / "file").unlink()
            (tmp_path / "b" / name).rmdir()
        (tmp_path / "b" / "c").symlink_to("/etc")
        (tmp_path / "b" / "d").touch()
        assert list(found) == []
