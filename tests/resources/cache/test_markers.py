"""Markers: how an entry looked when it was verified."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aisio.resources.cache.markers import (
    Marker,
    new_marker,
    read_marker,
    stamp_of,
    write_marker,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file."""
    path = tmp_path / "file"
    path.write_bytes(b"the bytes")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two folders."""
    path = tmp_path / "folder"
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "b" / "file").write_bytes(b"1")
    return path


def test_a_stamp_matches_what_has_not_changed(file: Path, folder: Path, tmp_path: Path) -> None:
    """Also through a link, whose own times do not count."""
    link = tmp_path / "link"
    link.symlink_to(file)
    for path in (file, folder):
        assert stamp_of(path).matches(str(path))
        assert not stamp_of(path).matches(str(path) + "-other")
    assert stamp_of(link) == stamp_of(file)


def _truncate(path: Path) -> None:
    os.truncate(path, 3)


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def _become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [_truncate, _remove, _replace, _become_a_folder])
def test_a_stamp_does_not_match_a_changed_file(file: Path, change: Callable[[Path], None]) -> None:
    """By its size, inode or kind."""
    stamp = stamp_of(file)
    change(file)
    assert not stamp.matches(str(file))


def test_a_stamp_of_a_folder_has_the_times_of_all_its_folders(folder: Path) -> None:
    """The folder itself first, those near the top before those below."""
    stamp = stamp_of(folder)
    assert stamp.folders == ("a", "a/b")
    assert stamp.times == tuple(
        path.stat().st_ctime_ns for path in (folder, folder / "a", folder / "a" / "b")
    )
    (folder / "a" / "b" / "file").unlink()
    assert not stamp.matches(str(folder))


def test_a_stamp_of_very_many_folders_has_the_first_thousand(tmp_path: Path) -> None:
    """So that looking at them stays fast."""
    for number in range(1001):
        (tmp_path / "folder" / f"{number:04}" / "below").mkdir(parents=True)
    stamp = stamp_of(tmp_path / "folder")
    assert len(stamp.folders) == 1000
    assert len(stamp.times) == 1001
    assert stamp.folders[-1] == "0999"
    assert stamp.matches(str(tmp_path / "folder"))


def marker_of(file: Path) -> Marker:
    """Return the marker of a verified file."""
    stamp = stamp_of(file)
    return new_marker(file.name, "0" * 64, stamp, {file.name: stamp})


def test_a_marker_is_read_as_it_was_written(file: Path) -> None:
    """For its own entry only; and nothing else is left beside it."""
    path = file.with_name("marker")
    assert read_marker(path, file.name) is None
    write_marker(path, marker_of(file))
    assert read_marker(path, file.name) == marker_of(file)
    assert read_marker(path, "other") is None
    assert sorted(each.name for each in file.parent.iterdir()) == ["file", "marker"]


def test_a_marker_of_another_format_is_not_read(file: Path) -> None:
    """A later version of aisio may have written it."""
    path = file.with_name("marker")
    write_marker(path, marker_of(file))
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"format":2', b'"format":3'))
    assert path.read_bytes() != text
    assert read_marker(path, file.name) is None


def test_a_marker_that_cannot_be_put_in_place_leaves_nothing(file: Path) -> None:
    """A folder has its name."""
    path = file.with_name("marker")
    path.mkdir()
    with pytest.raises(OSError, match="marker"):
        write_marker(path, marker_of(file))
    assert sorted(each.name for each in file.parent.iterdir()) == ["file", "marker"]
