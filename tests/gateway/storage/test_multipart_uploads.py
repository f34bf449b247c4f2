"""MultipartUploads: parts, their order, and what is left of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.file_refusals import ChangedRefusal
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.multipart_uploads import MultipartUpload, MultipartUploads, Part
from aisio.gateway.storage.records import NO_FILE, MultipartInfo

BUCKET = BucketName("b")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Return an open folder with a bucket."""
    (tmp_path / "b").mkdir()
    folder = Folder(str(tmp_path))
    folder.open()
    yield folder
    folder.close()


def part(folder: Folder, data: bytes) -> Part:
    """Return a part that has arrived."""
    upload = folder.begin_upload(None)
    upload.write([data])
    upload.finish("")
    return Part(upload, len(data))


def left(folder: Folder) -> list[str]:
    """Return the temporary files."""
    return [path.name for path in Path(folder.root, ".aisio", "tmp").iterdir()]


def test_parts_are_joined_in_the_order_of_their_numbers(folder: Folder) -> None:
    """A part that replaces another removes its file; so does the end of the upload."""
    uploads = MultipartUploads(folder)
    upload = MultipartUpload("id", BUCKET, "d/o")
    uploads.begin(upload)
    for number, data in ((2, b"no"), (2, b"two"), (1, b"one")):
        upload.add(number, part(folder, data))
    assert len(left(folder)) == 2
    record, status = uploads.join(upload, {"a": "b"})
    assert (record.custom, status.st_size) == ({"a": "b"}, 6)
    assert record.multipart == MultipartInfo(2, 3, ((3, 2),))
    assert Path(folder.root, "b", "d", "o").read_bytes() == b"onetwo"
    uploads.drop(upload)
    assert left(folder) == []


def test_etags_are_those_of_s3(folder: Folder) -> None:
    """Also of parts whose MD5 nobody has asked for before."""
    upload = MultipartUpload("id", BUCKET, "o")
    digests = b""
    for number, data in enumerate((b"one", b"two"), 1):
        upload.add(number, part(folder, data))
        digests += hashlib.md5(data).digest()
    assert upload.etag() == f"{hashlib.md5(digests).hexdigest()}-2"


def test_an_upload_is_found_by_all_its_names(folder: Folder) -> None:
    """An id alone opens no other object."""
    uploads = MultipartUploads(folder)
    upload = MultipartUpload("id", BUCKET, "o")
    uploads.begin(upload)
    assert uploads.find(BUCKET, "o", "id") is upload
    assert uploads.find(BUCKET, "p", "id") is None
    assert uploads.find(BucketName("c"), "o", "id") is None
    assert uploads.find(BUCKET, "o", "other") is None
    uploads.remove(upload)
    assert uploads.find(BUCKET, "o", "id") is None


def test_uploads_of_a_bucket_are_sorted(folder: Folder) -> None:
    """By name, then by time."""
    uploads = MultipartUploads(folder)
    for upload_id, bucket, name, started_s in (
        ("1", BUCKET, "b", 2.0),
        ("2", BUCKET, "b", 1.0),
        ("3", BUCKET, "a", 3.0),
        ("4", BucketName("c"), "a", 0.0),
    ):
        uploads.begin(MultipartUpload(upload_id, bucket, name, started_s=started_s))
    assert [upload.upload_id for upload in uploads.in_bucket(BUCKET)] == ["3", "2", "1"]


def test_a_join_replaces_only_what_it_may(folder: Folder) -> None:
    """Otherwise nothing is changed, and the parts stay."""
    uploads = MultipartUploads(folder)
    upload = MultipartUpload("id", BUCKET, "o")
    upload.add(1, part(folder, b"parts"))
    path = Path(folder.root, "b", "o")
    path.write_bytes(b"other")
    with pytest.raises(ChangedRefusal):
        uploads.join(upload, {}, if_match=NO_FILE)
    assert path.read_bytes() == b"other"
    assert len(left(folder)) == 1


def test_an_upload_that_could_not_be_completed(folder: Folder) -> None:
    """Can be completed again, unless its bucket was removed meanwhile: it ends with that."""
    uploads = MultipartUploads(folder)
    upload = MultipartUpload("id", BUCKET, "o")
    upload.add(1, part(folder, b"one"))
    uploads.put_back(upload, OSError("the disk is full"))
    assert uploads.find(BUCKET, "o", "id") is upload
    uploads.remove(upload)
    Path(folder.root, "b").rmdir()
    with pytest.raises(Refusal) as refused:
        uploads.join(upload, {})
    uploads.put_back(upload, refused.value)
    assert uploads.find(BUCKET, "o", "id") is None
    assert left(folder) == []
