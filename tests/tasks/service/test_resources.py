"""Resources: rows and data."""

from __future__ import annotations

import pytest

from aisio.errors import AccessError, ConflictError, NotFoundError
from aisio.tasks.errors import InvalidArguments, ResourceError
from aisio.tasks.objects.resources import upload_file
from aisio.tasks.resources.scan import scan_folder
from aisio.tasks.resources.tree import PIECE_BYTES
from aisio.tasks.service.service import TaskService
from aisio.tasks.states import ResourceState
from tests.tasks.places import make_service, stored, write_data


@pytest.fixture
def service(tmp_path) -> TaskService:
    """Return a new service."""
    return make_service(tmp_path)


def test_a_resource_is_ready_when_all_of_it_is_there(tmp_path, service):
    """Not before."""
    resources = service.resources
    row = resources.create("dataset", "data")
    with pytest.raises(ResourceError, match="is CREATED, not READY"):
        resources.tree(row.id)
    files = scan_folder(write_data(tmp_path / "data"), resources.cache)
    row = resources.finish(row, resources.upload(files))
    assert resources.get_ready(row.id, "dataset") == row
    assert (row.state, row.size) == (ResourceState.READY, 3000)
    assert [file.name for file in resources.tree(row.id).files] == [
        f"train/{number}.bin" for number in range(3)
    ]
    with pytest.raises(NotFoundError, match="it is a dataset"):
        resources.get(row.id, "model")
    with pytest.raises(InvalidArguments, match="needs a name"):
        resources.create("dataset", "")


def test_another_user_reads_what_is_public_and_changes_nothing(tmp_path, service):
    """403, not 404."""
    private = service.resources.create("dataset", "private")
    public = service.resources.create("dataset", "public", public=True)
    other = make_service(tmp_path, user="bob").resources
    assert [row.id for row in other.find("dataset")] == [public.id]
    with pytest.raises(AccessError, match="not public"):
        other.get(private.id)
    for change in (other.delete, lambda one: other.write_chunk(one, 0, b"x")):
        with pytest.raises(AccessError, match="another user's"):
            change(public.id)


def test_any_09_chunks_make_a_file(service):
    """In any order, and again; pieces have their own size."""
    resources = service.resources
    row = resources.create("file", "large", filename="large.bin")
    data = bytes(PIECE_BYTES) + b"tail"
    chunks = [data[start : start + 3_000_000] for start in range(0, len(data), 3_000_000)]
    for number in reversed(range(len(chunks))):
        resources.write_chunk(row.id, number, chunks[number])
    resources.write_chunk(row.id, 0, chunks[0])
    assert resources.get(row.id).state == ResourceState.UPLOADING
    assert resources.finish_chunks(row.id).size == len(data)
    (file,) = resources.tree(row.id).files
    assert (file.name, [piece.size for piece in file.pieces]) == ("large.bin", [PIECE_BYTES, 4])
    with pytest.raises(ConflictError, match="has its data already"):
        resources.write_chunk(row.id, 0, b"x")


def test_a_chunk_that_is_missing_is_named(service):
    """The resource is in ERROR then, until it comes."""
    resources = service.resources
    row = resources.create("file", "x")
    for number in (0, 2):
        resources.write_chunk(row.id, number, b"x")
    with pytest.raises(ResourceError, match="chunk 1 was not uploaded"):
        resources.finish_chunks(row.id)
    assert resources.get(row.id).state == ResourceState.ERROR
    with pytest.raises(InvalidArguments, match="begin with 0"):
        resources.write_chunk(row.id, -1, b"")
    resources.write_chunk(row.id, 1, b"y")
    assert resources.finish_chunks(row.id).size == 3


def test_parts_of_an_upload_that_was_given_up_are_not_in_the_next_file(tmp_path, service):
    """Its client was killed, and the next file has fewer parts."""
    resources = service.resources
    row = resources.create("file", "x", filename="x.bin")
    for number in range(9):
        resources.write_chunk(row.id, number, b"old!")
    for number, part in enumerate([b"new!", b"new!"]):
        resources.write_chunk(row.id, number, part)
    with pytest.raises(ResourceError, match=r"file x|file FILE.* 2 or 9 chunks: upload it again"):
        resources.finish_chunks(row.id)
    assert resources.get(row.id).state == ResourceState.ERROR
    for number, part in enumerate([b"new!", b"new!"]):
        resources.write_chunk(row.id, number, part)
    assert resources.finish_chunks(row.id).size == 8
    new = resources.create("file", "y", filename="y.bin")
    for number in range(9):
        resources.write_chunk(new.id, number, b"old!")
    (tmp_path / "y.bin").write_bytes(b"new!" * 2)
    assert upload_file(service, new.id, tmp_path / "y.bin", chunk_size=4).size == 8


def test_what_is_deleted_is_gone(tmp_path, service):
    """Pieces stay: another resource may have them."""
    resources = service.resources
    files = scan_folder(write_data(tmp_path / "data"), resources.cache)
    rows = [
        resources.finish(resources.create("dataset", name), resources.upload(files))
        for name in ("a", "b")
    ]
    pieces = stored(service)
    resources.delete(rows[0].id)
    assert not resources.has_data(rows[0])
    assert stored(service) == pieces
    assert sorted(path.name for path in resources.mount(rows[1].id).rglob("*.bin")) == [
        f"{number}.bin" for number in range(3)
    ]
