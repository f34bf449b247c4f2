"""Uploaders and downloaders with the vendor's names."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError, StorageError
from aisio.tasks.errors import InvalidArguments
from aisio.tasks.objects.chunks import (
    AsyncResourceDownloader,
    AsyncResourceUploader,
    FileChunks,
    SyncResourceDownloader,
    SyncResourceUploader,
)
from aisio.tasks.objects.resources import upload_file
from aisio.tasks.resources.scan import scan_folder
from tests.tasks.places import make_service, write_data


@pytest.mark.parametrize(("size", "count"), [(1, 1), (9, 3), (10, 4)])
def test_any_09_no_chunk_is_empty(tmp_path, size, count):
    """Also where the size is a multiple; a chunk is read when it is asked for."""
    (tmp_path / "x").write_bytes(bytes(range(size)))
    chunks = FileChunks(tmp_path / "x", 3)
    assert len(chunks) == len(list(chunks)) == count
    assert b"".join(chunks) == bytes(range(size))
    assert all(chunks)
    assert chunks[-1] == chunks[count - 1]
    assert chunks[:2] == list(chunks)[:2]


def test_a_file_that_has_no_chunks(tmp_path):
    """Is refused."""
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ConfigError, match="is empty"):
        FileChunks(tmp_path / "empty")
    with pytest.raises(ConfigError, match="not an existing file"):
        FileChunks(tmp_path / "none")
    with pytest.raises(InvalidArguments, match="chunk_size=0"):
        FileChunks(tmp_path / "empty", 0)


def test_a_file_that_shrinks_is_an_error(tmp_path):
    """Its last chunk would be empty."""
    (tmp_path / "x").write_bytes(b"abcdef")
    chunks = FileChunks(tmp_path / "x", 3)
    (tmp_path / "x").write_bytes(b"abc")
    with pytest.raises(StorageError, match="changed"):
        chunks[1]


@pytest.mark.parametrize("kind", [SyncResourceUploader, AsyncResourceUploader])
def test_uploaders_report_progress(tmp_path, kind):
    """The number of chunks first, then those that are done."""
    service, calls = make_service(tmp_path), list[object]()
    (tmp_path / "x").write_bytes(b"abcdefgh")
    row = service.resources.create("file", "x", filename="x")
    uploader = kind(on_start=calls.append, on_progress=lambda *now: calls.append(now))
    upload_file(service, row.id, tmp_path / "x", uploader, 3)
    assert calls == [3, (1, 3), (2, 3), (3, 3)]
    assert (service.resources.mount(row.id) / "x").read_bytes() == b"abcdefgh"


@pytest.mark.parametrize("kind", [SyncResourceDownloader, AsyncResourceDownloader])
def test_downloaders_write_one_file(tmp_path, kind):
    """Into a folder that exists."""
    service, calls = make_service(tmp_path), list[object]()
    files = scan_folder(write_data(tmp_path / "data"), service.resources.cache)
    row = service.resources.create("dataset", "data")
    service.resources.finish(row, service.resources.upload(files))
    downloader = kind(on_progress=lambda *now: calls.append(now))
    downloader.service = service
    with pytest.raises(ConfigError, match="not an existing folder"):
        downloader.run(row.id, tmp_path / "none")
    assert downloader.run(row.id, tmp_path) == str(tmp_path / "data.zip")
    assert calls[-1] == (3000, 3000)
