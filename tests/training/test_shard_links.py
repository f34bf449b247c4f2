"""Hard links and sparse files in shards, through all that reads shards."""

from __future__ import annotations

import pytest
import torch  # noqa: F401

from aisio import AISMultiShardStream, AISShardDataset, AISShardReader
from aisio.datapipes import AISFileLoader
from aisio.sources.resolve import source
from aisio.training.shard_links import links_of
from tests.tars import hard_link, pack, pax_sparse, sparse_content


@pytest.fixture
def folder(tmp_path):
    """Return a folder of two shards, whose labels are links to one file."""
    for shard in "ab":
        members = [pack((f"{shard}0.cls", b"cat"))[:1024], pax_sparse(f"{shard}0.npy")]
        for number in "123":
            members.append(hard_link(f"{shard}{number}.cls", f"{shard}0.cls"))
            members.append(pax_sparse(f"{shard}{number}.npy"))
        (tmp_path / f"{shard}.tar").write_bytes(b"".join(members) + bytes(1024))
    return f"file://{tmp_path}/"


EXPECTED = [
    (f"{shard}{number}", {"cls": b"cat", "npy": sparse_content()})
    for shard in "ab"
    for number in range(4)
]


@pytest.mark.parametrize("prefetch_bytes", [0, 1 << 20])
def test_a_reader_reads_links_and_holes(folder, prefetch_bytes):
    """With and without reading ahead."""
    assert list(AISShardReader(folder, prefetch_bytes=prefetch_bytes)) == EXPECTED


def test_a_piece_of_a_shard_reads_links(folder):
    """Whose files are before the piece."""
    AISShardDataset(folder)  # builds the index
    for rank in range(3):
        reader = AISShardReader(folder, equalize="drop", ranks=(rank, 3))
        assert list(reader) == EXPECTED[2 * rank : 2 * rank + 2]


def test_an_indexed_dataset_reads_links_and_holes(folder):
    """In any order."""
    dataset = AISShardDataset(folder)
    assert [dataset[number] for number in reversed(range(8))] == EXPECTED[::-1]


def test_a_stream_of_members_reads_links_and_holes(folder):
    """In the order of the shards."""
    contents = [data for (data,) in AISMultiShardStream([folder])]
    assert contents == [b"cat", sparse_content()] * 8


def test_a_datapipe_reads_the_members_by_url(folder):
    """By ranges of the tar."""
    urls = [f"{folder}a.tar/a2.cls", f"{folder}a.tar/a3.npy"]
    assert [stream.read() for _, stream in AISFileLoader(urls)] == [b"cat", sparse_content()]


def test_there_is_nothing_to_look_up_behind_an_etl(folder):
    """A store has no ranges of what an ETL makes."""
    found = source(folder)
    info = next(found.list())
    assert links_of(found, info, "an-etl") is None
    assert links_of(found, info) is not None
