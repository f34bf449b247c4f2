"""boto3 on the gateway's S3 API, as programs use it, without a patch for redirects."""

from __future__ import annotations

import hashlib
import io
import os
from importlib import import_module
from typing import Any

import pytest

from tests.gateway.s3.conftest import S3Bucket, boto3_client, needs_boto3

pytestmark = needs_boto3
NAMES = ("a", "d/é +ü&%.txt", "d/x=y", "z")


@pytest.fixture
def filled(boto: Any, s3: S3Bucket) -> S3Bucket:
    """Return a bucket with NAMES."""
    for name in NAMES:
        boto.put_object(Bucket=s3.name, Key=name, Body=name.encode(), Metadata={"who": "me"})
    return s3


def test_objects(boto: Any, filled: S3Bucket) -> None:
    """Names, metadata, ranges, and errors by their classes."""
    for name in NAMES:
        got = boto.get_object(Bucket=filled.name, Key=name)
        assert (got["Body"].read(), got["Metadata"]) == (name.encode(), {"who": "me"})
    got = boto.get_object(Bucket=filled.name, Key="d/x=y", Range="bytes=2-3")
    assert got["Body"].read() == b"x="
    with pytest.raises(boto.exceptions.NoSuchKey):
        boto.get_object(Bucket=filled.name, Key="nope")
    with pytest.raises(boto.exceptions.NoSuchBucket):
        boto.list_objects_v2(Bucket="no-bucket")
    with pytest.raises(boto.exceptions.BucketAlreadyExists):
        boto.create_bucket(Bucket=filled.name)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_pages(boto: Any, filled: S3Bucket, operation: str) -> None:
    """By boto3's own paginators."""
    pages = boto.get_paginator(operation).paginate(
        Bucket=filled.name, PaginationConfig={"PageSize": 1}
    )
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == sorted(NAMES)
    groups = getattr(boto, operation)(Bucket=filled.name, Delimiter="/")["CommonPrefixes"]
    assert groups == [{"Prefix": "d/"}]


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums(boto: Any, s3: S3Bucket, algorithm: str) -> None:
    """In headers and behind the data, as boto3 chooses."""
    for body in (b"data", io.BytesIO(b"data")):
        boto.put_object(Bucket=s3.name, Key="o", Body=body, ChecksumAlgorithm=algorithm)
        assert s3.ais.get("o").content == b"data"


def test_transfers_in_parts(boto: Any, s3: S3Bucket) -> None:
    """Up, down, and a copy of parts; the ETag is the one that S3 would give."""
    config = import_module("boto3.s3.transfer").TransferConfig(
        multipart_threshold=5 << 20, multipart_chunksize=5 << 20
    )
    data = os.urandom(11 << 20)
    boto.upload_fileobj(io.BytesIO(data), s3.name, "big", Config=config)
    boto.copy({"Bucket": s3.name, "Key": "big"}, s3.name, "copy", Config=config)
    digests = (hashlib.md5(data[start : start + (5 << 20)]).digest() for start in (0, 5 << 20))
    last = hashlib.md5(data[10 << 20 :]).digest()
    etag = f'"{hashlib.md5(b"".join([*digests, last])).hexdigest()}-3"'
    for name in ("big", "copy"):
        file = io.BytesIO()
        boto.download_fileobj(s3.name, name, file, Config=config)
        assert file.getvalue() == data
        assert boto.head_object(Bucket=s3.name, Key=name)["ETag"] == etag


def test_deletion(boto: Any, filled: S3Bucket) -> None:
    """Of one, of many, of the bucket with what is left in it."""
    boto.delete_object(Bucket=filled.name, Key="a")
    gone = boto.delete_objects(
        Bucket=filled.name, Delete={"Objects": [{"Key": "z"}, {"Key": "nope"}]}
    )
    assert [entry["Key"] for entry in gone["Deleted"]] == ["z", "nope"]
    assert [name for name in NAMES if name.startswith("d/")] == filled.ais.names()[::-1]
    boto.delete_bucket(Bucket=filled.name)
    assert filled.send("HEAD").status_code == 404


def test_an_endpoint_without_s3(s3: S3Bucket) -> None:
    """The error says which one it should be."""
    client = boto3_client(s3.endpoint.removesuffix("/s3"))
    for call in (client.list_buckets, lambda: client.get_object(Bucket=s3.name, Key="a")):
        with pytest.raises(client.exceptions.ClientError, match=r"InvalidURI.* ends in /s3"):
            call()
