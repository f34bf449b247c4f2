"""Downloading a resource into a folder, and mounting it."""

from __future__ import annotations

import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from aisio.errors import ArchiveError, ConfigError, IntegrityError, NotFoundError
from aisio.tasks.resources.download import mount, write_files
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.scan import scan_file, scan_folder
from aisio.tasks.resources.stat_cache import StatCache
from aisio.tasks.resources.tree import Tree
from aisio.tasks.resources.upload import upload_files
from tests.tasks.places import sending, write_data


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def uploaded(place: Path, *, archive: bool = False) -> tuple[Tree, PieceStore, Path]:
    """Upload a folder, or an archive of it."""
    folder, store = write_data(place / "data"), PieceStore(f"file://{place}/store/")
    (folder / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    cache = StatCache(place / "home")
    if not archive:
        return upload_files(scan_folder(folder, cache), sending(store), cache), store, folder
    with zipfile.ZipFile(place / "data.zip", "w") as file:
        for name, data in contents(folder).items():
            file.writestr(name, data)
    tree = upload_files([scan_file(place / "data.zip", cache)], sending(store), cache, kind="file")
    return tree, store, folder


def test_the_files_come_back(tmp_path):
    """With the right to run them; only into an empty folder."""
    tree, store, folder = uploaded(tmp_path)
    progress = list[tuple[int, int]]()
    write_files(tree, store, tmp_path / "new", lambda *now: progress.append(now))
    assert contents(tmp_path / "new") == contents(folder)
    assert (tmp_path / "new" / "run.sh").stat().st_mode & 0o100
    assert progress[-1] == (tree.size, tree.size)
    with pytest.raises(ConfigError, match="not empty"):
        write_files(tree, store, tmp_path / "new")


@pytest.mark.parametrize("archive", [False, True])
def test_a_mount_is_made_once(tmp_path, archive):
    """Also by several at a time; an archive is unpacked."""
    tree, store, folder = uploaded(tmp_path, archive=archive)
    target = tmp_path / "mounts" / "DSET1"
    threads = [threading.Thread(target=mount, args=(tree, store, target)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(target) == contents(folder)
    (target / "mark").write_bytes(b"")
    assert mount(tree, store, target) == target
    assert (target / "mark").exists()


@pytest.mark.parametrize("archive", [False, True])
def test_a_mount_that_a_task_has_changed_is_not_used(tmp_path, archive):
    """Until it is deleted: then it is made again."""
    tree, store, folder = uploaded(tmp_path, archive=archive)
    target = mount(tree, store, tmp_path / "mounts" / "DSET1", read_only=True)
    assert mount(tree, store, target, read_only=True) == target
    (target / "train" / "1.bin").unlink()
    with pytest.raises(IntegrityError, match=r"removed train/1\.bin"):
        mount(tree, store, target, read_only=True)
    shutil.rmtree(target)
    assert contents(mount(tree, store, target, read_only=True)) == contents(folder)


@pytest.mark.parametrize("archive", [False, True])
def test_no_task_changes_the_data_of_the_next(tmp_path, archive):
    """Files are read-only; those that may be run still may be, and the folder can be removed."""
    tree, store, _ = uploaded(tmp_path, archive=archive)
    target = mount(tree, store, tmp_path / "mounts" / "DSET1", read_only=True)
    modes = {path.name: path.stat().st_mode & 0o333 for path in target.rglob("*.*")}
    assert modes == {
        "0.bin": 0,
        "1.bin": 0,
        "2.bin": 0,
        "run.sh": 0 if archive else modes["run.sh"],
    }
    assert archive or modes["run.sh"] & 0o111
    shutil.rmtree(target)


def test_a_mount_that_fails_leaves_none(tmp_path):
    """What a killed process left behind is in nobody's way."""
    tree, store, folder = uploaded(tmp_path)
    target, lost = tmp_path / "mounts" / "DSET1", tree.files[0].pieces[0]
    piece = tmp_path / "store" / "pieces" / lost.digest[:2] / lost.digest
    data = piece.read_bytes()
    piece.unlink()
    with pytest.raises(NotFoundError):
        mount(tree, store, target)
    assert not target.exists()
    piece.write_bytes(data)
    (tmp_path / "mounts" / ".DSET1.partial" / "left").mkdir(parents=True)
    assert contents(mount(tree, store, target)) == contents(folder)


def test_an_archive_that_leads_out_is_refused(tmp_path):
    """Nothing is written outside of the mount."""
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr("../../evil", b"x")
    store, cache = PieceStore(f"file://{tmp_path}/store/"), StatCache(tmp_path / "home")
    tree = upload_files(
        [scan_file(tmp_path / "evil.zip", cache)], sending(store), cache, kind="file"
    )
    with pytest.raises(ArchiveError):
        mount(tree, store, tmp_path / "mounts" / "DSET1")
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "mounts" / "DSET1").exists()
