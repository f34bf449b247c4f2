"""URLs -> stores, and hints for URLs that lead to nothing."""

from __future__ import annotations

import pytest

from aisio.cli.cluster import Cluster, is_local_folder, missing_bucket_hint
from aisio.errors import NotFoundError
from aisio.stores import AisStore, LocalStore
from aisio.urls import ObjectUrl


def test_local_files_need_no_endpoint(monkeypatch):
    """`aisio ls folder` works on a machine that has never heard of a cluster."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    assert isinstance(Cluster(None).store(ObjectUrl.parse("file:///data/")), LocalStore)
    store = Cluster("http://127.0.0.1:9").store(ObjectUrl.parse("ais://b/o"))
    assert isinstance(store, AisStore)


def test_a_missing_local_object_hints_at_the_scheme(tmp_path):
    """A path is one of this machine; the user may have meant a bucket."""
    url = ObjectUrl.parse(f"file://{tmp_path}/none")
    with (
        pytest.raises(NotFoundError, match="for a bucket, write ais://") as caught,
        Cluster(None).not_found_hints(url),
    ):
        LocalStore().head(url)
    assert caught.value.url == str(url)


def test_a_hint_is_not_repeated():
    """The error may have it already, from a nested block."""
    url = ObjectUrl.parse("file:///none")
    cluster = Cluster(None)
    with (
        pytest.raises(NotFoundError) as caught,
        cluster.not_found_hints(url),
        cluster.not_found_hints(url),
    ):
        raise NotFoundError("none", url=str(url))
    assert str(caught.value).count("for a bucket") == 1


def test_a_missing_bucket_hints_at_the_option_that_creates_it():
    """Only a cluster's: a folder is created by writing to it."""
    url = ObjectUrl.parse("ais://b/o")
    store = Cluster("http://127.0.0.1:9").store(url)
    with (
        pytest.raises(NotFoundError, match="--create-bucket creates the bucket"),
        missing_bucket_hint(store),
    ):
        raise NotFoundError("no bucket", url=str(url))
    with pytest.raises(NotFoundError, match="^no bucket$"), missing_bucket_hint(LocalStore()):
        raise NotFoundError("no bucket", url=str(url))


def test_a_bucket_and_a_prefix_are_missing_in_different_words():
    """A bucket has no name that could begin in another way."""
    cluster = Cluster(None)
    missing = [cluster.no_objects_error(ObjectUrl.parse(url)) for url in ("ais://b", "ais://b/x")]
    assert "no such bucket" in str(missing[0])
    assert "begins with this" in str(missing[1])


def test_a_local_folder_is_one_that_exists(tmp_path):
    """A file or a missing folder may be a prefix."""
    (tmp_path / "file").write_bytes(b"")
    urls = {name: ObjectUrl.parse(f"file://{tmp_path}/{name}") for name in ("", "file", "none/")}
    assert [name for name, url in urls.items() if is_local_folder(url)] == [""]
    assert not is_local_folder(ObjectUrl.parse("ais://b/"))
