"""What is left in the home folder."""

from __future__ import annotations

import os
import time

import pytest

from aisio.errors import NotFoundError
from aisio.tasks.resources.scan import scan_folder
from aisio.tasks.service.leftovers import Leftovers, remove_leftovers
from aisio.tasks.service.rows import RequestRow
from aisio.tasks.states import TaskState
from tests.tasks.places import make_service, write_data
from tests.tasks.service.test_train_tasks import make_task

HOUR_S = 3600.0


def test_what_nothing_needs_is_removed(tmp_path) -> None:
    """After the time of grace, and all else stays."""
    service = make_service(tmp_path)
    resources, tasks, home = service.resources, service.train_tasks, service.settings.home
    registry = service._registry
    files = scan_folder(write_data(tmp_path / "data"), resources.cache)
    kept, gone = (
        resources.finish(resources.create("dataset", name), resources.upload(files))
        for name in ("kept", "gone")
    )
    row = tasks.start(make_task(service, files=kept.id, digest="d1").id)
    mounted = resources.mount(kept.id)
    mounts = mounted.parent
    orphan = resources.mount(gone.id)
    (mounts / f".{gone.id}.partial").mkdir()
    registry.delete(gone)  # as if `delete` was killed then
    resources.write_chunk(resources.create("file", "half").id, 0, b"chunk")
    finishing = resources.create("file", "whole")
    resources.write_chunk(finishing.id, 0, b"chunk")
    uploads = home / "uploads"
    (uploads / f"{finishing.id}.finish").touch()
    (uploads / "FILE0.finish").touch()
    (home / "archives" / "downloads").mkdir(parents=True)
    (home / "archives" / "downloads" / "0a1b").write_bytes(b"zip")
    (home / "archives" / "downloads" / ".0a1b.lock").touch()
    (home / "archives" / "tmpx").mkdir()
    for name, file in (("TRAI0", "variables.json"), ("TRAI1", "output-0.log")):
        (home / "tasks" / name).mkdir()
        (home / "tasks" / name / file).touch()
    (half,) = [path for path in uploads.iterdir() if path.is_dir() and path.name != finishing.id]
    expected = {
        half, uploads / "FILE0.finish", orphan, mounts / f".{gone.id}.partial",
        mounts / f".{gone.id}.files", home / "archives" / "tmpx", home / "tasks" / "TRAI0",
        home / "archives" / "downloads" / "0a1b",
    }  # fmt: skip
    later = time.time() + HOUR_S + 60
    assert remove_leftovers(registry, home, grace_s=HOUR_S) == Leftovers((), 0)
    would = remove_leftovers(registry, home, grace_s=HOUR_S, dry_run=True, now=lambda: later)
    assert set(would.paths) == expected
    assert all(path.exists() for path in expected)
    assert registry.find(RequestRow)
    assert remove_leftovers(registry, home, grace_s=HOUR_S, now=lambda: later) == would
    assert not [path for path in expected if path.exists()]
    assert would.size_bytes > 3000
    assert mounted.is_dir()
    assert (uploads / finishing.id).is_dir()
    assert (home / "tasks" / "TRAI1" / "output-0.log").exists()
    assert tasks.folder(row.id).is_dir()
    assert registry.find(RequestRow) == []


def test_the_folder_of_a_deleted_task_is_removed(tmp_path) -> None:
    """`delete` was killed before it came to that."""
    service = make_service(tmp_path)
    tasks, home = service.train_tasks, service.settings.home
    row = tasks.start(make_task(service).id)
    tasks.abort(row.id)
    folder = tasks.folder(row.id)
    service._registry.update(row, state=int(TaskState.DELETED))
    for path in (*folder.iterdir(), folder):
        os.utime(path, (0, 0))
    assert remove_leftovers(service._registry, home, grace_s=HOUR_S).paths == (folder,)
    assert not folder.exists()


def test_a_link_to_nothing_is_removed(tmp_path) -> None:
    """It has no file whose time or size could be asked for."""
    service = make_service(tmp_path)
    link = service.settings.home / "archives" / "link"
    link.parent.mkdir(parents=True)
    link.symlink_to("missing")
    os.utime(link, (0, 0), follow_symlinks=False)
    paths = remove_leftovers(service._registry, service.settings.home, grace_s=HOUR_S).paths
    assert paths == (link,)
    assert not link.is_symlink()


def test_a_home_that_is_not_there_has_none(tmp_path) -> None:
    """Nothing is an error."""
    service = make_service(tmp_path)
    pieces, leftovers = service.collect_garbage()
    assert (pieces.kept, leftovers) == (0, Leftovers((), 0))
    with pytest.raises(NotFoundError):
        service.resources.get("DSET0")
