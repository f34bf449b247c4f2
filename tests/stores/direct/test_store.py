"""DirectStore: the contract on memory and S3, the reading half of it on a web server."""

from __future__ import annotations

import hashlib
import io
import os
from functools import partial
from itertools import count
from urllib.parse import quote

import pytest
import requests

from aisio.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    StorageError,
    UrlError,
)
from aisio.records import ByteRange, Timeouts
from aisio.stores import DirectSettings, DirectStore
from aisio.stores.direct.obstore_forks import current_obstore
from aisio.testing.store_contract import ODD_NAMES, StoreContract
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server
from tests.moto_server import SIGNED, s3_server
from tests.stores.direct.replies import FAST, KEYS, OBJECT, direct

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytest.importorskip("aiohttp")

from aisio.gateway import Gateway
from aisio.testing.fault_proxy import Cut, FaultProxy, Stall

_numbers = count()


@pytest.fixture(scope="module")
def s3():
    """Return the endpoint of a moto server in a process of its own."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3):
    """Return the URL of a new bucket."""
    name = f"bucket-{next(_numbers)}"
    requests.put(f"{s3}/{name}", headers={"Authorization": SIGNED}, timeout=10).raise_for_status()
    return ObjectUrl.parse(f"s3://{name}")


@pytest.fixture
def s3_store(s3):
    """Return a store that reaches moto."""
    return DirectStore(DirectSettings(s3, "us-east-1", KEYS, retry=FAST))


@pytest.fixture
def raw(s3):
    """Return a function that sends S3 a request of its own."""

    def send(method, url, **more):
        reply = requests.request(
            method,
            f"{s3}/{url.bucket}/{quote(url.name)}",
            headers={"Authorization": SIGNED},
            timeout=10,
            **more,
        )
        reply.raise_for_status()
        return reply

    return send


@pytest.fixture
def memory():
    """Return the URL of an empty memory bucket."""
    return ObjectUrl.parse(f"memory://m-{next(_numbers)}")


class TestMemory(StoreContract):
    """The contract, over this process's memory."""

    @pytest.fixture
    def store(self):
        return DirectStore()

    @pytest.fixture
    def root(self, memory):
        return memory

    def put_raw(self, url, data):
        obstore = current_obstore()
        made = obstore.memory.setdefault(url.bucket, obstore.api.store.MemoryStore())
        obstore.api.put(made, url.name, data)

    def get_raw(self, url):
        obstore = current_obstore()
        return bytes(obstore.api.get(obstore.memory[url.bucket], url.name).bytes())


class TestS3(StoreContract):
    """The contract, over S3's protocol."""

    @pytest.fixture
    def store(self, s3_store):
        return s3_store

    @pytest.fixture
    def root(self, bucket):
        return bucket

    @pytest.fixture(autouse=True)
    def _raw(self, raw):
        self.raw = raw

    def put_raw(self, url, data):
        self.raw("PUT", url, data=data)

    def get_raw(self, url):
        return self.raw("GET", url).content


class TestS3Folder(TestS3):
    """The contract, below a prefix that has neighbours."""

    @pytest.fixture
    def root(self, bucket, raw):
        for name in ("a", "folder-", "folder0", "z"):
            raw("PUT", bucket.with_name(name), data=b"neighbour")
        return bucket.join("folder/")


@pytest.fixture
def web(tmp_path):
    """Return the address of a folder on a web server."""
    (tmp_path / "b").mkdir()
    with Gateway(tmp_path) as gateway:
        host = gateway.endpoint.removeprefix("http://")
        yield ObjectUrl("http", host, "v1/objects/b/", scheme="http")


