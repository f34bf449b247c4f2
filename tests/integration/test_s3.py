"""S3's protocol, on a cluster and on the gateway: what both answer alike."""

from __future__ import annotations

import hashlib
import os
import re
from urllib.parse import unquote

import pytest
import requests

from aisio.client.client import Bucket

DATA = os.urandom(200_000)


class S3:
    """Requests about a bucket; redirects to targets are followed.

    Args:
        endpoint: Of the cluster.
        bucket: The bucket.
    """

    def __init__(self, endpoint: str, bucket: Bucket) -> None:
        self.bucket = bucket
        self.endpoint = f"{endpoint}/s3"
        self.url = f"{self.endpoint}/{bucket.name}"

    def send(
        self, method: str, path: str = "", data: bytes = b"", headers: dict[str, str] | None = None
    ) -> requests.Response:
        """Send a request; the path may have a query."""
        return requests.request(method, self.url + path, data=data, headers=headers)


@pytest.fixture
def s3(endpoint: str, bucket: Bucket) -> S3:
    """Return S3's view of a new bucket."""
    return S3(endpoint, bucket)


def texts(response: requests.Response, name: str) -> list[str]:
    """Return the texts of all elements of a name."""
    assert response.status_code < 500, response.text
    return re.findall(f"<{name}>([^<]*)</{name}>", response.text)


@pytest.mark.parametrize("name", ["o", "d/a%20b", "d/x=y"])
def test_an_object_is_one_of_both_protocols(s3: S3, name: str) -> None:
    """Put over S3 it is read over AIStore's protocol, and the other way round."""
    assert s3.send("PUT", f"/{name}", DATA).status_code == 200
    native = s3.bucket.object(unquote(name))
    assert native.get() == DATA
    checksum = native.head().checksum
    head = s3.send("HEAD", f"/{name}")
    assert checksum is not None
    kind = "X-Amz-Meta-Ais-Cksum-Type", "X-Amz-Meta-Ais-Cksum-Val"
    assert tuple(head.headers[field] for field in kind) == (checksum.kind, checksum.value)
    assert head.headers["Content-Length"] == str(len(DATA))
    assert re.fullmatch(f'"v1-{checksum.value}-[0-9a-z]+"', head.headers["ETag"])
    native.put(b"native")
    assert s3.send("GET", f"/{name}").content == b"native"


def test_ranges(s3: S3) -> None:
    """206 with the place, 416 beyond the end."""
    s3.send("PUT", "/o", DATA)
    for header, part in (("bytes=5-9", DATA[5:10]), ("bytes=-7", DATA[-7:])):
        response = s3.send("GET", "/o", headers={"Range": header})
        assert (response.status_code, response.content) == (206, part)
        assert response.headers["Content-Range"].endswith(f"/{len(DATA)}")
    response = s3.send("GET", "/o", headers={"Range": "bytes=900000-"})
    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{len(DATA)}"


def test_what_does_not_exist(s3: S3) -> None:
    """A key or a bucket, by S3's codes; a DELETE says so too."""
    for method in ("GET", "DELETE"):
        response = s3.send(method, "/nope")
        assert (response.status_code, texts(response, "Code")) == (404, ["NoSuchKey"])
    assert s3.send("HEAD", "/nope").status_code == 404
    for path in ("-none", "-none/o"):
        response = requests.get(s3.url + path)
        assert (response.status_code, texts(response, "Code")) == (404, ["NoSuchBucket"])


def test_buckets(s3: S3) -> None:
    """Made, listed, refused a second time, and removed with what is in them."""
    assert s3.bucket.name in texts(requests.get(s3.endpoint), "Name")
    assert s3.send("HEAD").headers["X-Amz-Bucket-Region"] == "ais"
    response = s3.send("PUT")
    assert (response.status_code, texts(response, "Code")) == (409, ["BucketAlreadyExists"])
    assert texts(s3.send("GET", "?versioning"), "Status") == ["Enabled"]
    for query in ("acl", "cors", "lifecycle", "policy"):
        assert s3.send("GET", f"?{query}").status_code == 501
    other = f"{s3.url}-new"
    assert requests.put(other).status_code == 200
    assert requests.put(f"{other}/o", data=b"x").status_code == 200
    assert requests.delete(other).status_code == 200
    assert requests.head(other).status_code == 404


def test_listings(s3: S3) -> None:
    """Names in order, those after one, and folders as common prefixes."""
    for name in ("a", "d/1", "d/2", "e/f/3"):
        s3.send("PUT", f"/{name}", b"x")
    assert texts(s3.send("GET", "?list-type=2"), "Key") == ["a", "d/1", "d/2", "e/f/3"]
    assert texts(s3.send("GET", "?list-type=2&prefix=d/"), "Key") == ["d/1", "d/2"]
    after = s3.send("GET", "?list-type=2&start-after=d/1")
    assert texts(after, "Key") == ["d/2", "e/f/3"]
    groups = s3.send("GET", "?list-type=2&delimiter=/")
    assert (texts(groups, "Key"), texts(groups, "Prefix")[1:]) == (["a"], ["d/", "e/"])


def test_deletion_of_many(s3: S3) -> None:
    """What does not exist counts as deleted."""
    s3.send("PUT", "/a", b"x")
    body = b"<Delete><Object><Key>a</Key></Object><Object><Key>nope</Key></Object></Delete>"
    assert texts(s3.send("POST", "?delete", body), "Key") == ["a", "nope"]


def test_uploads_in_parts(s3: S3) -> None:
    """With the ETags of S3; completed once, and aborted."""
    (upload,) = texts(s3.send("POST", "/o?uploads"), "UploadId")
    parts = (DATA, b"end")
    for number, data in enumerate(parts, 1):
        response = s3.send("PUT", f"/o?partNumber={number}&uploadId={upload}", data)
        assert response.headers["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert texts(s3.send("GET", f"/o?uploadId={upload}"), "PartNumber") == ["1", "2"]
    assert texts(s3.send("GET", "?uploads"), "UploadId") == [upload]
    listed = b"".join(b"<Part><PartNumber>%d</PartNumber></Part>" % number for number in (1, 2))
    body = b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % listed
    partly = body.replace(b"<Part><PartNumber>2</PartNumber></Part>", b"")
    assert s3.send("POST", f"/o?uploadId={upload}", partly).status_code == 400
    assert s3.send("POST", f"/o?uploadId={upload}", body).status_code == 200
    digest = hashlib.md5(b"".join(hashlib.md5(data).digest() for data in parts)).hexdigest()
    response = s3.send("GET", "/o")
    assert (response.content, response.headers["ETag"]) == (b"".join(parts), f'"{digest}-2"')
    response = s3.send("POST", f"/o?uploadId={upload}", body)
    # Clients that have lost the response send it again, which Amazon and the gateway accept.
    assert response.status_code == 200 or texts(response, "Code") == ["NoSuchUpload"]
    (upload,) = texts(s3.send("POST", "/p?uploads"), "UploadId")
    assert s3.send("DELETE", f"/p?uploadId={upload}").status_code == 204
    assert s3.send("HEAD", "/p").status_code == 404


def test_copies(s3: S3) -> None:
    """In one bucket, with the bytes of the source."""
    s3.send("PUT", "/o", DATA)
    source = {"x-amz-copy-source": f"/{s3.bucket.name}/o"}
    assert s3.send("PUT", "/copy", headers=source).status_code == 200
    assert s3.send("GET", "/copy").content == DATA
