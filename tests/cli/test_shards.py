"""What the commands index and verify share."""

from __future__ import annotations

import threading

import pytest

from aisio.cli.cluster import Cluster
from aisio.cli.shards import index_place, list_shards, read_progress, shard_sources
from aisio.errors import NotFoundError
from aisio.urls import ObjectUrl


def urls(*texts: object) -> list[ObjectUrl]:
    """Return URLs of local files."""
    return [ObjectUrl.parse(f"file://{text}") for text in texts]


def test_shards_are_those_that_a_reader_reads(files):
    """Files that are no shards are left out; patterns match."""
    folder = files({"a.tar": b"", "b.tar": b"", "c.txt": b"", ".aisio-index": b""})
    cluster = Cluster(None)

    def names(*texts: object) -> list[str]:
        shards = list_shards(shard_sources(cluster, urls(*texts), "x"))
        return [shard.info.name.rpartition("/")[2] for shard in shards]

    assert names(f"{folder}/") == ["a.tar", "b.tar"]
    assert names(f"{folder}/[b]*.tar", f"{folder}/a.tar") == ["b.tar", "a.tar"]
    with pytest.raises(NotFoundError, match="nothing to read"):
        names(f"{folder}/c")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["/d/"], "file:///d/.aisio-index"),
        (["/d/a.tar"], "file:///d/a.tar.aisio-index"),
        (["/d/tr"], "file:///d/tr.aisio-index"),
        (["/d/a[*].tar"], "file:///d/a*.tar.aisio-index"),
        (["/d/*.tar"], None),
        (["/d/{0..3}.tar"], None),
        (["/d/", "/e/"], None),
    ],
)
def test_one_url_has_a_place_beside_it(texts: list[str], expected: str | None):
    """Several have none, nor has a pattern."""
    place = index_place(shard_sources(Cluster(None), urls(*texts), "x"))
    assert (place and f"file:///{place.url.name}") == expected


def test_progress_counts_the_bytes_of_all_threads(files):
    """Whoever reads them."""
    folder = files({"a.tar": b"12345", "b.tar": b"123"})
    shards = list_shards(shard_sources(Cluster(None), urls(f"{folder}/"), "x"))
    with read_progress(shards, "title") as progress:
        threads = [threading.Thread(target=progress.add, args=(2,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert progress.size_bytes == 8
