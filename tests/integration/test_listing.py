"""Listings: every object once, in bytewise order, page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
import requests

from aisio.client.client import Bucket, Client
from aisio.records import Checksum, ObjectInfo
from aisio.sources.resolve import source
from aisio.wire import messages
from aisio.wire.listing import list_message, parse_page

COUNT = 1200
NAMES = sorted(
    [f"train/{number:04d}.bin" for number in range(COUNT - 4)]
    + ["Train/x", "trai", "train0", "val/é/x"],
    key=str.encode,
)


WORST = sorted(
    {
        f"{part}{number:02d}"
        for part in ("a/", "a-", "a.", "a.b/", "a/b-", "a/b/", "a/b/c/d/é/")
        for number in range(12)
    }
    | {f"s/{number:02d}{end}" for number in range(12) for end in ("/1.jpg", "/2.jpg", ".json")}
)


@pytest.fixture(scope="module")
def full(client: Client) -> Iterator[Bucket]:
    """Return a bucket with 1,200 objects, the n-th of n % 7 bytes."""
    bucket = client.bucket("aisio-test-listing")
    bucket.delete(missing_ok=True)
    bucket.create()
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(
                lambda item: bucket.object(item[1]).put(b"x" * (item[0] % 7)), enumerate(NAMES)
            )
        )
        list(threads.map(lambda _: client.close(), range(16)))
    yield bucket
    bucket.delete()


@pytest.fixture(scope="module")
def worst(client: Client) -> Iterator[Bucket]:
    """Return a bucket in which folders and names like theirs lie side by side."""
    bucket = client.bucket("aisio-test-order")
    bucket.delete(missing_ok=True)
    bucket.create()
    for name in WORST:
        bucket.object(name).put(b"x")
    yield bucket
    bucket.delete()


@pytest.mark.parametrize("page_size", [0, 100, 1199, 1200, 1201])
def test_every_object_comes_once_in_order(full: Bucket, page_size: int) -> None:
    """Whatever the page size, also where the last page is exactly full."""
    listed = list(full.list(page_size=page_size))
    assert [info.name for info in listed] == NAMES
    assert [info.size_bytes for info in listed] == [number % 7 for number in range(COUNT)]
    assert {info.root for info in listed} == {str(full.url)}


def test_small_pages_follow_each_other(full: Bucket) -> None:
    """Pages of three."""
    assert [info.name for info in islice(full.list(page_size=3), 30)] == NAMES[:30]


@pytest.mark.parametrize(
    "prefix", ["trai", "train/", "train/00", "train/0001.bin", "t", "T", "val/é", "no"]
)
def test_a_prefix_is_a_plain_string(full: Bucket, prefix: str) -> None:
    """It need not end at a slash."""
    expected = [name for name in NAMES if name.startswith(prefix)]
    assert [info.name for info in full.list(prefix)] == expected


@pytest.mark.parametrize("page_size", [1, 2, 7, 50, 0])
def test_names_beside_folders_are_not_lost(page_size: int, worst: Bucket) -> None:
    """AIStore's own pages lose what sorts before a folder and is walked after it."""
    assert [info.name for info in worst.list(page_size=page_size)] == WORST
    inside = [name for name in WORST if name.startswith("a/b")]
    assert [info.name for info in worst.list("a/b", page_size=page_size)] == inside
    level = [info.name for info in worst.list("s/", page_size=page_size, recursive=False)]
    expected = [f"s/{number:02d}{end}" for number in range(12) for end in (".json", "/")]
    assert level == expected


def test_a_prefix_may_be_a_folders_name(bucket: Bucket) -> None:
    """AIStore itself would list the folder alone."""
    names = sorted([f"{start}{n}" for start in ("train/", "train-", "train") for n in range(5)])
    for name in names:
        bucket.object(name).put(b"x")
    assert [info.name for info in bucket.list("train")] == names
    assert [info.name for info in bucket.list("trai")] == names


@pytest.mark.parametrize(
    "start_after", ["", "train", "train/0500.bin", "train/0500", "val/é/x", "zz"]
)
def test_a_listing_may_start_in_the_middle(full: Bucket, start_after: str) -> None:
    """Behind a name, which need not exist."""
    expected = [name for name in NAMES if name.encode() > start_after.encode()]
    listed = full.list(start_after=start_after, page_size=500)
    assert [info.name for info in listed] == expected


