"""Destination."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.records import ObjectInfo
from aisio.sources.kinds import PrefixSource
from aisio.stores import LocalStore
from aisio.transfer.destination import Destination
from aisio.transfer.trees import Entry, Tree
from aisio.urls import ObjectUrl


def destination(text, client=None, *, is_folder=False):
    """Return the destination at a URL."""
    return Destination.of(ObjectUrl.parse(text), client, is_folder=is_folder)


def entry(name="deep/a"):
    """Return an entry of that name."""
    source = PrefixSource(LocalStore(), ObjectUrl.parse("file:///"))
    return Entry(name, ObjectInfo("file://", f"x/{name}", 1), source)


@pytest.mark.parametrize(
    ("text", "is_folder", "url"),
    [
        ("ais://b", False, "ais://b/deep/a"),
        ("ais://b/x/", False, "ais://b/x/deep/a"),
        ("ais://b/x", True, "ais://b/x/deep/a"),
        ("ais://b/x", False, "ais://b/x"),
    ],
)
def test_copies_go_below_a_folder_or_are_the_only_one(client, text, is_folder, url):
    """A bucket is a folder, and so is what ends in a slash."""
    job = destination(text, client, is_folder=is_folder).job(entry())
    assert (str(job.url), job.path) == (url, None)


def test_an_existing_local_folder_is_one(tmp_path):
    """Another path is the copy's own."""
    assert destination(f"file://{tmp_path}").job(entry()).path == f"{tmp_path}/deep/a"
    assert destination(f"file://{tmp_path}/x").job(entry()).path == f"{tmp_path}/x"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        destination(f"file://{tmp_path}/file", is_folder=True)


def test_what_is_there_is_listed(bucket, client, tmp_path):
    """Its name is no pattern; what does not exist is empty."""
    bucket.object("x[1]/a").put(b"1")
    for text, names in (
        ("ais://transfers/x[1]/", ["a"]),
        ("ais://transfers/x[1]/a", [""]),
        ("ais://transfers/none", []),
        ("ais://transfers-none/x/", []),
        (f"file://{tmp_path}/none/", []),
    ):
        assert [entry.name for entry in destination(text, client).entries()] == names


def test_a_name_that_is_not_utf8_is_no_object(client):
    """A local file may have one."""
    with pytest.raises(UrlError):
        destination("ais://b", client).job(entry("caf\udce9"))


def test_a_tree_is_not_copied_into_itself(client, tmp_path):
    """Also where a link hides it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    for source, inside, outside in (
        ("ais://b/x/", "ais://b/x/y/", "ais://b/xy/"),
        ("ais://b", "ais://b/x/", "ais://c/"),
        (f"file://{tmp_path}/a/", f"file://{tmp_path}/link/b/", f"file://{tmp_path}/b/"),
    ):
        tree = Tree(source, [], folder=ObjectUrl.parse(source))
        with pytest.raises(ConfigError, match="inside of it"):
            destination(inside, client).check_apart_from(tree)
        destination(outside, client).check_apart_from(tree, delete=True)


def test_a_source_inside_of_the_destination_is_not_deleted(client, tmp_path):
    """It has what the source does not have: the source itself."""
    for source, around in (
        ("ais://b/x/", "ais://b"),
        ("ais://b/x/y/", "ais://b/x/"),
        (f"file://{tmp_path}/a/", f"file://{tmp_path}/"),
    ):
        tree = Tree(source, [], folder=ObjectUrl.parse(source))
        destination(around, client, is_folder=True).check_apart_from(tree)
        with pytest.raises(ConfigError, match="would delete it"):
            destination(around, client, is_folder=True).check_apart_from(tree, delete=True)


def test_a_bucket_is_created_on_request(client):
    """Otherwise a missing one is an error; no local folder needs it."""
    place = destination("ais://transfers-made/x", client)
    with pytest.raises(NotFoundError, match="no such bucket"):
        place.prepare(create_bucket=False)
    place.prepare(create_bucket=True)
    place.prepare(create_bucket=False)
    client.bucket("transfers-made").delete()
    destination("file:///tmp/x").prepare(create_bucket=True)
    with pytest.raises(ConfigError, match="the cloud's own tools"):
        destination("https://host/x").prepare(create_bucket=True)
