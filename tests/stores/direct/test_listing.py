"""Listings of direct stores: retried, in order, without folder markers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aisio.errors import NotFoundError, StorageError
from aisio.records import ObjectInfo, RetryPolicy
from aisio.stores import DirectSettings, DirectStore
from aisio.stores.direct.listing import DirectListing, Entry
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server
from tests.stores.direct.scripted_s3 import settings

pytest.importorskip("obstore")


def test_a_listing_that_breaks_off_is_continued():
    """After the last name that came, within the retry budget of the settings."""
    rows = "<Contents><Key>{0}</Key><Size>1</Size>{1}</Contents>"
    date = "<LastModified>2026-11-20T22:00:00.000Z</LastModified>"
    page = "<ListBucketResult><IsTruncated>{}</IsTruncated>{}{}</ListBucketResult>"
    first = page.format("true", "<NextContinuationToken>t</NextContinuationToken>", rows)
    pages = [
        Reply(200, text.format(name, date).encode())
        for text, name in ((first, "a"), (page.format("false", "", rows), "b"))
    ]
    with Server(pages[0], Reply(500), pages[0], pages[1], pages[1]) as server:
        policy = RetryPolicy(attempts=3, first_wait_s=0.0, longest_wait_s=0.0)
        listed = DirectStore(settings(server.url, policy)).list(ObjectUrl.parse("s3://bkt"))
        assert [info.name for info in listed] == ["a", "b"]


BUCKET = ObjectUrl.parse("gs://bkt/")


def entries_of(*entries: tuple[str, int], markers: tuple[str, ...] = ()) -> list[str]:
    """Return the names that a listing yields of obstore's (name, size); some are of markers."""
    looked_up = []

    def head(url: ObjectUrl) -> ObjectInfo:
        looked_up.append(url.name)
        if url.name in markers:
            raise NotFoundError("no such object")
        return ObjectInfo(url.root, url.name, 0)

    def list_after(name: str) -> Iterator[Entry]:
        return iter([{"path": path, "size": size} for path, size in entries])

    listing = DirectListing(BUCKET, list_after, head, DirectSettings())
    names = [entry["path"] for entry in listing.entries("")]
    assert set(looked_up) <= {path for path, size in entries if size == 0}
    return names


def test_folder_markers_are_left_out() -> None:
    """Obstore shows "a/" as "a": an empty entry is looked up, unless it looks like a file."""
    found = entries_of(("a", 0), ("a/x", 1), ("b", 0), ("c.txt", 0), markers=("a", "b", "c.txt"))
    assert found == ["a/x", "c.txt"]


def test_an_empty_object_is_listed() -> None:
    """Also beside a folder of its name."""
    assert entries_of(("a", 0), ("a/x", 1), ("b", 0)) == ["a", "a/x", "b"]


def test_an_object_beside_a_marker_of_its_name_is_listed_once() -> None:
    """The marker comes later, as "a/" sorts after "a-b"."""
    assert entries_of(("a", 5), ("a-b", 1), ("a", 0), ("a/x", 2), markers=("a",)) == [
        "a",
        "a-b",
        "a/x",
    ]


@pytest.mark.parametrize("names", ["ba", "aa"])
def test_a_listing_out_of_order_is_an_error(names: str) -> None:
    """Workers that share it would lose and repeat objects."""
    with pytest.raises(StorageError, match=f"'{names[1]}' after '{names[0]}'"):
        entries_of(*((name, 1) for name in names))
