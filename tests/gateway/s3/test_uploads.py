"""Multipart uploads over S3."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import xml.etree.ElementTree as ElementTree
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from aisio.gateway.handlers.object_records import ObjectRecords
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.s3.objects import S3Objects
from aisio.gateway.s3.uploads import S3Uploads
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.multipart_uploads import MultipartUpload, MultipartUploads, Part
from tests.gateway.s3.conftest import S3Bucket, code

PARTS = (os.urandom(1_500_000), os.urandom(70_000), b"end")


def create(s3: S3Bucket, key: str = "o", **headers: Any) -> str:
    """Begin an upload; return its id."""
    return s3.texts(s3.send("POST", key, query="?uploads", **headers), "UploadId")[0]


def put(s3: S3Bucket, upload: str, number: int, data: bytes = b"", **headers: Any) -> str:
    """Send a part; return its ETag."""
    query = f"?partNumber={number}&uploadId={upload}"
    response = s3.send("PUT", "o", data, query, **headers)
    assert response.status_code == 200, response.text
    return response.headers.get("ETag", "")


def completion(*parts: tuple[int, str], more: str = "") -> bytes:
    """Return the document that completes an upload."""
    listed = (f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag>{more}</Part>" for n, e in parts)
    body = f"<CompleteMultipartUpload>{''.join(listed)}</CompleteMultipartUpload>"
    return body.encode()


def crc32(data: bytes) -> str:
    """Return a checksum as headers have it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def md5(data: bytes) -> bytes:
    """Return an MD5."""
    return hashlib.md5(data).digest()


@pytest.fixture
def etag() -> str:
    """Return the ETag of PARTS."""
    return f'"{hashlib.md5(b"".join(map(md5, PARTS))).hexdigest()}-3"'


def test_parts_make_the_object(s3: S3Bucket, etag: str) -> None:
    """In any order, a part twice; the ETags are S3's, and the metadata is that of the beginning."""
    upload = create(s3, Content_Type="a/b", x_amz_meta_who="me")
    put(s3, upload, 2, b"replaced")
    tags = {number: put(s3, upload, number, PARTS[number - 1]) for number in (3, 1, 2)}
    assert tags[1] == f'"{md5(PARTS[0]).hex()}"'
    assert s3.send("HEAD", "o").status_code == 404
    body = completion(*sorted(tags.items()))
    response = s3.send("POST", "o", body, f"?uploadId={upload}")
    assert s3.texts(response, "ETag") == [etag]
    got = s3.send("GET", "o")
    assert got.content == b"".join(PARTS)
    fields = got.headers["ETag"], got.headers["Content-Type"], got.headers["x-amz-meta-who"]
    assert fields == (etag, "a/b", "me")
    assert s3.temporary_files() == set()


def test_one_part_of_an_object_is_read(s3: S3Bucket) -> None:
    """With the number of parts; after a copy the object has one, as on S3."""
    upload = create(s3)
    data = [b"one", b"second", b"", b"four"]
    tags = [(number + 1, put(s3, upload, number + 1, part)) for number, part in enumerate(data)]
    s3.send("POST", "o", completion(*tags), f"?uploadId={upload}")
    for number, part in enumerate(data, 1):
        got = s3.send("GET", "o", query=f"?partNumber={number}")
        assert (got.status_code, got.content) == (206, part)
        assert got.headers["x-amz-mp-parts-count"] == "4"
        head = s3.send("HEAD", "o", query=f"?partNumber={number}")
        fields = ("Content-Length", "Content-Range", "ETag", "x-amz-mp-parts-count")
        assert head.status_code == 206
        assert [head.headers.get(name) for name in fields] == [
            got.headers.get(name) for name in fields
        ]
    assert s3.send("GET", "o", query="?partNumber=2").headers["Content-Range"] == "bytes 3-8/13"
    assert "x-amz-mp-parts-count" not in s3.send("GET", "o").headers
    assert code(s3.send("GET", "o", query="?partNumber=5")) == (416, "InvalidPartNumber")
    s3.send("PUT", "copy", x_amz_copy_source=f"{s3.name}/o")
    assert s3.send("GET", "copy", query="?partNumber=1").content == b"".join(data)
    assert code(s3.send("GET", "copy", query="?partNumber=2")) == (416, "InvalidPartNumber")


