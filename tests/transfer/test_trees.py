"""The objects or files that a URL stands for."""

from __future__ import annotations

import os

import pytest

from aisio.errors import NotFoundError, UrlError
from aisio.sources.resolve import source
from aisio.stores import AisStore, LocalStore, Store, store_for
from aisio.transfer.trees import existing, folder_of, open_tree, tree_of_source
from aisio.urls import ObjectUrl


def names(store: Store, url: str, *, recursive: bool = False, as_prefix: bool = False) -> list[str]:
    """Return the names of a tree, and check that they belong to its objects."""
    tree = open_tree(store, ObjectUrl.parse(url), recursive=recursive, as_prefix=as_prefix)
    entries = list(tree.entries)
    assert all(entry.info.name.endswith(entry.name) for entry in entries)
    return [entry.name for entry in entries]


@pytest.fixture
def store(bucket):
    """Return the store of a bucket with some objects."""
    for name in ("train/0.jpg", "train/a/1.jpg", "train/.aisio-index", "trash", "x[1]"):
        bucket.object(name).put(b"data")
    return AisStore(bucket.client)


def test_a_folder_is_read_recursively(store):
    """With or without its final slash; as a prefix, where that is wanted. Indexes are objects."""
    train = [".aisio-index", "0.jpg", "a/1.jpg"]
    assert names(store, "ais://transfers/train/", recursive=True) == train
    assert names(store, "ais://transfers/train", recursive=True) == train
    assert len(names(store, "ais://transfers", recursive=True)) == 5
    as_prefix = names(store, "ais://transfers/tra", recursive=True, as_prefix=True)
    assert as_prefix == [*(f"train/{name}" for name in train), "trash"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ais://transfers/train/*.jpg", ["0.jpg"]),
        ("ais://transfers/train/**/*.jpg", ["0.jpg", "a/1.jpg"]),
        ("ais://transfers/t*/0.jpg", ["train/0.jpg"]),
        ("ais://transfers/train/{0..0}.jpg", ["0.jpg"]),
        ("ais://transfers/{trash,train/0.jpg}", ["trash", "train/0.jpg"]),
        ("ais://transfers/x[1]", ["x[1]"]),
    ],
)
def test_patterns_select(store, url, expected):
    """Names begin behind the folder before the first wildcard; -r changes nothing."""
    assert names(store, url) == names(store, url, recursive=True) == expected


def test_one_object_is_single(store):
    """It may be copied to another name; whether it exists is not asked."""
    tree = open_tree(store, ObjectUrl.parse("ais://transfers/train/0.jpg"), recursive=False)
    assert tree.is_single
    assert [entry.name for entry in tree.entries] == ["0.jpg"]
    for url in ("ais://transfers", "ais://transfers/train/"):
        with pytest.raises(UrlError, match="--recursive"):
            open_tree(store, ObjectUrl.parse(url), recursive=False)


def test_local_files_are_literal_where_they_exist(files):
    """A file may be called like a pattern."""
    folder = files({"[x].jpg": b"1", "x.jpg": b"2", "[y]/z": b"3"})
    store = LocalStore()
    assert names(store, f"file://{folder}/[x].jpg") == ["[x].jpg"]
    assert names(store, f"file://{folder}/[y]", recursive=True) == ["z"]
    assert names(store, f"file://{folder}/*.jpg") == ["[x].jpg", "x.jpg"]
    assert names(store, f"file://{folder}/x.jpg", recursive=True) == ["x.jpg"]
    with pytest.raises(NotFoundError):
        open_tree(store, ObjectUrl.parse(f"file://{folder}/none"), recursive=False)


def test_links_are_followed_and_broken_ones_told(files):
    """A loop is walked once."""
    folder = files({"a": b"1", "deep/b": b"2"})
    (folder / "deep/up").symlink_to(folder)
    (folder / "broken").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    told = []
    url = ObjectUrl.parse(f"file://{folder}/")
    tree = open_tree(
        LocalStore(), url, recursive=True, on_error=lambda name, error: told.append(name)
    )
    assert [entry.name for entry in tree.entries] == ["a", "deep/b"]
    assert [name.rpartition("/")[2] for name in told] == ["broken"]


def test_a_source_of_several_buckets_has_names_of_its_own(bucket, client):
    """Those of its objects."""
    urls = ["ais://transfers/a/0", "ais://transfers/b/0"]
    tree = tree_of_source(source(urls, client=client), "some")
    assert [entry.name for entry in tree.entries] == ["a/0", "b/0"]


def test_what_does_not_exist_may_be_empty(client, tmp_path):
    """The destination of a first copy."""
    for text in ("ais://transfers-none/", f"file://{tmp_path}/none/"):
        url = ObjectUrl.parse(text)
        tree = open_tree(store_for(url, client), url, recursive=True)
        assert list(existing(tree.entries)) == []
        with pytest.raises(NotFoundError):
            list(open_tree(store_for(url, client), url, recursive=True).entries)


def test_a_folder_ends_in_a_slash():
    """A bucket does not."""
    for text, folder in (("ais://b", "ais://b"), ("ais://b/x", "ais://b/x/")):
        assert str(folder_of(ObjectUrl.parse(text))) == folder


def test_what_is_removed_while_it_is_listed_is_not_taken_for_empty():
    """Else what the listing had not come to would be replaced, or copied again."""

    def listing():
        yield "an entry"
        raise NotFoundError("gone")

    with pytest.raises(NotFoundError):
        list(existing(listing()))
