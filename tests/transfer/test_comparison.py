"""Comparing two trees."""

from __future__ import annotations

import time

import pytest

from aisio.client.client import Client
from aisio.errors import NotFoundError
from aisio.records import Checksum, ObjectInfo
from aisio.testing.fault_proxy import FaultProxy
from aisio.transfer.comparison import Comparison, DifferenceKind, compare_trees
from aisio.transfer.local_checksums import LocalChecksums

SAME, NEW, CHANGED = DifferenceKind.SAME, DifferenceKind.NEW, DifferenceKind.CHANGED
UNVERIFIED, EXTRA = DifferenceKind.UNVERIFIED, DifferenceKind.EXTRA
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
OTHER_MD5 = MD5[::-1]


def kinds(source, destination, client, checksums, **options):
    """Return what differs, by name."""
    rows = compare_trees(
        str(source), str(destination), client=client, checksums=checksums, **options
    )
    return {row.name: row.kind for row in rows}


@pytest.fixture
def trees(bucket, files):
    """Return a folder, and a bucket that differs from it."""
    folder = files({"a": b"1", "b": b"22", "c/d": b"333", "new": b"4", "size": b"55"})
    for name, data in {"a": b"1", "b": b"99", "c/d": b"333", "size": b"555", "old": b""}.items():
        bucket.object(f"x/{name}").put(data)
    return f"file://{folder}/", "ais://transfers/x/"


EXPECTED = {"a": SAME, "b": CHANGED, "c/d": SAME, "new": NEW, "size": CHANGED, "old": EXTRA}


def test_a_folder_is_compared_with_a_bucket(trees, client, checksums):
    """In both directions, by size and checksum."""
    here, there = trees
    assert kinds(here, there, client, checksums) == EXPECTED
    swapped = {**EXPECTED, "new": EXTRA, "old": NEW}
    assert kinds(there, here, client, checksums) == swapped


def test_sizes_alone_are_compared_on_request(trees, client, checksums):
    """Other bytes of the same size pass then."""
    assert kinds(trees[0], trees[1], client, checksums, size_only=True)["b"] is SAME


def test_names_are_filtered_on_both_sides(trees, client, checksums):
    """What is left out is not extra either."""
    assert kinds(trees[0], trees[1], client, checksums, exclude=["old", "c/"]).keys() == {
        "a",
        "b",
        "new",
        "size",
    }


def test_buckets_and_folders_are_compared_with_their_like(bucket, client, checksums, files):
    """Local files by their bytes."""
    for name in ("x/a", "y/a", "x/b"):
        bucket.object(name).put(b"data")
    x, y = "ais://transfers/x", "ais://transfers/y"
    assert kinds(x, y, client, checksums) == {"a": SAME, "b": NEW}
    one = files({"a": b"1", "b": b"2"}, "one")
    two = files({"a": b"1", "b": b"3"}, "two")
    assert kinds(f"file://{one}", f"file://{two}", client, checksums) == {"a": SAME, "b": CHANGED}


def test_unchanged_files_need_no_request_but_the_listing(endpoint, bucket, files, tmp_path):
    """Nor are they read again."""
    data = {f"{number:02d}": bytes([number]) * 10 for number in range(30)}
    folder = files(data)
    for name, content in data.items():
        bucket.object(name).put(content)
    checksums = LocalChecksums(tmp_path / "cache", now_ns=lambda: time.time_ns() + 60 * 10**9)
    with FaultProxy(endpoint) as proxy:
        client = Client(proxy.endpoint)
        for _ in range(2):
            found = kinds(f"file://{folder}", "ais://transfers", client, checksums)
            assert set(found.values()) == {SAME}
        assert not [one for one in proxy.requests if "/objects/" in one.path]
        client.close()


def test_a_source_of_nothing_is_an_error(client, bucket, checksums, tmp_path):
    """It may be misspelt; a destination may be yet to come."""
    with pytest.raises(NotFoundError):
        kinds("ais://transfers/none", f"file://{tmp_path}", client, checksums)


def info(size=5, **fields):
    """Return what a store says of an object."""
    return ObjectInfo("s3://b", "a", size, **fields)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (info(5), info(6), CHANGED),
        (info(0), info(0), SAME),
        (info(etag=MD5), info(etag=MD5), SAME),
        (info(etag=MD5), info(etag=OTHER_MD5), CHANGED),
        (info(etag=MD5), info(checksum=Checksum("md5", MD5.upper())), SAME),
        (info(etag=f"{MD5}-2"), info(etag=f"{MD5}-2"), None),
        (info(checksum=Checksum("md5", MD5)), info(checksum=Checksum("crc32c", "0")), None),
        (info(checksum=Checksum("new", "1")), info(checksum=Checksum("new", "1")), None),
        (info(), info(None), None),
    ],
)
def test_two_answers_are_compared_by_what_both_say(one, other, expected, checksums):
    """Entity tags of several parts say nothing."""
    assert Comparison(checksums).known(one, other) is expected
    assert Comparison(checksums).known(other, one) is expected