@pytest.mark.parametrize("conditions", [{}, {"If_None_Match": "*"}])
def test_a_completion_may_be_sent_again(
    s3: S3Bucket, etag: str, conditions: dict[str, str]
) -> None:
    """By a client that has lost the response or does not wait for it; not for another object.

    A condition that held for the first request need not hold again: by then the object is there.
    """
    upload = create(s3)
    tags = [(number, put(s3, upload, number, data)) for number, data in enumerate(PARTS, 1)]
    query = f"?uploadId={upload}"
    with ThreadPoolExecutor(4) as pool:
        sent = pool.map(
            lambda _: s3.send("POST", "o", completion(*tags), query, **conditions), range(4)
        )
        for response in sent:
            assert s3.texts(response, "ETag") == [etag]
    assert s3.send("GET", "o").content == b"".join(PARTS)
    assert s3.temporary_files() == set()
    s3.send("PUT", "o", b"other")
    assert code(s3.send("POST", "o", completion(*tags), query)) == (404, "NoSuchUpload")
    assert code(s3.send("POST", "x", completion(*tags), query)) == (404, "NoSuchUpload")
    s3.send("DELETE", "o")
    assert code(s3.send("POST", "o", completion(*tags), query)) == (404, "NoSuchUpload")
    assert s3.ais.names() == []


class SlowUploads(MultipartUploads):
    """Makes an object when it is told to."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder)
        self.is_joining, self.may_join, self.joined = Event(), Event(), 0

    def join(self, *args: Any, **options: Any) -> Any:
        """Wait, then make the object."""
        self.is_joining.set()
        self.may_join.wait()
        self.joined += 1
        return super().join(*args, **options)


def test_a_completion_that_is_sent_again_meanwhile_waits_for_the_same_object(
    tmp_path: Path,
) -> None:
    """Large objects take longer than clients wait. Other work needs no thread of theirs."""
    (tmp_path / "b").mkdir()
    folder, bucket = Folder(str(tmp_path)), BucketName("b")
    folder.open()
    uploads = SlowUploads(folder)
    file = folder.begin_upload(None)
    file.write([b"data"])
    file.finish("")
    upload = MultipartUpload("7", bucket, "o")
    upload.add(1, Part(file, 4))
    uploads.begin(upload)
    tree = ElementTree.fromstring(completion((1, "")))

    async def read_document(*_: Any) -> ElementTree.Element:
        return tree

    request: Any = SimpleNamespace(
        bucket=bucket,
        key="o",
        query={"uploadId": "7"},
        headers={"if-none-match": "*"},
        read_document=read_document,
        request=SimpleNamespace(path="/s3/b/o"),
    )

    async def main() -> list[int]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        objects = S3Objects(folder, ObjectRecords(folder))
        s3 = S3Uploads(folder, objects, uploads)
        sent = [asyncio.ensure_future(s3.complete(request)) for _ in range(3)]
        try:
            while not uploads.is_joining.is_set():
                await asyncio.sleep(0)
            assert await asyncio.wait_for(asyncio.to_thread(str, "free"), 20) == "free"
        finally:
            uploads.may_join.set()
        responses = await asyncio.gather(*sent)
        s3.close()
        s3.close()
        return [response.status for response in responses]

    assert asyncio.run(main()) == [200] * 3
    assert uploads.joined == 1
    assert (tmp_path / "b" / "o").read_bytes() == b"data"
    folder.close()


def test_uploads_belong_to_both_protocols(s3: S3Bucket, etag: str) -> None:
    """What AIStore's protocol begins S3 can complete."""
    url = s3.ais.url("o")
    upload = s3.http.post(url, json={"action": "mpt-upload"}).text
    for number, data in enumerate(PARTS, 1):
        query = f"?uploadId={upload}&partNumber={number}"
        assert s3.http.put(url + query, data=data).status_code == 200
    assert s3.texts(s3.send("GET", "o", query=f"?uploadId={upload}"), "PartNumber") == list("123")
    body = completion((1, ""), (2, ""), (3, ""))
    assert s3.texts(s3.send("POST", "o", body, f"?uploadId={upload}"), "ETag") == [etag]