class TestWeb:
    """The part of the contract that only reads, over a web server."""

    @pytest.fixture
    def store(self):
        return DirectStore(DirectSettings(retry=FAST))

    @pytest.fixture
    def root(self, web):
        return web

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path / "b"

    def put_raw(self, url, data):
        path = self.folder / url.name.removeprefix("v1/objects/b/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    test_get_streams_and_reads = StoreContract.test_get_streams_and_reads
    test_get_a_range = StoreContract.test_get_a_range
    test_range_outside = StoreContract.test_range_outside
    test_head = StoreContract.test_head
    test_threads_share_it = StoreContract.test_threads_share_it

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_names_stand_as_they_are(self, store, root, name):
        """A name is quoted once on its way out, and never taken for a query."""
        self.put_raw(root.join(name), name.encode())
        assert store.read(root.join(name)) == name.encode()

    def test_missing_objects(self, store, root):
        """A missing object is a NotFoundError; for a pasted, quoted address it has a hint."""
        with pytest.raises(NotFoundError, match="missing"):
            store.head(root.join("missing"))
        with pytest.raises(NotFoundError, match="never as a query"):
            store.get(root.join("a%20b?token=x"))

    def test_it_is_only_read(self, store, root):
        """What a web server cannot do is refused before anything is sent."""
        with pytest.raises(ConfigError, match="no listings"):
            store.list(root)
        for attempt in (
            lambda: store.put(root.join("a"), b"x"),
            lambda: store.delete(root.join("a")),
        ):
            with pytest.raises(ConfigError, match="only read"):
                attempt()


class TestNames:
    """Names under which obstore would read or write another object."""

    @pytest.mark.parametrize("name", ["tab\tx", "a\nb", "\x7f"])
    def test_names_that_mean_another_object_are_refused(self, memory, name):
        """For reads, writes, deletes and listings alike."""
        store, url = DirectStore(), memory.with_name(name)
        for attempt in (
            store.head,
            store.get,
            store.delete,
            store.list,
            lambda u: store.put(u, b""),
        ):
            with pytest.raises(UrlError, match="only through an AIStore cluster"):
                attempt(url)

    def test_a_start_that_means_another_name_is_refused(self, memory):
        """Listing after "/x" would leave out all names up to "x"."""
        with pytest.raises(UrlError, match="leading"):
            DirectStore().list(memory, start_after="/x")

    def test_a_listing_with_such_a_name_fails(self, s3_store, bucket, raw):
        """It is not left out silently."""
        raw("PUT", ObjectUrl(bucket.provider, bucket.bucket, "a//b"), data=b"x")
        with pytest.raises(StorageError, match="cannot carry"):
            list(s3_store.list(bucket))

    def test_folder_markers_are_not_listed(self, s3_store, bucket, raw):
        """Consoles make "a/"; empty objects stay."""
        for name, data in (("a-b", b"1"), ("a/", b""), ("a/x", b"2"), ("a/empty", b""), ("c", b"")):
            raw("PUT", bucket.with_name(name), data=data)
        listed = [(info.name, info.size_bytes) for info in s3_store.list(bucket)]
        assert listed == [("a-b", 1), ("a/empty", 0), ("a/x", 1), ("c", 0)]

    def test_a_folder_marker_with_nothing_below_it_is_not_listed(self, s3_store, bucket, raw):
        """It cannot be read by that name. An empty object of such a name can, and is listed."""
        for name in ("empty", "marker/", "z.txt"):
            raw("PUT", bucket.with_name(name), data=b"")
        assert [info.name for info in s3_store.list(bucket)] == ["empty", "z.txt"]

    def test_an_object_beside_its_folder_marker_is_listed_once(self, s3_store, bucket, raw):
        """The marker has the object's name in obstore's listing."""
        for name, data in (("a", b"12345"), ("a-b", b"1"), ("a/", b""), ("a/x", b"2")):
            raw("PUT", bucket.with_name(name), data=data)
        listed = [(info.name, info.size_bytes) for info in s3_store.list(bucket)]
        assert listed == [("a", 5), ("a-b", 1), ("a/x", 1)]

    @pytest.mark.parametrize(
        "prefix", ["0", "tr", "é", "日", "p/0", "p/.0", "p/ ", "x!", "\x80", "\ue000"]
    )
    def test_prefixes_of_all_kinds(self, memory, prefix):
        """Exactly the names with the prefix are listed, whatever sorts just before it."""
        store = DirectStore()
        names = sorted(
            {f"{prefix}{end}" for end in ("", "0", "~", "日")} | {"!", "p/~", "zz", "\uffee"}
        )
        for name in names:
            store.put(memory.join(name), b"")
        listed = [info.name for info in store.list(memory.join(prefix))]
        assert listed == [name for name in names if name.startswith(prefix)]


class TestReads:
    """What a read verifies, besides the contract; see also `test_reads`."""

    def test_a_cut_body_is_resumed_behind_what_came(self, s3, s3_store, bucket):
        """Only bytes that obstore held back are requested twice."""
        data = os.urandom(1_000_000)
        s3_store.put(bucket.join("o"), data)
        with FaultProxy(s3) as proxy:
            proxy.add(Cut(600_000), method="GET", path=f"/{bucket.bucket}/o", times=1)
            store = DirectStore(DirectSettings(proxy.endpoint, "us-east-1", KEYS, retry=FAST))
            with store.get(bucket.join("o")) as body:
                assert body.readall() == data
            _, second = proxy.requests
        start = int(second.headers["range"].removeprefix("bytes=").partition("-")[0])
        assert 600_000 - 16 * 1024 <= start <= 600_000

    def test_a_silent_body_is_read_again(self, web, tmp_path):
        """A stall is a failed try too."""
        (tmp_path / "b" / "o").write_bytes(b"0123456789")
        with FaultProxy(f"http://{web.bucket}") as proxy:
            proxy.add(Stall(5), method="GET", path="/v1/objects/b/o", times=1)
            settings = DirectSettings(retry=FAST, timeouts=Timeouts(read_s=0.5))
            url = ObjectUrl.parse(f"{proxy.endpoint}/v1/objects/b/o")
            assert DirectStore(settings).read(url) == b"0123456789"
            assert [request.fault for request in proxy.requests if request.fault] == ["Stall"]

    def test_a_range_of_nothing_is_nothing(self, s3_store, bucket):
        """S3 refuses any range of an empty object. For aisio one from its start on is no error."""
        s3_store.put(bucket.join("a"), b"")
        with s3_store.get(bucket.join("a"), ByteRange(0, 5)) as body:
            assert body.readall() == b""

    def test_a_large_body_in_pieces_of_any_size(self, s3_store, bucket):
        """Reads across obstore's chunks lose and repeat nothing."""
        data = os.urandom(1_500_001)
        s3_store.put(bucket.join("a"), data)
        for size in (65_537, 300_000, 1_000_000):
            with s3_store.get(bucket.join("a")) as body:
                assert b"".join(iter(partial(body.read, size), b"")) == data
        buffer = bytearray(400_000)
        with s3_store.get(bucket.join("a")) as body:
            counts = iter(lambda: body.readinto(buffer), 0)
            assert b"".join(bytes(buffer[:count]) for count in counts) == data

    def test_etl_needs_a_cluster(self, memory):
        """An ETL is never silently left out."""
        with pytest.raises(ConfigError, match="ETL 'md5'"):
            DirectStore().get(memory.join("a"), etl_name="md5")


class TestPuts:
    """What a put verifies."""

    def test_large_data_goes_up_in_parts(self, s3_store, bucket):
        """The store has the ETag that was computed. A read does not take it for an MD5."""
        data = os.urandom(1024) * (17 * 1024)
        info = s3_store.put(bucket.join("big"), io.BytesIO(data))
        assert (info.etag[-2:], info.size_bytes, info.checksum) == ("-3", len(data), None)
        assert s3_store.read(bucket.join("big")) == data

    def test_an_object_of_a_cloud_is_put_and_copied(self, s3, s3_store, bucket):
        """Also a large one to another bucket: obstore reads it while obstore writes."""
        data = os.urandom(17 * 1024 * 1024)
        s3_store.put(bucket.join("a"), data)
        with s3_store.open(bucket.join("a")) as file:
            assert s3_store.put(bucket.join("b"), file).size_bytes == len(data)
        other = ObjectUrl.parse(f"s3://bucket-{next(_numbers)}")
        headers = {"Authorization": SIGNED}
        requests.put(f"{s3}/{other.bucket}", headers=headers, timeout=10).raise_for_status()
        s3_store.copy(bucket.join("b"), other.join("c"))
        assert s3_store.read(other.join("c")) == data

    def test_one_piece_that_arrives_wrong_is_an_error(self):
        """The error names the setting for buckets whose ETags are no MD5."""
        with (
            Server(Reply(200, b"", {"ETag": f'"{"0" * 32}"'})) as server,
            pytest.raises(IntegrityError, match="verify_etag=False"),
        ):
            direct(server).put(OBJECT, b"x")

    def test_an_object_that_cannot_be_verified_is_told(self):
        """It is stored; a caller who knows that does not take it for lost."""
        etag = {"ETag": f'"{hashlib.md5(b"x").hexdigest()}"'}
        with (
            Server(Reply(200, b"", etag), Reply(403)) as server,
            pytest.raises(StorageError, match="has taken all bytes, but cannot be asked"),
        ):
            direct(server).put(OBJECT, b"x")

    def test_parts_that_arrive_wrong_are_an_error(self):
        """The ETag is that of all parts."""
        start = (
            b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        )
        done = (
            b"<CompleteMultipartUploadResult><ETag>&quot;%s-3&quot;</ETag>"
            b"</CompleteMultipartUploadResult>" % (b"0" * 32)
        )
        part = Reply(200, b"", {"ETag": '"p"'})
        with Server(Reply(200, start), part, part, part, Reply(200, done)) as server:
            with pytest.raises(IntegrityError, match="0-3, what was sent has"):
                direct(server).put(OBJECT, bytes(17 * 1024 * 1024))
            assert len(server.requests) == 5

    def test_a_failing_source_stores_nothing(self, s3_store, bucket, raw):
        """If the file shrinks, the upload is aborted and leaves no parts."""
        with pytest.raises(StorageError, match="has shrunk"):
            s3_store.put(bucket.join("a"), Shrinking(bytes(20 * 1024 * 1024)))
        assert list(s3_store.list(bucket)) == []
        assert b"<Upload>" not in raw("GET", bucket, params="uploads").content


class Shrinking(io.BytesIO):
    """A file that ends before the size that it had when it was opened."""

    def read(self, size=-1, /):
        return b"" if self.tell() > 10 * 1024 * 1024 else super().read(size)


class TestListings:
    """What a listing costs and refuses."""

    def test_a_listing_out_of_order_is_refused(self):
        """Split over workers, it would lose and repeat objects."""
        rows = "".join(
            f"<Contents><Key>{name}</Key><Size>1</Size>"
            f"<LastModified>2026-11-20T22:00:00.000Z</LastModified></Contents>"
            for name in ("b", "a")
        )
        page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        with (
            Server(Reply(200, page.encode())) as server,
            pytest.raises(StorageError, match="'a' after 'b'"),
        ):
            list(direct(server).list(ObjectUrl.parse("s3://bkt")))

    def test_a_missing_bucket_says_so(self, s3_store):
        """A typo in a bucket's name is an error, not an empty dataset."""
        with pytest.raises(NotFoundError, match="NoSuchBucket"):
            list(s3_store.list(ObjectUrl.parse("s3://no-such-bucket")))

    def test_a_prefix_within_a_name_is_asked_for_from_just_before_it(self):
        """The store does not list the folder from its start."""
        page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        with Server(*[Reply(200, page)] * 3) as server:
            assert list(direct(server).list(ObjectUrl.parse("s3://bkt/train/shard"))) == []
        assert "prefix=train%2F" in server.requests[0].target
        assert "start-after=train%2Fsharc" in server.requests[0].target
