"""The files beside a cache entry, and how they are replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aisio.resources.cache.side_files import MARKER, remove, side_file, swap_or_remove


def make_file(path: Path) -> None:
    """Make a file."""
    path.write_bytes(b"1")


def make_folder(path: Path) -> None:
    """Make a folder that is not empty."""
    (path / "folder").mkdir(parents=True)
    make_file(path / "folder" / "file")


def make_link(path: Path) -> None:
    """Make a link to a folder that is not empty."""
    make_folder(path.parent.with_name("elsewhere"))
    path.symlink_to("../elsewhere")


def make_nothing(path: Path) -> None:
    """Make nothing."""


MAKE = [make_file, make_folder, make_link, make_nothing]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path in an empty folder."""
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache" / "name"


def test_a_side_file_has_the_name_of_its_entry(tmp_path: Path) -> None:
    """With an ending behind it, whatever endings the name has."""
    assert side_file(tmp_path / "a.tar", MARKER) == tmp_path / "a.tar.aisio-verified"


@pytest.mark.parametrize("make", MAKE)
def test_whatever_has_a_name_is_removed(path: Path, make: Callable[[Path], None]) -> None:
    """But nothing that a link points to."""
    make(path)
    remove(path)
    assert not os.path.lexists(path)
    assert (path.parents[1] / "elsewhere" / "folder" / "file").exists() == (make is make_link)


@pytest.mark.parametrize("old", [make_file, make_folder, make_nothing])
@pytest.mark.parametrize("existing", MAKE)
def test_what_is_removed_leaves_nothing(
    path: Path, existing: Callable[[Path], None], old: Callable[[Path], None]
) -> None:
    """Also of an earlier removal, which was killed."""
    existing(path)
    old(path.with_name("old"))
    swap_or_remove(path, path.with_name("old"))
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("existing", MAKE)
def test_the_new_file_gets_the_name(path: Path, existing: Callable[[Path], None]) -> None:
    """And nothing else is left."""
    existing(path)
    path.with_name("new").write_bytes(b"new")
    swap_or_remove(path, path.with_name("old"), path.with_name("new"))
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]