def test_parts_are_copied(s3: S3Bucket) -> None:
    """Whole objects and ranges."""
    s3.send("PUT", "source", PARTS[0])
    upload, source = create(s3), f"{s3.name}/source"
    put(s3, upload, 1, x_amz_copy_source=source, x_amz_copy_source_range="bytes=10-99")
    put(s3, upload, 2, x_amz_copy_source=source)
    query, size = f"?partNumber=3&uploadId={upload}", len(PARTS[0])
    for wanted, expected in (
        (f"bytes={size}-{size + 5}", (416, "InvalidRange")),
        (f"bytes=0-{size}", (416, "InvalidRange")),  # a shorter part would be no copy of it
        ("bytes=10-", (400, "InvalidArgument")),
        ("bytes=-10", (400, "InvalidArgument")),
    ):
        fields: dict[str, Any] = {
            "x_amz_copy_source": source,
            "x_amz_copy_source_range": wanted,
        }
        assert code(s3.send("PUT", "o", query=query, **fields)) == expected
    response = s3.send("POST", "o", completion((1, ""), (2, "")), f"?uploadId={upload}")
    assert response.status_code == 200
    assert s3.send("GET", "o").content == PARTS[0][10:100] + PARTS[0]


def test_abort_leaves_nothing(s3: S3Bucket) -> None:
    """No part, no upload, no object."""
    upload = create(s3)
    put(s3, upload, 1, PARTS[0])
    assert s3.temporary_files() != set()
    assert s3.send("DELETE", "o", query=f"?uploadId={upload}").status_code == 204
    assert s3.temporary_files() == set()
    for method in ("GET", "DELETE"):
        response = s3.send(method, "o", query=f"?uploadId={upload}")
        assert code(response) == (404, "NoSuchUpload")
    response = s3.send("PUT", "o", b"x", f"?partNumber=1&uploadId={upload}")
    assert code(response) == (404, "NoSuchUpload")
    assert s3.temporary_files() == set()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ((), (400, "MalformedXML")),
        (((1, '"wrong"'), (2, "")), (400, "InvalidPart")),
        (((1, ""), (3, "")), (400, "InvalidPart")),
        (((0, ""),), (400, "InvalidPart")),
        (((2, ""), (1, "")), (400, "InvalidPartOrder")),
        (((1, ""), (1, "")), (400, "InvalidPartOrder")),
        (((1, ""),), (400, "InvalidRequest")),
    ],
)
def test_completions_that_are_refused(
    s3: S3Bucket, listed: tuple[tuple[int, str], ...], expected: tuple[int, str]
) -> None:
    """The upload stays, and can be completed as it should be."""
    upload = create(s3)
    for number in (1, 2):
        put(s3, upload, number, PARTS[number])
    assert code(s3.send("POST", "o", completion(*listed), f"?uploadId={upload}")) == expected
    body = completion((1, ""), (2, ""))
    assert s3.send("POST", "o", body, f"?uploadId={upload}").status_code == 200
    assert s3.send("GET", "o").content == PARTS[1] + PARTS[2]


