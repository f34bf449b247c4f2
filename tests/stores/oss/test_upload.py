"""OssUpload: parts are verified before they become the object."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError, IntegrityError, NotFoundError
from aisio.records import RetryPolicy
from aisio.stores import DirectSettings
from aisio.transport.writer import WriteOptions
from tests.oss_server import KEY_ID, REGION, SECRET

pytest.importorskip("alibabacloud_oss_v2")

from aisio.stores.oss.store import OssStore
from aisio.stores.oss.upload import MIN_PART_BYTES

KEYS = {"access_key_id": KEY_ID, "access_key_secret": SECRET}
FAST = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)
PARTS = WriteOptions(part_bytes=MIN_PART_BYTES, concurrency=2)
DATA = bytes(range(251)) * 1500


@pytest.fixture
def store(server):
    """Return a store that reaches the server."""
    return OssStore(DirectSettings(server.endpoint, REGION, KEYS, retry=FAST))


def write(store, url, data=DATA):
    """Write an object in parts."""
    with store.writer(url, PARTS) as file:
        file.write(data)
    return file.info


def test_parts_become_one_verified_object(store, server, bucket):
    """By one request a part, and three more."""
    url = bucket.with_name("a")
    info = write(store, url)
    log = server.take_log()
    assert sorted(entry.query.partition("&")[0] for entry in log if entry.method == "PUT") == [
        f"partNumber={number}" for number in range(1, 5)
    ]
    assert [entry.method for entry in log if entry.method != "PUT"] == ["POST", "POST", "HEAD"]
    assert info.size_bytes == len(DATA)
    assert info.checksum == store.head(url).checksum
    assert info.checksum.kind == "crc64ecma"
    assert store.read(url) == DATA


def test_a_part_that_fails_is_sent_again(store, server, bucket):
    """Also the request that completes, whose answer was lost: then the object is there."""
    server.break_next("PUT", status=500, code="InternalError")
    assert write(store, bucket.with_name("a")).size_bytes == len(DATA)
    server.break_next("PUT", drop_reply=True)
    assert write(store, bucket.with_name("b")).size_bytes == len(DATA)
    assert store.read(bucket.with_name("b")) == DATA


@pytest.mark.parametrize("old", [None, b"old", bytes(len(DATA))])
def test_the_answer_to_the_completion_may_be_lost(store, server, bucket, old):
    """The object is there: its checksum tells it from an old one of the same size."""
    url = bucket.with_name("a")
    if old is not None:
        server.put_raw(url.bucket, url.name, old)
    with store.writer(url, PARTS) as file:
        file.write(DATA)
        server.break_next("POST", drop_reply=True)  # that of the initiation has come
    completions = [entry for entry in server.take_log() if "uploadId" in entry.query]
    assert [entry.status for entry in completions if entry.method == "POST"] == [200, 404]
    assert store.read(url) == DATA


def test_an_error_with_status_200_is_an_error(store, server, bucket):
    """Nothing was made of the parts."""
    file = store.writer(bucket.with_name("a"), PARTS)
    file.write(DATA)
    server.break_next("POST", status=200, code="InternalError")
    with pytest.raises(IntegrityError, match="the answer is a Error"):
        file.close()


def test_a_damaged_part_publishes_nothing(store, server, bucket):
    """The old object stays, and the parts are gone."""
    url = bucket.with_name("a")
    server.put_raw(url.bucket, url.name, b"old")
    server.break_next("PUT", headers={"x-oss-hash-crc64ecma": "5"})
    with pytest.raises(IntegrityError, match="CRC-64 of 0000000000000005 of part"):
        write(store, url)
    assert store.read(url) == b"old"
    assert [*store.unfinished_uploads(bucket)] == []


def test_a_damaged_object_is_told(store, server, bucket):
    """By its size and its checksum."""
    for headers in ({"x-oss-hash-crc64ecma": "5"}, {"Content-Length": "7"}):
        server.break_next("HEAD", headers=headers)
        with pytest.raises(IntegrityError, match=r"CRC-64 of 0{15}5, what|OSS has 7"):
            write(store, bucket.with_name("a"))


def test_unfinished_uploads_are_listed_and_aborted(store, server, bucket):
    """Those of a prefix; aborting one that has ended is no error."""
    url = bucket.with_name("ckpt/a b")
    file = store.writer(url, PARTS)
    file.write(DATA)
    (upload,) = store.unfinished_uploads(bucket.with_name("ckpt/"))
    assert upload.url == str(url)
    assert upload.begun_s > 0
    assert [*store.unfinished_uploads(bucket.with_name("other"))] == []
    file.abort()
    store.abort_upload(upload)
    assert [*store.unfinished_uploads(bucket)] == []


def test_what_cannot_be_uploaded_is_told(store, bucket):
    """Small parts before any request, a missing bucket with the first."""
    with pytest.raises(ConfigError, match="at least 102,400 bytes"):
        store.writer(bucket.with_name("a"), WriteOptions(part_bytes=1024))
    with pytest.raises(NotFoundError, match="no such bucket"):
        write(store, type(bucket).parse("oss://no-such-bucket/a"))
