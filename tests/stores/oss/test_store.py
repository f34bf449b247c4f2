"""OssStore: the contract, and what is OSS's own, over a server that checks its signatures."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from multiprocessing import get_context

import pytest

from aisio.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    UnavailableError,
)
from aisio.records import ByteRange, Checksum, RetryPolicy
from aisio.stores import DirectSettings
from aisio.testing.fault_proxy import Cut, FaultProxy
from aisio.testing.store_contract import StoreContract
from aisio.transport.concurrency.pending import offering
from aisio.urls import ObjectUrl
from tests.oss_server import KEY_ID, REGION, SECRET, TOKEN, TOKEN_KEY_ID

pytest.importorskip("alibabacloud_oss_v2")

import alibabacloud_oss_v2
from alibabacloud_oss_v2.credentials import StaticCredentialsProvider

from aisio.stores.oss.store import OssStore

KEYS = {"access_key_id": KEY_ID, "access_key_secret": SECRET}
FAST = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)


@pytest.fixture
def store(server):
    """Return a store that reaches the server."""
    return OssStore(DirectSettings(server.endpoint, REGION, KEYS, retry=FAST))


class TestOss(StoreContract):
    """The contract."""

    @pytest.fixture
    def store(self, server):
        return OssStore(DirectSettings(server.endpoint, REGION, KEYS, retry=FAST))

    @pytest.fixture
    def root(self, bucket):
        return bucket

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    def put_raw(self, url, data):
        self.server.put_raw(url.bucket, url.name, data)

    def get_raw(self, url):
        return self.server.get_raw(url.bucket, url.name)


class _Handler(BaseHTTPRequestHandler):
    """Answers requests."""

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


def listing_pages(pages):
    """Return a handler that answers requests with the next page of a listing, and then the last."""

    class Handler(_Handler):
        def do_GET(self):
            names = pages.pop(0) if len(pages) > 1 else pages[0]
            entries = "".join(
                f"<Contents><Key>{name}</Key><Size>1</Size></Contents>" for name in names
            )
            token = f"<NextContinuationToken>{next(numbers)}</NextContinuationToken>"
            self.answer(
                200, f"<ListBucketResult>{more}{token}{entries}</ListBucketResult>".encode()
            )

    more, numbers = "<IsTruncated>true</IsTruncated>", count()
    return Handler


@contextmanager
def answering(handler):
    """Give a store whose endpoint answers each request by a handler."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{http.server_port}"
        try:
            yield OssStore(DirectSettings(endpoint, REGION, KEYS, retry=FAST))
        finally:
            http.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        (["a"], "'a' came after 'a'"),  # the same page again and again
        (["ab", "bc"], "'b' came after 'b'"),
        (["ac", "b"], "'b' came after 'c'"),
        (["a", ""], "1,001 pages in succession were empty"),
    ],
)
def test_a_listing_that_has_a_name_twice_or_does_not_end_is_an_error(pages, why):
    """The objects would be read twice, or the listing go on for ever."""
    with answering(listing_pages(pages)) as store, pytest.raises(IntegrityError, match=why):
        list(store.list(ObjectUrl.parse("oss://b")))


@pytest.mark.parametrize(
    ("prefix", "message"),
    [("a", "the list of uploads came to 'a' again"), ("b", "there came an upload of oss://b/a")],
)
def test_a_list_of_uploads_that_does_not_end_or_is_of_others_is_an_error(prefix, message):
    """The same page again and again; a server that does not know the prefix lists all."""

    class Handler(_Handler):
        def do_GET(self):
            page = "<IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker>"
            page += "<NextUploadIdMarker>u</NextUploadIdMarker>"
            page += "<Upload><Key>a</Key><UploadId>u</UploadId></Upload>"
            self.answer(
                200, f"<ListMultipartUploadsResult>{page}</ListMultipartUploadsResult>".encode()
            )

    with answering(Handler) as store, pytest.raises(IntegrityError, match=message):
        list(store.unfinished_uploads(ObjectUrl.parse(f"oss://b/{prefix}")))


