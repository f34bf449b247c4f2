"""A local data set, uploaded if the service does not have it in this state."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import zipfile
from collections.abc import Sequence

import pytest

from aisio.errors import ConfigError, NotFoundError, StorageError
from aisio.tasks.dataset_sync import find_local_data, sync_dataset
from aisio.tasks.errors import ResourceError
from aisio.tasks.objects.chunks import ResourceUploader, SyncResourceUploader
from aisio.tasks.records.local import LocalRecords
from aisio.tasks.service.service import TaskService
from aisio.tasks.states import ResourceState
from tests.tasks.places import make_service, stored, write_data


class LosingUploader(ResourceUploader):
    """Leaves out the last chunk."""

    def run(self, resource_id: str, chunks: Sequence[bytes]) -> bool:
        """Send the others."""
        for number, chunk in list(enumerate(chunks))[:-1]:
            self.send(resource_id, number, chunk)
        return True


def rows(service: TaskService) -> list[str]:
    """Return the ids of uploads that are recorded."""
    records = LocalRecords(service.settings.home)
    with records.database.transaction() as db:
        return [row["id"] for row in db.execute("SELECT id FROM local_dataset")]


@pytest.mark.parametrize("uploader", [None, SyncResourceUploader()])
def test_any_06_unchanged_data_is_reused(tmp_path, uploader):
    """A touched file is unchanged, too: its content counts."""
    service, data = make_service(tmp_path), find_local_data(write_data(tmp_path / "data"), None)
    assert data is not None
    first = sync_dataset(service, data, uploader)
    pieces = stored(service)
    (tmp_path / "data" / "train" / "0.bin").touch()
    assert sync_dataset(make_service(tmp_path), data, uploader) == first
    assert stored(service) == pieces
    assert rows(service) == [first.id]
    (tmp_path / "data" / "train" / "0.bin").write_bytes(b"changed")
    second = sync_dataset(service, data, uploader)
    assert second.id != first.id
    assert len(stored(service) - pieces) == 1


def test_two_users_of_a_home_folder_have_the_same_data(tmp_path):
    """Each has a data set of it, and its bytes are stored once."""
    data = find_local_data(write_data(tmp_path / "data"), None)
    assert data is not None
    ada, bob = make_service(tmp_path), make_service(tmp_path, user="bob")
    first, second = sync_dataset(ada, data), sync_dataset(bob, data)
    assert (first.creator_id, second.creator_id) == ("ada", "bob")
    for _ in range(2):
        assert (sync_dataset(ada, data), sync_dataset(bob, data)) == (first, second)
    assert len(stored(ada)) == 3


@pytest.mark.parametrize("loss", ["the registry's row", "the tree"])
def test_any_07_what_is_gone_remotely_is_registered_again(tmp_path, caplog, loss):
    """With the vendor's warning; the old row is dropped."""
    service, data = make_service(tmp_path), find_local_data(write_data(tmp_path / "data"), None)
    assert data is not None
    first = sync_dataset(service, data)
    if loss == "the tree":
        service.resources.store.delete_tree(first.id)
    else:
        service.resources.delete(first.id)
    with caplog.at_level(logging.WARNING, "aisio.tasks"):
        second = sync_dataset(service, data)
    assert second.id != first.id
    assert caplog.messages == [
        f"Local dataset ({first.id}) has been deleted remotely, forced to re-registering dataset."
    ]
    assert rows(service) == [second.id]


def test_any_08_a_failed_upload_is_not_recorded(tmp_path):
    """The next call uploads it."""
    service, data = make_service(tmp_path), find_local_data(write_data(tmp_path / "data"), None)
    assert data is not None
    with pytest.raises(ResourceError, match="chunk 0 was not uploaded"):
        sync_dataset(service, data, LosingUploader())
    assert rows(service) == []
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    (tmp_path / "store").write_text("no folder")
    with pytest.raises(ResourceError, match="Error occured when uploading dataset") as raised:
        sync_dataset(service, data)
    assert isinstance(raised.value.__cause__, StorageError)
    assert rows(service) == []
    (tmp_path / "store").unlink()
    assert rows(service) == []
    assert sync_dataset(service, data).id == rows(service)[0]


