"""Resource and NamedSource as values."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from aisio.catalog import NamedSource, Resource


def resource(**fields: object) -> Resource:
    """Return a resource with these fields and the required ones."""
    given: dict[str, object] = {"tag": "a/b", "sha256": None, "owner": "A <a@host.org>", **fields}
    return Resource(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"pbss": "s3://b/f/n.tar.gz"}, "n.tar.gz"),
        ({"pbss": "s3://b/f/n.tar.gz", "url": "ais://b/other"}, "n.tar.gz"),
        ({"url": "ais://b/other", "mirrors": ("s3://b/mirror",)}, "other"),
        ({"mirrors": ("s3://b/first", "s3://b/second")}, "first"),
        ({"url": "https://host/a%20b?c"}, "a%20b?c"),
    ],
)
def test_ngc_13_a_file_is_called_as_its_first_place_calls_it(fields, expected):
    """From pbss, else url, else the first mirror, wherever the file is downloaded from."""
    assert resource(**fields).filename == expected


def test_the_urls_are_url_and_then_the_mirrors():
    """That is the order in which they are tried."""
    assert resource(url="ais://b/x", mirrors=("s3://b/y",)).urls == ("ais://b/x", "s3://b/y")
    assert resource(mirrors=("s3://b/y",)).urls == ("s3://b/y",)
    assert resource(pbss="s3://b/z").urls == ()


@pytest.mark.parametrize("kind", ["prefix", "template", "manifest", "tar"])
def test_a_source_knows_its_kind(kind):
    """It is the one of the five fields that the source has."""
    fields: dict[str, Any] = {kind: "ais://b/x"}
    assert NamedSource(tag="a/b", **fields).kind == kind
    assert NamedSource(tag="a/b", urls=("ais://b/x",)).kind == "urls"


@pytest.mark.parametrize(
    ("fields", "asked_there"),
    [
        ({"url": "ais://b/n", "mirrors": ("s3://public/n",)}, ["ais://b/n"]),
        ({"url": "ais://b/n", "mirrors": ("aws://b/n",)}, ["ais://b/n", "aws://b/n"]),
        ({"url": "s3://b/n", "mirrors": ("aws://b/n", "s3://c/n")}, ["s3://b/n", "s3://c/n"]),
        ({"url": "s3://b/n", "pbss": "s3://c/n"}, ["s3://b/n", "s3://c/n"]),
        ({"url": "ais://b/n", "pbss": "s3://c/n"}, ["ais://b/n"]),
        ({"url": "https://h/n", "mirrors": ("ais://b/n",), "pbss": "s3://c/n"}, ["ais://b/n"]),
        ({"url": "file:///n", "pbss": "s3://c/n"}, ["s3://c/n"]),
        ({"url": "gs://b/n", "mirrors": ("s3://b/n", "az://b/n")}, ["gs://b/n"]),
        ({"pbss": "s3://c/n"}, ["s3://c/n"]),
    ],
)
def test_an_endpoint_is_for_urls_of_the_kind_of_the_first(fields, asked_there):
    """A public mirror is not requested from the team's cluster."""
    one = Resource(tag="a/b", sha256=None, owner="a@b.c", endpoint="http://host:1", **fields)
    places = [*one.urls, *([one.pbss] if one.pbss else [])]
    assert [url for url in places if one.endpoint_for(url)] == asked_there


def test_entries_pickle():
    """They are sent to workers."""
    for entry in (resource(pbss="s3://b/n"), NamedSource(tag="a/b", prefix="ais://b/")):
        assert pickle.loads(pickle.dumps(entry)) == entry
