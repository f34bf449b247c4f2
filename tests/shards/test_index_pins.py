"""Pins: when an indexed shard is still the one of a listing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from aisio.records import Checksum, ObjectInfo
from aisio.shards.index import one_shard
from aisio.shards.index_pins import is_current, pin_of, pinned_checksum

ROOT, NAME = "ais://b", "a.tar"
SUM = Checksum("xxhash2", "01")


def info(
    size_bytes: int | None = 9,
    *,
    checksum: Checksum | None = None,
    etag: str = "",
    version: str = "",
) -> ObjectInfo:
    """Return what a listing says of the shard."""
    return ObjectInfo(ROOT, NAME, size_bytes, checksum, version, etag)


@pytest.mark.parametrize(
    ("listed", "pin"),
    [
        (info(checksum=SUM, etag="e", version="3"), "xxhash2:01"),
        (info(etag="a:b", version="3"), "etag:a:b"),
        (info(version="3"), "version:3"),
        (info(), ""),
    ],
)
def test_pin_is_the_strongest_that_a_store_tells(listed: ObjectInfo, pin: str):
    """And it fits the same answer."""
    assert pin_of(listed) == pin
    shard = one_shard(listed.url, 9, pin, spans=None, samples=0, keys=None).shard(0)
    assert is_current(shard, listed)


@pytest.mark.parametrize(
    ("pin", "listed", "current"),
    [
        ("xxhash2:01", info(checksum=SUM), True),
        ("xxhash2:01", info(10, checksum=SUM), False),
        ("xxhash2:02", info(checksum=SUM), False),
        ("md5:01", info(checksum=SUM), False),
        ("xxhash2:01", info(etag="x"), True),  # by size alone
        ("xxhash2:01", info(None), True),
        ("etag:x", info(etag="x"), True),
        ("etag:y", info(etag="x"), False),
        ("etag:x", info(checksum=SUM), True),
        ("version:1", info(version="1", etag="x"), True),
        ("version:1", info(version="2"), False),
        ("version:1", info(), True),
        ("", info(checksum=SUM), True),
        ("", info(8, checksum=SUM), False),
    ],
)
def test_what_both_tell_decides(pin: str, listed: ObjectInfo, current: bool):
    """A size that differs always does."""
    shard = one_shard(listed.url, 9, pin, spans=None, samples=0, keys=None).shard(0)
    assert is_current(shard, listed) is current


def test_pin_of_a_local_file_is_its_time():
    """Its entity tag names the mount and the inode, which are others on another machine."""
    listed = ObjectInfo("file://", "data/a.tar", 9, etag="1-2-3", mtime_s=1.25)
    shard = one_shard(listed.url, 9, pin_of(listed), spans=None, samples=0, keys=None).shard(0)
    assert shard.pin == "mtime:1.25"
    assert is_current(shard, replace(listed, etag="1-5-6"))
    assert not is_current(shard, replace(listed, mtime_s=1.5))
    assert not is_current(shard, replace(listed, size_bytes=8))
    assert is_current(shard, ObjectInfo("file://", "data/a.tar"))
    assert is_current(shard, info(checksum=SUM))  # a copy elsewhere: by size alone


@pytest.mark.parametrize(
    ("pin", "checksum"),
    [("xxhash2:01", SUM), ("etag:x", None), ("version:1", None), ("mtime:1.5", None), ("", None)],
)
def test_checksum_of_a_pin(pin: str, checksum: Checksum | None):
    """Of a shard that is pinned by one."""
    shard = one_shard("ais://b/a.tar", 9, pin, spans=None, samples=0, keys=None).shard(0)
    assert pinned_checksum(shard) == checksum