@pytest.mark.parametrize(
    ("fields", "more", "expected"),
    [
        ({"x_amz_mp_object_size": "70004"}, "", (400, "InvalidRequest")),
        ({"x_amz_checksum_crc32": "AAAAAA=="}, "", (400, "BadDigest")),
        ({"x_amz_checksum_crc32": "AAAAAA==-2"}, "", (400, "BadDigest")),
        ({}, "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>", (400, "InvalidPart")),
        ({}, "<ChecksumMD2>AAAAAA==</ChecksumMD2>", (501, "NotImplemented")),
        ({"Content_MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, "", (400, "BadDigest")),
    ],
)
def test_a_completion_of_other_data_is_refused(
    s3: S3Bucket, fields: dict[str, Any], more: str, expected: tuple[int, str]
) -> None:
    """Sizes and checksums are compared wherever a client may send them; the upload stays."""
    upload = create(s3)
    for number in (1, 2):
        put(s3, upload, number, PARTS[number])
    query = f"?uploadId={upload}"
    body = completion((1, ""), (2, ""), more=more)
    assert code(s3.send("POST", "o", body, query, **fields)) == expected
    assert s3.send("GET", "o").status_code == 404
    right: dict[str, Any] = {
        "x_amz_mp_object_size": "70003",
        "x_amz_checksum_crc32": crc32(PARTS[1] + PARTS[2]),
        "x_amz_checksum_type": "FULL_OBJECT",
    }
    body = completion((1, ""), (2, ""))
    assert s3.send("POST", "o", body, query, **right).status_code == 200
    assert s3.send("GET", "o").content == PARTS[1] + PARTS[2]
    assert s3.temporary_files() == set()


def test_checksums_of_parts_are_compared(s3: S3Bucket) -> None:
    """In the list of the parts, as SDKs repeat them."""
    upload = create(s3)
    put(s3, upload, 1, PARTS[1])
    more = f"<ChecksumCRC32>{crc32(PARTS[1])}</ChecksumCRC32>"
    body = completion((1, ""), more=more)
    assert s3.send("POST", "o", body, f"?uploadId={upload}").status_code == 200


def test_checksums_of_the_checksums_of_parts(s3: S3Bucket) -> None:
    """As older SDKs send them, with and without the number of parts."""
    upload = create(s3, x_amz_checksum_algorithm="CRC32")
    for number in (1, 2):
        put(s3, upload, number, PARTS[number])
    composite = crc32(b"".join(base64.b64decode(crc32(PARTS[number])) for number in (1, 2)))
    fields: list[dict[str, Any]] = [
        {"x_amz_checksum_crc32": f"{composite}-3"},
        {"x_amz_checksum_crc32": composite},  # of the whole object, it says
        {"x_amz_checksum_sha256": f"{composite}-2"},
        {"x_amz_checksum_crc32": f"{composite}-2"},
    ]
    body, query = completion((1, ""), (2, "")), f"?uploadId={upload}"
    answers = [s3.send("POST", "o", body, query, **one).status_code for one in fields]
    assert answers == [400, 400, 400, 200]
    upload = create(s3)
    for number in (1, 2):
        put(s3, upload, number, PARTS[number])
    one = {"x_amz_checksum_crc32": composite, "x_amz_checksum_type": "COMPOSITE"}
    assert s3.send("POST", "o", body, f"?uploadId={upload}", **one).status_code == 200


def test_an_upload_is_not_aborted_under_conditions(s3: S3Bucket) -> None:
    """They are not compared, so they are refused."""
    upload = create(s3)
    query, condition = f"?uploadId={upload}", "Mon, 30 Nov 2026 00:00:00 GMT"
    response = s3.send("DELETE", "o", query=query, x_amz_if_match_initiated_time=condition)
    assert code(response) == (501, "NotImplemented")
    assert s3.send("DELETE", "o", query=query).status_code == 204


@pytest.mark.parametrize("end", ["destroyed", "renamed"])
def test_uploads_to_a_bucket_that_is_gone_are_dropped(s3: S3Bucket, end: str) -> None:
    """A new bucket of that name has none of them."""
    upload = create(s3)
    put(s3, upload, 1, b"part")
    if end == "destroyed":
        assert s3.send("DELETE").status_code == 200
    else:
        url = s3.ais.url("").rstrip("/").replace("/objects/", "/buckets/")
        query = f"?bck_to=ais/@%23/{s3.name}-new/"
        assert s3.http.post(url + query, json={"action": "move-bck"}).status_code == 200
    while s3.temporary_files():
        pass
    s3.send("PUT")
    assert s3.texts(s3.send("GET", query="?uploads"), "UploadId") == []


def test_a_listing_behind_an_upload_that_has_ended(s3: S3Bucket) -> None:
    """The other uploads of its key are not missed."""
    ids = [create(s3) for _ in range(3)]
    s3.send("DELETE", "o", query=f"?uploadId={ids[0]}")
    page = s3.send("GET", query=f"?uploads&key-marker=o&upload-id-marker={ids[0]}")
    assert s3.texts(page, "UploadId") == ids[1:]
    for upload in ids[1:]:
        s3.send("DELETE", "o", query=f"?uploadId={upload}")


def test_conditions_of_a_completion(s3: S3Bucket) -> None:
    """Create only: an object that appeared meanwhile stays, and so does the upload."""
    upload = create(s3)
    put(s3, upload, 1, b"parts")
    s3.send("PUT", "o", b"other")
    body, query = completion((1, "")), f"?uploadId={upload}"
    response = s3.send("POST", "o", body, query, If_None_Match="*")
    assert code(response) == (412, "PreconditionFailed")
    assert s3.send("GET", "o").content == b"other"
    assert s3.send("POST", "o", body, query).status_code == 200
    assert s3.send("GET", "o").content == b"parts"


@pytest.mark.parametrize("number", ["0", "x", "10001", "", "-1"])
def test_part_numbers(s3: S3Bucket, number: str) -> None:
    """From 1 to 10,000."""
    query = f"?partNumber={number}&uploadId={create(s3)}"
    assert code(s3.send("PUT", "o", b"x", query)) == (400, "InvalidArgument")


def test_a_damaged_part_is_refused(s3: S3Bucket) -> None:
    """It is not among the parts."""
    upload = create(s3)
    query = f"?partNumber=1&uploadId={upload}"
    response = s3.send("PUT", "o", b"x", query, x_amz_checksum_crc32="AAAAAA==")
    assert code(response) == (400, "BadDigest")
    assert s3.texts(s3.send("GET", "o", query=f"?uploadId={upload}"), "PartNumber") == []
    s3.send("DELETE", "o", query=f"?uploadId={upload}")


def test_parts_are_listed_in_pages(s3: S3Bucket) -> None:
    """By their numbers."""
    upload = create(s3)
    for number in (1, 5, 7):
        put(s3, upload, number, b"x" * number)
    page = s3.send("GET", "o", query=f"?uploadId={upload}&max-parts=2")
    assert s3.texts(page, "PartNumber") == ["1", "5"]
    assert s3.texts(page, "IsTruncated") == ["true"]
    (marker,) = s3.texts(page, "NextPartNumberMarker")
    page = s3.send("GET", "o", query=f"?uploadId={upload}&part-number-marker={marker}")
    assert (s3.texts(page, "PartNumber"), s3.texts(page, "Size")) == (["7"], ["7"])
    assert s3.texts(page, "IsTruncated") == ["false"]
    s3.send("DELETE", "o", query=f"?uploadId={upload}")


def test_uploads_are_listed_in_pages(s3: S3Bucket) -> None:
    """By key and time; of one bucket only."""
    ids = [create(s3, key) for key in ("a", "b", "b", "c/d")]
    found, marker = list[str](), ""
    for _ in ids:
        page = s3.send("GET", query=f"?uploads&max-uploads=1{marker}")
        found += s3.texts(page, "UploadId")
        if s3.texts(page, "IsTruncated") == ["false"]:
            break
        (key,), (last,) = s3.texts(page, "NextKeyMarker"), s3.texts(page, "NextUploadIdMarker")
        marker = f"&key-marker={key}&upload-id-marker={last}"
    assert found == ids
    assert s3.texts(s3.send("GET", query="?uploads&prefix=c/"), "Key") == ["c/d"]
    for upload, key in zip(ids, ("a", "b", "b", "c/d"), strict=True):
        assert s3.send("DELETE", key, query=f"?uploadId={upload}").status_code == 204