def test_a_listing_of_other_names_is_an_error():
    """A server that does not know the prefix lists all."""
    with answering(listing_pages(["ab"])) as store, pytest.raises(IntegrityError, match="'a' came"):
        list(store.list(ObjectUrl.parse("oss://b/b")))


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (202, b"", {}),
        (203, b"123456789", {}),
        (206, b"789", {"Content-Range": "bytes 6-8/9"}),
    ],
)
def test_only_a_response_of_status_200_is_the_whole_object(status, body, headers):
    """A proxy that wants to be asked again answers 202; a broken cache may answer with a part."""

    class Handler(_Handler):
        def do_GET(self):
            self.answer(status, body, **headers)

    with answering(Handler) as store:
        url = ObjectUrl.parse("oss://b/a")
        message = f"GET oss://b/a: answered {status}, which is not the whole object"
        for read in (store.read, store.get):
            with pytest.raises(StorageError, match=message):
                read(url)


def test_a_web_page_of_something_on_the_way_is_no_answer():
    """It would be taken for the object, and a PUT for done; a page that OSS has is an object."""

    class Handler(_Handler):
        def do_GET(self):
            own = {"x-oss-request-id": "1"} if self.path.endswith("page") else {}
            self.answer(200, b"<html>", **{"Content-Type": "text/html"}, **own)

        do_PUT = do_HEAD = do_DELETE = do_GET

    with answering(Handler) as store:
        url = ObjectUrl.parse("oss://b/a")
        for call in (store.read, store.head, store.delete, lambda url: store.put(url, b"")):
            with pytest.raises(IntegrityError, match="a proxy that wants a login, answers in plac"):
                call(url)
        assert store.read(ObjectUrl.parse("oss://b/page")) == b"<html>"


def test_whole_reads_are_verified_by_crc_64(store, server, bucket):
    """A range by its length: the checksum is that of the whole object."""
    url = bucket.with_name("a")
    server.put_raw(url.bucket, url.name, b"123456789")
    assert store.head(url).checksum == Checksum("crc64ecma", "995dc9bbdf1939fa")
    wrong = {"x-oss-hash-crc64ecma": "5"}
    server.break_next("GET", headers=wrong)
    with pytest.raises(IntegrityError, match="wrong crc64ecma checksum over 9 bytes"):
        store.read(url)
    server.break_next("GET", headers=wrong)
    with store.get(url, ByteRange(2, 4)) as body:
        assert body.readall() == b"34"
    server.break_next("GET", headers={"Content-Range": "bytes 0-1/9"})
    with pytest.raises(IntegrityError, match=r"asked for bytes=2-3, the store answered 206"):
        store.get(url, ByteRange(2, 4))


def test_a_range_of_an_empty_object_has_no_bytes(store, server, bucket):
    """From its start; one that begins later lies outside, as in any object."""
    url = bucket.with_name("empty")
    server.put_raw(url.bucket, url.name, b"")
    with store.get(url, ByteRange(0, 5)) as body:
        assert body.readall() == b""
    with pytest.raises(RangeError):
        store.get(url, ByteRange(1))


def test_a_body_that_breaks_is_continued_behind_its_last_byte(server, bucket):
    """Of the same version; another one is an error."""
    url, data = bucket.with_name("a"), bytes(range(256)) * 4000
    server.put_raw(url.bucket, url.name, data)
    with FaultProxy(server.endpoint) as proxy:
        proxy.add(Cut(after_bytes=300_000), method="GET", times=1)
        store = OssStore(DirectSettings(proxy.endpoint, REGION, KEYS, retry=FAST))
        server.take_log()
        assert store.read(url) == data
        ranges = [entry.range for entry in server.take_log()]
        assert ranges == ["", "bytes=300000-"]


