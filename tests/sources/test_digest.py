"""Digests of listings: what they depend on, and what not."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest

from aisio.client.client import Client
from aisio.errors import NotFoundError
from aisio.records import Checksum, ObjectInfo
from aisio.sources.digest import ListingDigest, listing_digest
from aisio.sources.resolve import source


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two files."""
    (tmp_path / "data").mkdir()
    for name in "ab":
        (tmp_path / "data" / name).write_bytes(name.encode() * 3)
    return tmp_path / "data"


def digest(*infos, base_url="ais://b/"):
    """Return the digest of a listing of these objects."""
    result = ListingDigest(base_url)
    for info in infos:
        result.add(info)
    return result.text()


def test_it_is_the_sha256_of_a_line_of_json_an_object():
    """In the form that the documentation describes, so that others can compute it."""
    listed = ObjectInfo("ais://b", "x/a.jpg", 1024, Checksum("xxhash2", "0123"))
    text = b'["a.jpg",1024,"xxhash2:0123"]\n["x/u.jpg",null,null]\n'
    other = ObjectInfo("ais://b", "x/x/u.jpg")
    expected = f"sha256:{hashlib.sha256(text).hexdigest()}"
    assert digest(listed, other, base_url="ais://b/x/") == expected


def test_no_two_listings_have_the_same_lines():
    """Line ends, quotes and odd bytes in names cannot make one listing look like another."""
    names = ["a\nb", "a", "b", 'a",1,null]\n["b', "a\udcff", "a\\udcff", "\u00e4", "a\u0308"]
    one_each = {digest(ObjectInfo("ais://b", name, 1)) for name in names}
    assert len(one_each) == len(names)
    pair = digest(ObjectInfo("ais://b", "a", 1), ObjectInfo("ais://b", "b", 1))
    assert pair not in one_each


@pytest.mark.parametrize(
    "other",
    [
        [ObjectInfo("ais://b", "a", 2)],
        [ObjectInfo("ais://b", "c", 1)],
        [ObjectInfo("ais://b", "a")],
        [ObjectInfo("ais://b", "a", 1, Checksum("md5", "00"))],
        [ObjectInfo("ais://c", "a", 1)],
        [ObjectInfo("ais://b", "a", 1), ObjectInfo("ais://b", "a", 1)],
        [],
    ],
)
def test_any_change_shows(other):
    """A name, a size, a checksum, another bucket, one more or less."""
    assert digest(*other) != digest(ObjectInfo("ais://b", "a", 1))


def test_versions_and_times_do_not_count():
    """Not all listings have them, and they change without the bytes."""
    plain = ObjectInfo("ais://b", "a", 1)
    assert digest(ObjectInfo("ais://b", "a", 1, version="7", mtime_s=3.0)) == digest(plain)


def test_it_does_not_depend_on_where_the_folder_is(folder, tmp_path):
    """A copy elsewhere has the same digest, until its bytes change."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert listing_digest(source(folder)) == listing_digest(source(copy))
    (copy / "b").write_bytes(b"longer")
    assert listing_digest(source(folder)) != listing_digest(source(copy))


def test_odd_bytes_in_local_names(folder):
    """A name that is not UTF-8 has a digest too."""
    (folder / os.fsdecode(b"\xff")).write_bytes(b"")
    assert listing_digest(source(folder)).startswith("sha256:")


def test_urls_count_whole(folder):
    """A list of URLs has no folder, and no sizes: only the URLs count."""
    group = Client("http://127.0.0.1:9").bucket("b").objects(["a"])
    assert listing_digest(source(group)) != listing_digest(source([f"file://{folder}/a"]))
    assert listing_digest(source([f"file://{folder}/a"])) == digest(
        ObjectInfo("file://", f"{folder}/a"[1:]), base_url=""
    )


def test_what_cannot_be_listed_has_no_digest(tmp_path):
    """An absent folder is no empty one."""
    with pytest.raises(NotFoundError):
        listing_digest(source(f"file://{tmp_path}/absent/"))