def test_one_level_has_its_folders(full: Bucket) -> None:
    """As entries whose names end in a slash."""
    listed = [info.name for info in full.list(recursive=False)]
    assert sorted(listed) == ["Train/", "trai", "train/", "train0", "val/"]
    below = [info.name for info in full.list("val/", recursive=False)]
    assert [name for name in below if name != "val/"] == ["val/é/"]


def test_names_alone_have_no_sizes(full: Bucket) -> None:
    """What was not asked for is unknown."""
    listed = list(full.list("train/00", props="name"))
    assert listed == [ObjectInfo(str(full.url), f"train/{number:04d}.bin") for number in range(100)]


def test_more_is_told_when_asked_for(full: Bucket) -> None:
    """Checksum, version and time of access, as HEAD has them."""
    listed = next(full.list("train/0001", props="name,size,checksum,version,atime"))
    head = full.object("train/0001.bin").head()
    assert isinstance(listed.checksum, Checksum)
    assert (listed.size_bytes, listed.checksum, listed.version) == (
        head.size_bytes,
        head.checksum,
        head.version,
    )
    # To the minute; a HEAD may come later than a listing.
    assert 0 <= head.mtime_s - listed.mtime_s < 600


@pytest.mark.parametrize("props", ["name", "name,size", "name,size,checksum,version"])
def test_both_forms_of_a_page_say_the_same(full: Bucket, props: str) -> None:
    """JSON is for servers that have no msgpack."""
    pages = []
    for accept in (messages.MSGPACK, "application/json"):
        reply = full.client.session.call(
            "GET",
            messages.bucket_path(full.name),
            query=messages.bucket_query(full.url),
            message=list_message(props=props, page_size=50),
            accept=accept,
        )
        content_type = reply.headers["Content-Type"]
        assert content_type.startswith(accept)
        pages.append(parse_page(reply.body, content_type, full.url.root, props))
    packed, written = pages
    assert packed.entries == written.entries
    assert packed.token == written.token == NAMES[49]


def test_an_entry_whose_metadata_was_set_shows_it(bucket: Bucket) -> None:
    """The two forms in which AIStore writes it, in listings and in headers, are one."""
    item = bucket.object("o")
    item.put(b"x")
    bucket.client.session.call(
        "PATCH",
        messages.object_path(item.url),
        query=messages.bucket_query(item.url),
        message={"action": "", "name": "", "value": {"k": "v", "x": "y=z"}},
    )
    assert item.head().custom == {"k": "v", "x": "y=z"}
    assert next(bucket.list(props="name,custom")).custom == {"k": "v", "x": "y=z"}


def test_urls_of_a_listing_can_be_fetched(full: Bucket) -> None:
    """AIS-01: by anyone who can speak http."""
    url = next(source(full).list_urls("val/"))
    assert full.client.object(url).get() == b"x" * (NAMES.index("val/é/x") % 7)


def test_http_urls_can_be_fetched(full: Bucket) -> None:
    """By anyone who can speak http."""
    name = full.url.with_name("val/é/x")
    url = messages.object_http_url(full.client.endpoint, name)
    assert requests.get(url, timeout=10).content == full.object("val/é/x").get()
    parsed = messages.parse_object_http_url(url)
    assert str(parsed.url) == f"{full.url}/val/é/x"
    assert full.client.object(parsed.url).get() == b"x" * (NAMES.index("val/é/x") % 7)


def test_an_empty_bucket_lists_nothing(bucket: Bucket) -> None:
    """In either form."""
    assert list(bucket.list()) == []
    assert list(bucket.list(prefix="x", page_size=5)) == []


def test_a_listing_is_json_where_it_has_to_be(bucket: Bucket) -> None:
    """As the official client without msgpack, or curl, gets it."""
    bucket.object("o").put(b"abc")
    reply = bucket.client.session.call(
        "GET",
        messages.bucket_path(bucket.name),
        query=messages.bucket_query(bucket.url),
        message=list_message(),
    )
    assert json.loads(reply.body)["entries"][0]["size"] == "3"


def test_a_folder_is_gone_with_its_last_object(bucket: Bucket) -> None:
    """AIStore lists it as long as its directory is on a disk."""
    for name in ("a", "gone/b", "stays/c", "stays/gone/d"):
        bucket.object(name).put(b"1")
    bucket.object("gone/b").delete()
    bucket.object("stays/gone/d").delete()
    assert [info.name for info in bucket.list(recursive=False)] == ["a", "stays/"]
    assert [info.name for info in bucket.list("stays/", recursive=False)] == ["stays/c"]
