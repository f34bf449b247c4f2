"""Shards in other forms than a plain tar of plain files, on a cluster."""

from __future__ import annotations

import pytest
import torch  # noqa: F401
import zstandard

from aisio import AISMultiShardStream, AISShardDataset, AISShardReader
from aisio.client.client import Bucket
from aisio.datapipes import AISFileLoader
from aisio.errors import NotFoundError, StorageError
from tests.tars import gnu_sparse, hard_link, pack, pax_sparse, sparse_content

MEMBERS = (
    pack(("0.cls", b"cat"))[:1024]
    + gnu_sparse("0.npy")
    + hard_link("1.cls", "0.cls")
    + pax_sparse("1.npy")
    + bytes(1024)
)
SAMPLES = [(key, {"cls": b"cat", "npy": sparse_content()}) for key in "01"]


@pytest.fixture
def shards(bucket: Bucket) -> Bucket:
    """Return a bucket with a plain shard and a compressed one, and what stands beside them."""
    bucket.object("plain/a.tar").put(MEMBERS)
    bucket.object("zstd/a.tar.zst").put(zstandard.ZstdCompressor().compress(MEMBERS))
    bucket.object("zstd/a.json").put(b"{}")
    bucket.object("zstd/_SUCCESS").put(b"-")
    return bucket


@pytest.mark.parametrize("folder", ["plain", "zstd"])
def test_readers_give_the_content_of_links_and_sparse_files(shards: Bucket, folder: str):
    """From start to end, by an index, and member by member."""
    prefixes = {shards: f"{folder}/"}
    assert list(AISShardReader(shards, prefixes)) == SAMPLES
    dataset = AISShardDataset(shards, prefixes)
    assert [dataset[1], dataset[0]] == SAMPLES[::-1]
    names = {"plain": "plain/a.tar", "zstd": "zstd/a.tar.zst"}
    stream = AISMultiShardStream([shards.objects([names[folder]])])
    assert [data for (data,) in stream] == [b"cat", sparse_content()] * 2


def test_patterns_choose_shards(shards: Bucket):
    """Among those of a whole bucket."""
    assert len(list(AISShardReader(shards, exclude="*.zst"))) == 2
    assert len(list(AISShardReader(shards))) == 4
    with pytest.raises(NotFoundError, match=r"4 \(not of include=\)"):
        list(AISShardReader(shards, include="none/"))


def test_members_by_url(shards: Bucket):
    """The loader reads them by ranges of the tar."""
    urls = [f"{shards.url}/plain/a.tar/{name}" for name in ("1.cls", "0.npy", "1.npy")]
    loaded = AISFileLoader(urls, client=shards.client)
    assert [stream.read() for _, stream in loaded] == [b"cat", sparse_content(), sparse_content()]


def test_the_cluster_reads_sparse_files_and_no_links(shards: Bucket):
    """The gateway does the same."""
    archive = shards.object("plain/a.tar")
    assert archive.get_member("0.npy") == archive.get_member("1.npy") == sparse_content()
    assert archive.get_member("1.cls") == b""
    with pytest.raises(StorageError, match='invalid archpath "./1.cls"'):
        archive.get_member("./1.cls")


def test_the_cluster_opens_no_zstd(shards: Bucket):
    """It says so."""
    with pytest.raises(StorageError, match="unrecognized or unsupported file format"):
        shards.object("zstd/a.tar.zst").get_member("0.cls")
