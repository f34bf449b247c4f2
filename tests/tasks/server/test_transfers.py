"""What is kept on this machine while clients upload and download."""

from __future__ import annotations

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor

import aiohttp  # noqa: F401 - the server needs it
import pytest

from aisio.errors import NotFoundError
from aisio.tasks.errors import InvalidArguments
from aisio.tasks.resources.scan import scan_folder
from aisio.tasks.server.transfers import Archives, UnfinishedUploads
from aisio.tasks.service import TaskService
from aisio.tasks.states import ResourceState
from tests.tasks.places import make_service, write_data


@pytest.fixture
def service(tmp_path) -> TaskService:
    """Return a service."""
    return make_service(tmp_path)


def new_folder(service: TaskService, tmp_path, name: str = "data", count: int = 3) -> str:
    """Store a folder as a data set; return its id."""
    files = scan_folder(write_data(tmp_path / name, count), service.resources.cache)
    row = service.resources.create("dataset", name)
    return service.resources.finish(row, service.resources.upload(files)).id


def test_a_folder_is_a_zip_which_is_made_once(service, tmp_path) -> None:
    """The id is that of its contents."""
    archives = Archives(service)
    dataset = new_folder(service, tmp_path)
    made = archives.make(dataset)
    path = archives.path(dataset, made)
    before = path.stat().st_ino
    assert archives.is_zip_of_folder(dataset)
    assert zipfile.ZipFile(path).namelist() == [f"train/{number}.bin" for number in range(3)]
    assert archives.make(dataset) == made
    assert path.stat().st_ino == before


def test_an_archive_is_that_of_its_resource(service, tmp_path) -> None:
    """Another's, one that is not there, or a path is none."""
    archives = Archives(service)
    one = new_folder(service, tmp_path, "one")
    other = new_folder(service, tmp_path, "other", 2)
    made = archives.make(other)
    for archive_id, error in (
        (made, NotFoundError),
        ("0" * 64, NotFoundError),
        ("../service.db", InvalidArguments),
    ):
        with pytest.raises(error):
            archives.path(one, archive_id)


def test_archives_are_deleted_after_a_day(service, tmp_path) -> None:
    """When the next one is made."""
    archives = Archives(service)
    old = new_folder(service, tmp_path, "old", 1)
    path = archives.path(old, archives.make(old))
    os.utime(path, (0, 0))
    archives.make(new_folder(service, tmp_path, "new", 2))
    assert not path.exists()


def test_an_upload_that_was_finished_is_not_noted_any_more(service) -> None:
    """Whether it could be stored or not."""
    uploads = UnfinishedUploads(service)
    row = service.resources.create("dataset", "data", filename="data.bin")
    uploads.add(row.id)
    assert uploads.all() == [row.id]
    uploads.finish(row.id)
    assert uploads.all() == []
    assert service.resources.get(row.id).state == ResourceState.ERROR
    service.resources.write_chunk(row.id, 0, b"bytes")
    uploads.add(row.id)
    uploads.finish(row.id)
    assert service.resources.get(row.id).state == ResourceState.READY
    uploads.add(row.id)  # as if the server was killed before it took the note away
    uploads.finish(row.id)
    assert service.resources.get(row.id).state == ResourceState.READY


def test_two_calls_finish_an_upload_once(service) -> None:
    """A client asks again when it has not read the answer; both calls are at work at once."""
    uploads = UnfinishedUploads(service)
    for _ in range(10):
        row = service.resources.create("dataset", "data", filename="data.bin")
        for number in range(20):
            service.resources.write_chunk(row.id, number, bytes([number]) * 100)
        uploads.add(row.id)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(uploads.finish, [row.id] * 2))
        assert service.resources.get(row.id).state == ResourceState.READY


def test_an_unknown_upload_cannot_be_finished(service) -> None:
    """Nothing is noted."""
    uploads = UnfinishedUploads(service)
    with pytest.raises(NotFoundError):
        uploads.add("DSET0")
    assert uploads.all() == []
