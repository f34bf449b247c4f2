"""The official client as the reference: what one writes, the other reads, and both see the same."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.client.client import Bucket, Client
from aisio.wire.messages import object_http_url

DATA = bytes(range(256)) * 100
NAMES = ["a", "d/e f.tar", "track?name=lofi&v=1", "file_#@!$%^&*()_+.mp3", "%25", "ünï/漢字 😀"]


@pytest.fixture
def theirs(bucket: Bucket, sdk_client: Any) -> Any:
    """Return the same bucket as the official client has it."""
    return sdk_client.bucket(bucket.name)


@pytest.mark.parametrize("name", NAMES)
def test_they_read_what_we_write(bucket: Bucket, theirs: Any, name: str) -> None:
    """Bytes, size, checksum and version."""
    info = bucket.object(name).put(DATA)
    reader = theirs.object(name).get_reader()
    assert reader.read_all() == DATA
    assert info.checksum is not None
    assert reader.attributes.checksum_type == info.checksum.kind
    assert reader.attributes.checksum_value == info.checksum.value
    assert reader.attributes.obj_version == info.version
    assert reader.attributes.size == info.size_bytes


@pytest.mark.parametrize("name", NAMES)
def test_we_read_what_they_write(bucket: Bucket, theirs: Any, name: str) -> None:
    """Verified by the checksum that came with their put."""
    theirs.object(name).get_writer().put_content(DATA)
    assert bucket.object(name).get() == DATA
    assert bucket.object(name).head().size_bytes == len(DATA)


def test_ranges_are_the_same_bytes(bucket: Bucket, theirs: Any) -> None:
    """Their range is a header's, ours a slice's."""
    bucket.object("o").put(DATA)
    reader = theirs.object("o").get_reader(byte_range="bytes=100-299")
    assert reader.read_all() == bucket.object("o").get(start=100, stop=300)


@pytest.mark.parametrize("page_size", [0, 7])
def test_listings_are_equal(bucket: Bucket, theirs: Any, page_size: int) -> None:
    """Names, sizes, checksums and versions, in the same order."""
    for number, name in enumerate([*NAMES, *(f"n/{number}" for number in range(20))]):
        bucket.object(name).put(b"x" * number)
    props = "name,size,checksum,version"
    ours = [
        (info.name, info.size_bytes, info.checksum and info.checksum.value, info.version)
        for info in bucket.list(props=props, page_size=page_size)
    ]
    listed = theirs.list_all_objects(props=props, page_size=page_size)
    assert ours == [(e.name, e.size, e.checksum, e.version) for e in listed]
    assert [name for name, *_ in ours if name.startswith("n/")] == [
        entry.name for entry in theirs.list_all_objects_iter(prefix="n/")
    ]


def test_urls_of_objects_are_equal(bucket: Bucket, theirs: Any) -> None:
    """AIS-01: both list the same http URLs."""
    for name in NAMES:
        bucket.object(name).put(b"")
    endpoint = bucket.client.endpoint
    ours = [object_http_url(endpoint, bucket.url.with_name(info.name)) for info in bucket.list()]
    assert sorted(ours) == sorted(theirs.list_urls())


def test_groups_have_the_same_names(bucket: Bucket, theirs: Any) -> None:
    """A template means the same to both."""
    template = "s-{00..04..2}.tar"
    assert list(bucket.objects(template=template).names()) == list(
        theirs.objects(obj_template=template).list_names()
    )


def test_buckets_are_the_same(bucket: Bucket, theirs: Any, client: Client, sdk_client: Any) -> None:
    """Made by one, seen and destroyed by the other."""
    assert theirs.head().get("Ais-Bucket-Props")
    ours = {made.name for made in client.buckets()}
    assert ours == {made.name for made in sdk_client.cluster().list_buckets("ais")}
    theirs.delete()
    assert not bucket.exists()
    theirs.create()
    assert bucket.exists()


def test_what_one_deletes_the_other_misses(bucket: Bucket, theirs: Any) -> None:
    """Both ways."""
    bucket.object("o").put(b"x")
    theirs.object("o").delete()
    assert not bucket.object("o").exists()
    theirs.object("p").get_writer().put_content(b"x")
    bucket.object("p").delete()
    assert [entry.name for entry in theirs.list_all_objects()] == []
