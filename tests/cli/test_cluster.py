"""Words of the command line -> URLs -> stores."""

from __future__ import annotations

import click
import pytest

from aisio.cli.cluster import URL, Cluster
from aisio.stores import AisStore, LocalStore
from aisio.urls import ObjectUrl


@pytest.mark.parametrize(
    "text", ["ais://b/o?x#y%20", "s3://b/p/", "ais://@uuid#ns/b/o", "file:///data/a.tar"]
)
def test_urls_stay_as_they_are(text):
    """No decoding, no guessing."""
    assert str(URL.convert(text, None, None)) == text


def test_a_path_means_the_local_file(tmp_path, monkeypatch):
    """Relative ones from the current folder, also with dots and colons in them."""
    monkeypatch.chdir(tmp_path)
    for text in ("a/b.jpg", "./a/b.jpg", "a/../a/b.jpg", str(tmp_path / "a/b.jpg")):
        assert str(URL.convert(text, None, None)) == f"file://{tmp_path}/a/b.jpg"
    assert str(URL.convert("12:30.txt", None, None)) == f"file://{tmp_path}/12:30.txt"


def test_a_path_of_a_folder_ends_in_a_slash(tmp_path, monkeypatch):
    """Else `aisio ls data` would list what is in data2, too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert str(URL.convert("data", None, None)) == f"file://{tmp_path}/data/"
    assert str(URL.convert("new/", None, None)) == f"file://{tmp_path}/new/"
    assert str(URL.convert(".", None, None)) == f"file://{tmp_path}/"


def test_the_root_folder_is_a_url_too():
    """The one path without a name."""
    assert URL.convert("/", None, None) == ObjectUrl.parse("file:///")


@pytest.mark.parametrize("text", ["ais:b/o", "ftp://b/o", "ais://", "ais://b/../o"])
def test_what_cannot_be_meant_is_a_usage_error(text):
    """Status 2, with what a right URL looks like."""
    with pytest.raises(click.BadParameter):
        URL.convert(text, None, None)


def test_local_files_need_no_endpoint(monkeypatch):
    """`aisio ls folder` works on a machine that has never heard of a cluster."""
    monkeypatch.delenv("AIS_ENDPOINT", raising=False)
    assert isinstance(Cluster(None).store(ObjectUrl.parse("file:///data/")), LocalStore)
    store = Cluster("http://127.0.0.1:9").store(ObjectUrl.parse("ais://b/o"))
    assert isinstance(store, AisStore)