def test_a_replaced_object_is_not_mixed_with_the_old_one(server, bucket):
    """The rest of a body that broke is of the same version, or an error."""
    url = bucket.with_name("a")
    server.put_raw(url.bucket, url.name, bytes(1_000_000))
    with FaultProxy(server.endpoint) as proxy:
        proxy.add(Cut(after_bytes=300_000), method="GET", times=1)
        store = OssStore(DirectSettings(proxy.endpoint, REGION, KEYS, retry=FAST))
        with store.get(url) as body:
            body.read(1000)
            server.put_raw(url.bucket, url.name, b"1" * 1_000_000)
            with pytest.raises(IntegrityError, match="was replaced while it was read"):
                body.readall()


def test_a_large_object_is_read_in_parallel_parts(store, server, bucket):
    """Each by a ranged request, and the whole is verified."""
    url, data = bucket.with_name("large"), bytes(range(256)) * (33 * 4096)
    server.put_raw(url.bucket, url.name, data)
    server.take_log()
    assert store.read(url) == data
    ranges = [entry.range for entry in server.take_log()]
    assert sorted(filter(None, ranges))
    assert len(ranges) == 5


def test_a_request_that_was_sent_ahead_is_not_sent_again(store, server, bucket):
    """The read takes its response; a request for something else is another one."""
    url = bucket.with_name("a")
    server.put_raw(url.bucket, url.name, b"0123456789")
    server.take_log()
    for byte_range in (None, ByteRange(2, 4)):
        pending = store.send_ahead(url, byte_range)
        with offering(pending), store.get(url, byte_range) as body:
            assert body.readall() == b"0123456789"[2:4] if byte_range else b"0123456789"
    assert [entry.range for entry in server.take_log()] == ["", "bytes=2-3"]
    pending = store.send_ahead(url)
    with offering(pending):
        assert store.read(bucket.with_name("a")) == b"0123456789"
    assert store.send_ahead(url, etl_name="e") is None
    unsigned = OssStore(DirectSettings(server.endpoint, REGION, {"access_key_id": "only"}))
    assert unsigned.send_ahead(url) is None


def test_a_listing_has_pages(store, server, bucket):
    """One request each; names are decoded."""
    names = [f"a b/{number}" for number in range(7)]
    for name in names:
        server.put_raw(bucket.bucket, name, b"x")
    server.shorten_pages(3)
    server.take_log()
    assert [info.name for info in store.list(bucket.with_name("a b/"))] == names
    assert [entry.status for entry in server.take_log()] == [200] * 3
    assert [info.name for info in store.list(bucket, start_after="a b/2")] == names[3:]
    server.shorten_pages(1000)
    with pytest.raises(NotFoundError, match="no such bucket"):
        next(store.list(ObjectUrl.parse("oss://no-such-bucket")))


def test_what_oss_refuses_to_take_is_not_stored(store, server, bucket):
    """OSS compares Content-MD5 before it takes an object: the old one stays."""
    url = bucket.with_name("a")
    server.put_raw(url.bucket, url.name, b"old")
    server.break_next("PUT", status=400, code="InvalidDigest")
    with pytest.raises(IntegrityError, match="InvalidDigest: the bytes were damaged"):
        store.put(url, b"new")
    assert store.read(url) == b"old"


def test_what_oss_has_got_is_compared(store, server, bucket):
    """As for parts: whoever does not look at Content-MD5 may store other bytes."""
    server.break_next("PUT", headers={"x-oss-hash-crc64ecma": "1"})
    with pytest.raises(IntegrityError, match="OSS has a CRC-64 of 0000000000000001, what was sent"):
        store.put(bucket.with_name("a"), b"new")


