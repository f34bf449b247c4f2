"""find_overlap: which sources have objects in common by their texts, and who says so."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.patterns.selections import Selections
from aisio.sources.overlap import NamedPart, find_overlap
from aisio.sources.resolve import source
from aisio.sources.source_set import SourceSet


def overlap(client: Any, *texts: str) -> tuple[str, str] | None:
    """Return what overlaps among URLs of a bucket."""
    urls = [source(f"ais://b/{text}", client=client) for text in texts]
    return find_overlap(NamedPart(url, Selections("")) for url in urls)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("a/", "a/b/"), ("a/b/", "a/")),
        (("a/b/", "c/", "a/"), ("a/b/", "a/")),
        (("a/", "a/1.jpg"), ("a/1.jpg", "a/")),
        (("", "a"), ("a", "")),
        (("a/", "a/"), ("a/", "a/")),
        (("a", "b", "a"), ("a", "a")),
        (("a/", "a-b/", "a/b/c/"), ("a/b/c/", "a/")),
        (("a/", "a-b/", "ab/"), None),
        (("img1", "img10"), None),  # img1 may be an object
        (("a/", "a/*.jpg"), None),  # a pattern may match nothing of it
        (("x{0..3}/", "x1/"), None),
    ],
)
def test_what_lies_within_another_one(client, texts, expected) -> None:
    """By whole prefixes, wherever they stand in the list."""
    urls = expected and tuple(f"ais://b/{text}" if text else "ais://b" for text in expected)
    assert overlap(client, *texts) == urls


def test_other_stores_and_buckets_have_other_objects(client) -> None:
    """Also where their names are the same."""
    urls = ["ais://b/a/", "ais://c/a/", "file:///a/", "s3://b/a/"]
    parts = [NamedPart(source(url, client=client), Selections("")) for url in urls]
    assert find_overlap(parts) is None


def test_a_dataset_says_so_in_one_line(client, caplog) -> None:
    """As it does of the prefixes of one source."""
    bucket = client.bucket("b")
    SourceSet([bucket, "ais://b/a/"], owner="X", client=client)
    SourceSet(bucket, {bucket: ["a/", "a/b"]}, owner="X")
    SourceSet(["ais://b/a/", "ais://b/c/"], owner="X", client=client)
    SourceSet(["ais://b/a/", "ais://b/a/"], owner="X", client=client, may_overlap=True)
    SourceSet(["ais://b/a/", "ais://b/a/"], owner="X", client=client)
    assert [record.message for record in caplog.records] == [
        "<X> ais://b/a/ lies within ais://b: its objects are read twice",
        "<X> ais://b/a/b lies within ais://b/a/: its objects are read twice",
        "<X> ais://b/a/ is there twice: its objects are read twice",
    ]