def test_any_38_a_store_that_fails_is_not_taken_for_one_without_the_data(tmp_path):
    """The row stays, and the error is told."""
    service, data = make_service(tmp_path), find_local_data(write_data(tmp_path / "data"), None)
    assert data is not None
    first = sync_dataset(service, data)
    shutil.move(tmp_path / "store", tmp_path / "moved")
    (tmp_path / "store").write_text("no folder")
    with pytest.raises(StorageError, match="Not a directory"):
        service.resources.has_data(first)
    with pytest.raises((StorageError, ResourceError)):
        sync_dataset(service, data)
    assert rows(service) == [first.id]


def test_any_04_an_archive_that_exists_is_used_as_it_is(tmp_path):
    """Else the folder is; what is nowhere is an error."""
    service, folder = make_service(tmp_path), write_data(tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "given.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    data = find_local_data(folder, tmp_path / "given.zip")
    assert data is not None
    row = sync_dataset(service, data)
    assert row.filename == "given.zip"
    assert sync_dataset(service, data) == row
    assert (service.resources.mount(row.id) / "a.txt").read_text() == "hello"
    fallback = find_local_data(folder, tmp_path / "none.zip")
    assert fallback is not None
    assert (fallback.folder, fallback.archive) == (folder, None)
    assert find_local_data(None, None) is None
    for arguments, name in (((None, tmp_path / "none.zip"), "none.zip"), (("none", None), "none")):
        with pytest.raises(ConfigError, match=f"{re.escape(name)} is not an existing"):
            find_local_data(*arguments)


def test_a_folder_goes_as_an_archive_by_an_uploader(tmp_path):
    """It stands in the home folder under the data set's name."""
    service, folder = make_service(tmp_path), write_data(tmp_path / "data")
    data, counts = find_local_data(folder, None), list[tuple[int, int]]()
    assert data is not None
    uploader = SyncResourceUploader(on_progress=lambda *now: counts.append(now))
    row = sync_dataset(service, data, uploader)
    assert (service.settings.home / f"{data.name}.zip").is_file()
    assert row.filename == f"{data.name}.zip"
    assert counts == [(1, 1)]
    assert len(list(service.resources.mount(row.id).rglob("*.bin"))) == 3


def test_a_piece_that_the_store_has_lost_is_uploaded_again(tmp_path):
    """Once that was noticed; a changed data set does not count on it either."""
    service, folder = make_service(tmp_path), write_data(tmp_path / "data")
    data = find_local_data(folder, None)
    assert data is not None
    row = sync_dataset(service, data)
    lost = min((tmp_path / "store" / "pieces").rglob("*/*"))
    lost.unlink()
    with pytest.raises(NotFoundError):
        service.resources.mount(row.id)
    state = service.resources.get(row.id)
    assert state.state == ResourceState.ERROR
    assert state.message.startswith("the store has lost a part of it: ")
    (folder / "train" / "new.bin").write_bytes(b"new")
    row = sync_dataset(service, data)
    assert lost.exists()
    assert len(list(service.resources.mount(row.id).rglob("*.bin"))) == 4


def test_an_upload_that_was_killed_before_its_record_is_found(tmp_path):
    """There is no second data set with the same files."""
    service, data = make_service(tmp_path), find_local_data(write_data(tmp_path / "data"), None)
    assert data is not None
    row = sync_dataset(service, data)
    LocalRecords(service.settings.home).delete_dataset(row.id)
    assert sync_dataset(service, data) == row
    assert rows(service) == [row.id]


def test_of_several_at_a_time_one_uploads(tmp_path):
    """The others wait, and find it."""
    service, data = make_service(tmp_path), find_local_data(write_data(tmp_path / "data"), None)
    assert data is not None
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(sync_dataset(service, data).id))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
