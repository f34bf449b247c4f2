"""MixedSource: each object is read from the store of its URL."""

from __future__ import annotations

import pickle

import pytest

from aisio.errors import ConfigError
from aisio.sources.kinds import UrlListSource
from aisio.stores import LocalStore, store_for
from aisio.urls import ObjectUrl


class Finder:
    """Finds a new store for each call, and records the URLs that it was called with."""

    def __init__(self):
        self.urls = []

    def __call__(self, url):
        self.urls.append(str(url))
        return LocalStore()


def test_objects_of_one_kind_of_url_share_a_store():
    """The provider decides, and whether there is a namespace, which only a cluster has."""
    finder = Finder()
    texts = ["file:///a", "file:///b", "s3://b/c", "s3://@#n/b/c", "s3://other/d"]
    source = UrlListSource(texts, finder)
    assert finder.urls == ["file:///a", "s3://b/c", "s3://#n/b/c"]
    stores = [source.store_of(info) for info in source.list()]
    assert len(set(map(id, stores))) == 3
    assert stores[0] is stores[1]
    assert stores[2] is stores[4]
    assert len(finder.urls) == 3


def test_it_reads_from_the_stores_after_pickling(tmp_path):
    """A DataLoader's worker finds the stores again."""
    (tmp_path / "a").write_bytes(b"bytes")
    source = pickle.loads(pickle.dumps(UrlListSource([f"file://{tmp_path}/a"], store_for)))
    assert [source.read(info) for info in source.list()] == [b"bytes"]


def test_a_url_without_a_store_is_refused_when_the_source_is_made(monkeypatch):
    """Not when a worker reads it."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    assert store_for(ObjectUrl.parse("file:///a"))
    with pytest.raises(ConfigError, match="AIS_ENDPOINT"):
        UrlListSource(["file:///a", "ais://b/c"], store_for)
