"""ObjectTree: what fsspec's paths mean, and what requests that takes."""

from __future__ import annotations

import json
import pickle

import aiohttp  # noqa: F401 - the gateway needs it
import fsspec  # noqa: F401 - the package imports it
import pytest

from aisio import Bucket, UrlError
from aisio.errors import ConfigError, ConflictError, IntegrityError, NotFoundError, RangeError
from aisio.integrations.fsspec.object_tree import ObjectTree
from aisio.stores import DirectSettings
from aisio.testing.fault_proxy import FaultProxy, Status
from tests.http_server import Reply
from tests.scripted_cluster import cluster


@pytest.fixture
def tree(bucket: Bucket, cluster: str) -> ObjectTree:
    """Return the tree of a bucket with a file, and with two in folders."""
    for name in ("a", "d/b", "d/e/c"):
        bucket.object(name).put(name.encode() * 10)
    return ObjectTree("ais", endpoint=cluster)


def names(entries: list[dict[str, object]]) -> list[tuple[object, object]]:
    """Return name and type of entries."""
    return [(entry["name"], entry["type"]) for entry in entries]


def test_what_is_at_a_path(tree: ObjectTree) -> None:
    """An object, a folder or a bucket; sizes are bytes."""
    info = tree.info("data/d/b")
    assert (info["name"], info["size"], info["type"]) == ("data/d/b", 30, "file")
    assert info["checksum"].startswith("xxhash")
    for path in ("data/d", "data/d/e", "data", ""):
        assert tree.info(path) == {"name": path, "size": 0, "type": "directory"}
    for path in ("data/x", "data/d/e/c/x", "nobucket", "nobucket/x"):
        with pytest.raises(NotFoundError, match="there is no such object, folder or bucket"):
            tree.info(path)


def test_levels(tree: ObjectTree, bucket: Bucket) -> None:
    """Folders stand for what is in them; an object lists itself; all buckets below nothing."""
    assert names(tree.level("data")) == [("data/a", "file"), ("data/d", "directory")]
    assert names(tree.level("data/d")) == [("data/d/b", "file"), ("data/d/e", "directory")]
    assert names(tree.level("data/a")) == [("data/a", "file")]
    assert ("data", "directory") in names(tree.level(""))
    with pytest.raises(NotFoundError):
        tree.level("data/x")
    bucket.object("a").delete()
    bucket.object("d/b").delete()
    bucket.object("d/e/c").delete()
    assert tree.level("data") == []


def test_a_bucket_that_goes_while_it_is_listed_is_an_error() -> None:
    """The objects of the first page are not all that there were."""
    page = {"uuid": "", "continuation_token": "a", "entries": [{"name": "a", "size": "1"}]}
    as_json = {"Content-Type": "application/json"}
    with cluster(Reply(body=json.dumps(page).encode(), headers=as_json), Reply(404)) as (_, client):
        found = ObjectTree("ais", client=client).find("data")
        assert next(found)["name"] == "data/a"
        with pytest.raises(NotFoundError):
            next(found)


def test_ranges_are_those_of_a_slice(tree: ObjectTree, bucket: Bucket) -> None:
    """Also beyond the end, and from it."""
    data = bytes(range(200))
    bucket.object("a").put(data)
    bounds = [None, 0, 5, 199, 200, 300, -1, -200, -300]
    for start in bounds:
        for stop in bounds:
            assert tree.read("data/a", start, stop) == data[start:stop], (start, stop)


def test_a_range_that_is_refused_is_empty_beyond_the_end_alone(
    bucket: Bucket, cluster: str
) -> None:
    """The store is asked for the size."""
    bucket.object("a").put(b"12345")
    with FaultProxy(cluster) as proxy:
        tree = ObjectTree("ais", endpoint=proxy.endpoint)
        assert tree.read("data/a", 5, 9) == b""
        proxy.add(Status(416), method="GET", path="/v1/objects/*")
        with pytest.raises(RangeError):
            tree.read("data/a", 0, 3)


def test_a_range_from_the_end_is_of_one_version(tree: ObjectTree, bucket: Bucket) -> None:
    """The object may be replaced between the HEAD and the GET."""
    seen = tree.head("data/a")
    bucket.object("a").put(b"12345")
    with pytest.raises(IntegrityError, match="was replaced while it was read"):
        tree.read("data/a", -2, version=seen)
    assert tree.read("data/a", -2, version=tree.head("data/a")) == b"45"


def test_nothing_is_counted_from_an_end_that_is_not_known() -> None:
    """There would be no bytes."""
    unsized = Reply(headers={"Transfer-Encoding": "chunked"})
    with (
        cluster(unsized, unsized) as (_, client),
        pytest.raises(IntegrityError, match="does not say how"),
    ):
        ObjectTree("ais", client=client).read("data/a", -5)


def test_etags_tell_versions_apart(tree: ObjectTree, bucket: Bucket) -> None:
    """Of a store that has none, checksums do, and do not change by a read."""
    before = tree.info("data/a")
    tree.read("data/a")
    assert tree.info("data/a") == before
    bucket.object("a").put(b"b" * 10)
    assert tree.info("data/a")["etag"] != before["etag"]


def test_buckets_are_created_and_deleted(tree: ObjectTree) -> None:
    """One that has objects is not; folders need none of it."""
    tree.create_bucket("data/new/folder", exist_ok=False)
    tree.create_bucket("more", exist_ok=False)
    with pytest.raises(ConflictError):
        tree.create_bucket("more", exist_ok=False)
    tree.create_bucket("more", exist_ok=True)
    tree.delete_bucket("more")
    tree.delete_bucket("data/no-folder")
    for path in ("data", "data/d"):
        with pytest.raises(ConflictError, match="it is not empty"):
            tree.delete_bucket(path)


def test_what_other_stores_cannot_do() -> None:
    """A cloud that is reached directly."""
    tree = ObjectTree("s3", direct=DirectSettings(endpoint="http://127.0.0.1:1"))
    with pytest.raises(ConfigError, match="name a bucket; only clusters list them"):
        tree.level("")
    with pytest.raises(ConfigError, match="creates buckets of a cluster only"):
        tree.create_bucket("b", exist_ok=True)


def test_paths_that_are_no_urls(tree: ObjectTree) -> None:
    """Are refused, before a request."""
    for path in ("data/a//b", "data/../x", "bad bucket/x"):
        with pytest.raises(UrlError):
            tree.info(path)
    with pytest.raises(UrlError, match="names no object"):
        tree.read("data")


def test_it_pickles(tree: ObjectTree) -> None:
    """With its settings."""
    assert pickle.loads(pickle.dumps(tree)).read("data/a") == b"a" * 10