def test_large_data_is_put_in_parts(store, server, bucket, tmp_path):
    """A file is never in memory as a whole."""
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (17 * 4096))
    info = store.put(bucket.with_name("large"), path)
    assert info.size_bytes == path.stat().st_size
    queries = [entry.query for entry in server.take_log() if entry.method == "PUT"]
    assert sorted(query.partition("&")[0] for query in queries) == ["partNumber=1", "partNumber=2"]
    assert server.get_raw(bucket.bucket, "large") == path.read_bytes()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_oss_31_workers_read_with_the_credentials_of_the_parent(server, bucket, tmp_path, method):
    """Also after the parent has read; keys come from a file, or from a provider that pickles."""
    url = bucket.with_name("a")
    server.put_raw(url.bucket, url.name, b"0123456789")
    file = tmp_path / "credentials"
    file.write_text(json.dumps({"AccessKeyId": KEY_ID, "AccessKeySecret": SECRET}))
    provider = StaticCredentialsProvider(TOKEN_KEY_ID, SECRET, TOKEN)
    stores = []
    for credentials in (file, provider):
        settings = DirectSettings(server.endpoint, REGION, credentials=credentials, retry=FAST)
        stores.append(OssStore(settings))
        assert stores[-1].read(url) == b"0123456789"
        assert SECRET not in repr(stores[-1])
    with ProcessPoolExecutor(1, get_context(method)) as workers:
        results = [workers.submit(store.read, url) for store in stores]
        assert [result.result() for result in results] == [b"0123456789"] * 2


def test_only_oss_is_read(store):
    """ETLs are a cluster's; other stores have other URLs."""
    with pytest.raises(ConfigError, match="only a cluster can transform it"):
        store.get(ObjectUrl.parse("oss://bkt/a"), etl_name="e")
    with pytest.raises(ConfigError, match="only a cluster can transform it"):
        store.read(ObjectUrl.parse("oss://bkt/a"), etl_name="e")
    with pytest.raises(ConfigError, match="is not in OSS"):
        store.head(ObjectUrl.parse("s3://bkt/a"))


def test_an_endpoint_that_never_answers_is_named():
    """With the setting that it is from."""
    store = OssStore(DirectSettings("http://127.0.0.1:9", REGION, KEYS, retry=FAST))
    with pytest.raises(UnavailableError, match=r"127.0.0.1:9/bkt, which DirectSettings.endpoint"):
        store.head(ObjectUrl.parse("oss://bkt/a"))


def test_the_vendors_clients_and_aisio_read_what_the_other_has_written(store, server, bucket):
    """By either SDK: the server takes none of them for another."""
    config = alibabacloud_oss_v2.config.load_default()
    config.region, config.endpoint = REGION, server.endpoint
    config.credentials_provider = StaticCredentialsProvider(KEY_ID, SECRET)
    client = alibabacloud_oss_v2.Client(config)
    client.put_object(
        alibabacloud_oss_v2.PutObjectRequest(bucket=bucket.bucket, key="a b/1", body=b"theirs")
    )
    assert store.read(bucket.with_name("a b/1")) == b"theirs"
    store.put(bucket.with_name("a b/2"), b"ours")
    result = client.get_object(
        alibabacloud_oss_v2.GetObjectRequest(bucket=bucket.bucket, key="a b/2")
    )
    assert (result.body.read(), result.hash_crc64) == (
        b"ours",
        str(int(store.head(bucket.with_name("a b/2")).checksum.value, 16)),
    )
    listed = alibabacloud_oss_v2.ListObjectsV2Request(bucket=bucket.bucket, prefix="a b/")
    assert [entry.key for entry in client.list_objects_v2(listed).contents] == ["a b/1", "a b/2"]
    assert [info.name for info in store.list(bucket)] == ["a b/1", "a b/2"]
    client.copy_object(
        alibabacloud_oss_v2.CopyObjectRequest(bucket=bucket.bucket, key="a b/3", source_key="a b/2")
    )
    assert store.read(bucket.with_name("a b/3")) == b"ours"
