"""Multipart uploads: what is sent, and what is made of answers that are lost or wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import google_crc32c
import pytest
import xxhash

from aisio.client.client import Client
from aisio.client.object import Object
from aisio.errors import ConfigError, IntegrityError, NotFoundError, StorageError
from aisio.gateway import Gateway
from aisio.records import RetryPolicy, Settings, UnfinishedUpload
from aisio.stores import AisStore
from aisio.testing.fault_proxy import Cut, FaultProxy, Refuse, Status
from aisio.transport.writer import WriteOptions
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server

IN_TURN = WriteOptions(part_bytes=4, concurrency=1)
DATA = b"0123456789"
PROPS = '{"checksum":{"type":"xxhash2","enable_read_range":false}}'
BUCKET = Reply(headers={"Ais-Bucket-Props": PROPS})
PART = [Reply(307, headers={"Location": "{server}/t"}, unread=True), Reply()]


def head(data: bytes = DATA, kind: str = "xxhash2", value: str = "") -> Reply:
    """Return what the cluster says of the object."""
    values = {
        "xxhash2": xxhash.xxh64_hexdigest(data),
        "crc32c": f"{google_crc32c.value(data):08x}",
    }
    checksum = {"Ais-Checksum-Type": kind, "Ais-Checksum-Value": value or values[kind]}
    return Reply(headers={**checksum, "Content-Length": str(len(data))})


@contextmanager
def uploading(*ending: Reply) -> Iterator[tuple[Server, Object]]:
    """Start a scripted server that takes three parts; yield it and the object to write."""
    with Server(Reply(body=b"id-1"), BUCKET, *PART * 3, *ending) as server:
        retry = RetryPolicy(attempts=2, first_wait_s=0)
        client = Client.from_settings(Settings(server.url, retry=retry, direct=False))
        yield server, client.bucket("b").object("o")
        client.close()


def write(item: Object) -> None:
    """Write the data in three parts."""
    with item.writer(IN_TURN) as file:
        file.write(DATA)


def test_an_upload_as_aistore_wants_it() -> None:
    """Each part goes to the node that the proxy names; the list of parts completes it."""
    with uploading(Reply(), head()) as (server, item):
        write(item)
    sent = [(one.method, one.target) for one in server.requests]
    assert sent[0] == ("POST", "/v1/objects/b/o?provider=ais")
    assert b'"action": "mpt-upload"' in server.requests[0].body
    assert sent[2] == ("PUT", "/v1/objects/b/o?provider=ais&uploadId=id-1&partNumber=1")
    assert [one.body for one in server.requests if one.target == "/t"] == [b"0123", b"4567", b"89"]
    assert sent[-2] == ("POST", "/v1/objects/b/o?provider=ais&uploadId=id-1")
    assert b'{"part-number": 3, "etag": ""}]' in server.requests[-2].body
    assert sent[-1] == ("HEAD", "/v1/objects/b/o?provider=ais")


@pytest.mark.parametrize("kind", ["xxhash2", "crc32c"])
def test_the_object_is_verified(kind: str) -> None:
    """By the bucket's checksum; AIStore computes CRC-32C where parts come out of their order."""
    with uploading(Reply(), head(kind=kind)) as (_, item):
        write(item)
    with (
        uploading(Reply(), head(kind=kind, value="0" * 8), Reply()) as (_, item),
        pytest.raises(IntegrityError, match=f"a {kind} checksum of 00000000, what was sent has"),
    ):
        write(item)
    with (
        uploading(Reply(), head(DATA[:9]), Reply()) as (_, item),
        pytest.raises(IntegrityError, match="10 bytes were sent, the store has 9: its bytes"),
    ):
        write(item)


def test_a_lost_answer_to_the_last_request_is_no_error() -> None:
    """The upload is gone because it is complete, as the object shows."""
    with uploading(Reply(0), Reply(404), head()) as (_, item):
        write(item)


def test_an_upload_that_is_gone_is_an_error() -> None:
    """The object is another one: that of an earlier write."""
    with (
        uploading(Reply(0), Reply(404), head(b"old"), Reply(404)) as (server, item),
        pytest.raises(NotFoundError, match=r"ais://b/o \(upload id-1\)"),
    ):
        write(item)
    assert server.requests[-1].method == "DELETE"
    with (
        uploading(Reply(404), Reply(404)) as (server, item),
        pytest.raises(NotFoundError, match="upload id-1"),
    ):
        write(item)


def test_an_old_object_of_the_same_size_is_not_taken_for_the_new_one() -> None:
    """Without a checksum nothing tells that a lost answer had made the object."""
    old = Reply(headers={"Content-Length": str(len(DATA))})
    with (
        uploading(Reply(0), Reply(404), old, Reply(404)) as (_, item),
        pytest.raises(NotFoundError, match="upload id-1"),
    ):
        write(item)


