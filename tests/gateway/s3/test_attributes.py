"""GetObjectAttributes: by bare requests and by boto3."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.attributes import attributes_document
from tests.gateway.s3.conftest import S3Bucket, boto3_client, code, needs_boto3


def test_attributes(s3: S3Bucket) -> None:
    """Those that the request names; an object that was not uploaded in parts has none."""
    tag = s3.send("PUT", "o", b"hello").headers["ETag"]
    wanted = "ETag,Checksum, ObjectParts,ObjectSize,StorageClass"
    response = s3.send("GET", "o", query="?attributes", x_amz_object_attributes=wanted)
    texts = [s3.texts(response, name) for name in ("ETag", "ObjectSize", "StorageClass")]
    assert texts == [[tag.strip('"')], ["5"], ["STANDARD"]]
    assert s3.texts(response, "ObjectParts") == s3.texts(response, "Checksum") == []
    assert "Last-Modified" in response.headers
    response = s3.send("GET", "o", query="?attributes", x_amz_object_attributes="ObjectSize")
    assert s3.texts(response, "ETag") == []
    response = s3.send("GET", "no", query="?attributes", x_amz_object_attributes="ETag")
    assert code(response) == (404, "NoSuchKey")


@pytest.mark.parametrize("wanted", ["", " , ", "Etag", "ETag,Colour"])
def test_attributes_that_there_are_not(wanted: str) -> None:
    """Nor may a request name none."""
    unused: Any = None
    with pytest.raises(Refusal, match="expected some of Checksum, ETag"):
        attributes_document({"x-amz-object-attributes": wanted}, unused, unused)


@needs_boto3
def test_boto3_reads_attributes(s3: S3Bucket) -> None:
    """Of an object that was uploaded in parts, their number too."""
    client = boto3_client(s3.endpoint)
    target = {"Bucket": s3.name, "Key": "o"}
    upload = client.create_multipart_upload(**target)["UploadId"]
    parts = [
        client.upload_part(**target, UploadId=upload, PartNumber=number, Body=b"x")
        for number in (1, 2)
    ]
    listed = [{"PartNumber": n, "ETag": part["ETag"]} for n, part in enumerate(parts, 1)]
    client.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": listed})
    names = ["ETag", "ObjectParts", "ObjectSize"]
    found = client.get_object_attributes(**target, ObjectAttributes=names)
    assert (found["ObjectParts"]["TotalPartsCount"], found["ObjectSize"]) == (2, 2)
    assert found["ETag"].endswith("-2")
