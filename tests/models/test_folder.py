"""ModelFolder: filled once, shared, and never emptied of what others put there."""

from __future__ import annotations

from pathlib import Path

import pytest

import aisio.models.folder as folder_module
from aisio import ConfigError
from aisio.models.files import MARKER, ModelFile
from aisio.models.folder import ModelFolder
from aisio.records import ObjectInfo
from aisio.urls import ObjectUrl

FILES = [
    ModelFile(name, ObjectUrl.parse(f"ais://b/{name}"), ObjectInfo("ais://b", name, 1))
    for name in ("a", "sub/deep/b")
]


def fill(folder: ModelFolder) -> None:
    """Put all files into a folder."""
    for file in FILES:
        folder.write(file.name, b"x")


def open_folder(path: Path, key: str = "k", fill=fill) -> ModelFolder:
    """Open a folder for a model."""
    return ModelFolder(path, url="ais://b", key=key, files=FILES, fill=fill)


def never(_: ModelFolder) -> None:
    """Fail: another has filled the folder."""
    raise AssertionError("filled twice")


def names(path: Path) -> list[str]:
    """Return what is in a folder, and in those in it."""
    return sorted(str(one.relative_to(path)) for one in path.rglob("*"))


def test_a_folder_is_filled_shared_and_removed(tmp_path: Path) -> None:
    """By the first, by all, by the last."""
    path = tmp_path / "new" / "model"
    first = open_folder(path)
    second = open_folder(path, fill=never)
    assert names(path) == [MARKER, "a", "sub", "sub/deep", "sub/deep/b"]
    first.leave()
    assert (path / "a").exists()
    second.leave()
    assert not path.exists()


def test_an_empty_folder_stays(tmp_path: Path) -> None:
    """Who made it may want it."""
    open_folder(tmp_path).leave()
    assert names(tmp_path) == []


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    """And stay as they are."""
    for name in ("1", "2", "3", "4"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=r"not of a model: 1, 2, 3 and 1 more"):
        open_folder(tmp_path)
    assert names(tmp_path) == ["1", "2", "3", "4"]


def test_files_that_others_added_stay(tmp_path: Path) -> None:
    """Also where the folder was made for the model."""
    path = tmp_path / "model"
    folder = open_folder(path)
    (path / "sub" / "mine").write_text("mine")
    folder.leave()
    assert names(path) == ["sub", "sub/mine"]
    with pytest.raises(ConfigError, match="not of a model: sub"):
        open_folder(path)


def test_a_folder_in_use_is_not_given_to_another_model(tmp_path: Path) -> None:
    """But to the next one, when it is no longer used."""
    folder = open_folder(tmp_path)
    with pytest.raises(ConfigError, match="other processes use it for ais://b"):
        open_folder(tmp_path, "other")
    folder.leave()
    open_folder(tmp_path, "other").leave()


def test_a_folder_in_use_without_a_marker_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has removed that: to wait for it would have no end."""
    monkeypatch.setattr(folder_module, "_WAIT_S", 0)
    folder = open_folder(tmp_path)
    (tmp_path / MARKER).unlink()
    with pytest.raises(ConfigError, match=rf"{tmp_path}: other processes use it, and its {MARKER}"):
        open_folder(tmp_path, fill=never)
    assert names(tmp_path) == ["a", "sub", "sub/deep", "sub/deep/b"]
    folder.leave()


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    """Also what it had only begun, and the marker tells what that is."""
    folder = open_folder(tmp_path)
    folder._folder.close()  # as the kernel does it
    (tmp_path / "sub" / ".0.aisio-partial").write_text("a part")
    again = open_folder(tmp_path, "other")
    assert names(tmp_path) == [MARKER, "a", "sub", "sub/deep", "sub/deep/b"]
    again.leave()
    assert names(tmp_path) == []


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """No file, no marker, no folder."""

    def fail(folder: ModelFolder) -> None:
        folder.write("a", b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_folder(tmp_path / "model", fill=fail)
    assert names(tmp_path) == []


def test_a_marker_of_another_program_is_none(tmp_path: Path) -> None:
    """Names that lead out of the folder are not removed."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    path = tmp_path / "model"
    open_folder(path)._folder.close()
    marker = (path / MARKER).read_text()
    (path / MARKER).write_text(marker.replace('"a"', '"../outside"'))
    with pytest.raises(ConfigError, match="not of a model"):
        open_folder(path)
    assert outside.read_text() == "mine"


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """Where a folder of the model was."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "b").write_text("mine")
    path = tmp_path / "model"
    folder = open_folder(path)
    (path / "sub" / "deep" / "b").unlink()
    (path / "sub" / "deep").rmdir()
    (path / "sub").rmdir()
    (path / "sub").symlink_to(outside)
    folder.leave()
    assert names(outside) == ["deep", "deep/b"]


def test_a_link_replaces_what_is_there(tmp_path: Path) -> None:
    """At once; a second time it is there already."""
    folder = open_folder(tmp_path / "model")
    (tmp_path / "target").write_text("large")
    for _ in range(2):
        folder.link("a", tmp_path / "target")
        assert (tmp_path / "model" / "a").readlink() == tmp_path / "target"
    folder.leave()
    assert (tmp_path / "target").read_text() == "large"