def test_a_server_that_begins_no_upload_is_told() -> None:
    """A web server, say."""
    with Server(Reply(body=b"<html>not an id</html>")) as server:
        client = Client.from_settings(Settings(server.url, direct=False))
        with pytest.raises(IntegrityError, match="the answer is no id of an upload; is it an AIS"):
            write(client.bucket("b").object("o"))
        client.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultProxy, Client]]:
    """Return a proxy before a gateway, and a client that goes through it."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway, FaultProxy(gateway.endpoint) as it:
        client = Client(it.endpoint, retry=RetryPolicy(attempts=3, first_wait_s=0))
        client.bucket("b").create()
        yield it, client
        client.close()


@pytest.mark.parametrize("fault", [Refuse(), Status(503, retry_after_s=0), Cut(0)])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_request_that_fails_is_sent_again(
    served: tuple[FaultProxy, Client], fault: Refuse | Status | Cut, method: str
) -> None:
    """A part, and the first and the last request."""
    proxy, client = served
    item, data = client.bucket("b").object("o"), os.urandom(40)
    for skip in (0, 1, 2):
        proxy.clear()
        proxy.add(fault, method=method, path="/v1/objects/*", skip=skip)
        with item.writer(IN_TURN) as file:
            file.write(data)
        assert item.get() == data


def test_what_cannot_be_stored_leaves_the_old_object(served: tuple[FaultProxy, Client]) -> None:
    """And the upload is aborted."""
    proxy, client = served
    item = client.bucket("b").object("old")
    item.put(b"old")
    proxy.clear()
    proxy.add(Status(503, retry_after_s=0), method="PUT", path="/v1/objects/*", skip=4, times=None)
    before = len(proxy.requests)
    with pytest.raises(StorageError, match="gave up after 3 tries"):
        write(item)
    proxy.clear()
    assert item.get() == b"old"
    aborted = [one for one in proxy.requests[before:] if one.method == "DELETE"]
    assert [one.status for one in aborted] == [200]
    assert re.search("uploadId=.", aborted[0].target)


def test_a_missing_bucket_is_told(served: tuple[FaultProxy, Client]) -> None:
    """By the first part."""
    proxy, client = served
    proxy.clear()
    with pytest.raises(NotFoundError):
        write(client.bucket("missing").object("o"))


def test_open_reads_and_writes(served: tuple[FaultProxy, Client]) -> None:
    """By the modes of binary files."""
    proxy, client = served
    proxy.clear()
    item = client.bucket("b").object("modes")
    with item.open("wb") as file:
        file.write(b"abc")
    with item.open("rb") as read, item.open() as again:
        assert read.read() == again.read() == b"abc"
    with pytest.raises(ConfigError, match="mode='ab': expected 'r', 'rb'"):
        item.open("ab")  # type: ignore[call-overload]


def test_unfinished_uploads_are_listed_and_aborted() -> None:
    """Those below the prefix; one that has ended meanwhile is no error."""
    listed = "".join(
        f"<Upload><Key>{key}</Key><UploadId>id</UploadId></Upload>" for key in ("a/1", "b")
    )
    body = f"<ListMultipartUploadsResult>{listed}</ListMultipartUploadsResult>".encode()
    with Server(Reply(body=body), Reply(), Reply(404)) as server:
        client = Client.from_settings(Settings(server.url, direct=False))
        store = AisStore(client)
        found = list(store.unfinished_uploads(ObjectUrl.parse("ais://b/a/")))
        assert found == [UnfinishedUpload("ais://b/a/1", "id")]
        for _ in range(2):
            store.abort_upload(found[0])
        client.close()
    sent = [(one.method, one.target) for one in server.requests]
    assert sent[0] == ("GET", "/s3/b?uploads")
    assert sent[1:] == [("DELETE", "/v1/objects/b/a/1?provider=ais&uploadId=id")] * 2


def test_all_pages_of_a_list_of_uploads_are_read(tmp_path: Path) -> None:
    """A gateway sends 1,000 at a time."""
    with Gateway(tmp_path) as gateway:
        client = Client(gateway.endpoint)
        client.bucket("b").create()
        path, query = "/v1/objects/b/", {"provider": "ais"}
        for number in range(1005):
            message = {"action": "mpt-upload"}
            client.session.call("POST", f"{path}{number}", query=query, message=message, about="b")
        found = [*AisStore(client).unfinished_uploads(ObjectUrl.parse("ais://b/"))]
        client.close()
    assert {one.url for one in found} == {f"ais://b/{number}" for number in range(1005)}
    assert len({one.id for one in found}) == len(found) == 1005


def test_a_list_of_uploads_that_does_not_end_is_an_error() -> None:
    """Its pages name each other as the next one."""
    page = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
    page += "<NextKeyMarker>{}</NextKeyMarker><NextUploadIdMarker>i</NextUploadIdMarker>"
    page += "</ListMultipartUploadsResult>"
    with Server(*(Reply(body=page.format(marker).encode()) for marker in "aba")) as server:
        store = AisStore(Client.from_settings(Settings(server.url, direct=False)))
        with pytest.raises(IntegrityError, match="uploads of ais://b: the list came to 'a' again"):
            list(store.unfinished_uploads(ObjectUrl.parse("ais://b/")))
        store.client.close()


def test_an_endpoint_that_lists_no_uploads_is_told() -> None:
    """Without an S3 interface none are listed, and S3 knows no namespaces."""
    retry = RetryPolicy(attempts=1, first_wait_s=0)
    with Server(Reply(501)) as server:
        store = AisStore(Client.from_settings(Settings(server.url, retry=retry, direct=False)))
        for url in ("ais://b/", "ais://#name/b/"):
            with pytest.raises(ConfigError, match="unfinished uploads of ais://"):
                list(store.unfinished_uploads(ObjectUrl.parse(url)))
        store.client.close()


def test_an_object_that_cannot_be_verified_is_told() -> None:
    """All is stored; a caller who knows that looks, and does not take it for lost."""
    with (
        uploading(Reply(), Reply(403), Reply(404)) as (_, item),
        pytest.raises(StorageError, match="has taken all bytes, but cannot be asked what it has"),
    ):
        write(item)
