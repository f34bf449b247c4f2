"""ShardIndex: numbering, spans, names, merging, and what identifies the data."""

from __future__ import annotations

import multiprocessing
import pickle
from array import array
from pathlib import Path

import pytest

from aisio.errors import ConfigError, IntegrityError
from aisio.shards.index import IndexedShard, SampleSpan, ShardIndex, one_shard

A, B, C = "ais://b/a.tar", "ais://b/b.tar.gz", "ais://b/c.tar"


def first(*, keys: bool = True, hashes: bool = True, size_bytes: int = 10_240) -> ShardIndex:
    """Return the index of a shard with three samples."""
    spans = (
        array("Q", [0, 1536, 4096]),
        array("Q", [1536, 2560, 1024]),
        array("Q", [11, 12, (1 << 64) - 1]) if hashes else None,
    )
    names = ["t/1", "t/2", "t/\udcff"] if keys else None
    return one_shard(A, size_bytes, "xxhash2:0123", spans=spans, samples=3, keys=names)


def compressed() -> ShardIndex:
    """Return the index of a shard with two samples that cannot be read by ranges."""
    return one_shard(B, 99, "", spans=None, samples=2, keys=["u/1", "u/2"])


def last() -> ShardIndex:
    """Return the index of a shard with a sample of 5 GiB."""
    spans = (array("Q", [512]), array("Q", [5 << 30]), array("Q", [7]))
    return one_shard(C, 6 << 30, "etag:x", spans=spans, samples=1, keys=["v"])


def empty() -> ShardIndex:
    """Return the index of a shard without samples."""
    none = array("Q")
    spans = (none, none, none)
    return one_shard("ais://b/e.tar", 1024, "", spans=spans, samples=0, keys=[])


def shard(url: str) -> ShardIndex:
    """Return the index of a shard at a URL."""
    return one_shard(url, 1024, "etag:x", spans=None, samples=1, keys=None)


def test_index_of_one_shard():
    """Its samples by number."""
    index = first()
    assert len(index) == 3
    assert list(index.shards) == [IndexedShard(A, 10_240, "xxhash2:0123", 0, 3, True)]
    assert [index.span(number) for number in range(3)] == [
        SampleSpan(0, 0, 1536, 11),
        SampleSpan(0, 1536, 2560, 12),
        SampleSpan(0, 4096, 1024, (1 << 64) - 1),
    ]
    assert index.mean_sample_bytes == 5120 / 3
    assert index.has_hashes


@pytest.mark.parametrize("sample", [-1, 3, 1 << 70])
def test_samples_beyond_the_index_are_errors(sample: int):
    """Negative numbers too: a sample's number is no position in a list."""
    with pytest.raises(IndexError, match=f"sample {sample} of an index with 3 samples"):
        first().span(sample)
    with pytest.raises(IndexError):
        first().key(sample)


def test_merged_index_numbers_by_shard_then_offset():
    """Shards that cannot be read by ranges have samples without bytes, and empty shards none."""
    index = ShardIndex.merge([empty(), first(), empty(), compressed(), last()])
    assert len(index) == 6
    assert [shard.samples for shard in index.shards] == [0, 3, 0, 2, 1]
    assert [shard.first_sample for shard in index.shards] == [0, 0, 3, 3, 5]
    assert [shard.is_ranged for shard in index.shards] == [True, True, True, False, True]
    assert [index.span(number).shard for number in range(6)] == [1, 1, 1, 3, 3, 4]
    assert index.span(2) == SampleSpan(1, 4096, 1024, (1 << 64) - 1)
    assert index.span(3) == SampleSpan(3, 0, 0, None)
    assert index.span(5) == SampleSpan(4, 512, 5 << 30, 7)
    assert index.shard(-1) == index.shards[4] == index.shards[4:][0]
    assert list(index.keys()) == ["t/1", "t/2", "t/\udcff", "u/1", "u/2", "v"]
    assert list(index.keys(2, 4)) == ["t/\udcff", "u/1"]
    assert list(map(index.find, index.keys())) == list(range(6))
    with pytest.raises(IndexError, match="shard 5 of an index with 5 shards"):
        index.shard(5)


def test_merging_is_associative():
    """A merged index can be merged again, and nothing of it depends on how."""
    parts = [first(), compressed(), empty(), last()]
    at_once = ShardIndex.merge(parts)
    in_steps = ShardIndex.merge([ShardIndex.merge(parts[:2]), ShardIndex.merge(parts[2:])])
    assert in_steps.to_bytes() == at_once.to_bytes()


def test_shards_can_be_taken_out_of_indexes():
    """In any order, again and again; neighbours or not."""
    parts = [first(), compressed(), empty(), last()]
    index = ShardIndex.merge(parts)
    for numbers in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 2], [0, 0, 2, 2, 3], [2], []):
        expected = ShardIndex.merge([parts[number] for number in numbers])
        taken = ShardIndex.of_shards((index, number) for number in numbers)
        assert list(taken.shards) == list(expected.shards)
        assert list(taken.keys()) == list(expected.keys())
        spans = [list(map(one.span, range(len(one)))) for one in (taken, expected)]
        assert spans[0] == spans[1]
    mixed = ShardIndex.of_shards([(index, 3), (first(keys=False), 0)])
    assert [shard.url for shard in mixed.shards] == [C, A]
    assert not mixed.has_names


def test_index_without_shards_is_empty():
    """No sample, no shard, no mean."""
    index = ShardIndex.merge([])
    assert (len(index), list(index.shards), index.mean_sample_bytes) == (0, [], 0.0)


def test_hashes_may_be_missing_of_some_shards():
    """Each sample says whether it has one."""
    index = ShardIndex.merge([first(hashes=False), last()])
    assert [index.span(number).xxh3 for number in range(4)] == [None, None, None, 7]
    assert not index.has_hashes
    assert not first(hashes=False).has_hashes
    assert first(hashes=False).span(1) == SampleSpan(0, 1536, 2560, None)


def test_digest_identifies_the_data():
    """Hashes and keys do not change it; sizes, pins, names of shards and counts do."""
    index = first()
    assert first(keys=False, hashes=False).digest == index.digest
    assert ShardIndex.from_buffer(index.to_bytes()).digest == index.digest
    others = [first(size_bytes=1), compressed(), ShardIndex.merge([index, compressed()])]
    assert len({index.digest, *(other.digest for other in others)}) == 4
    assert index.digest == (
        # The same on every platform and Python version.
        "sha256:2e3fb89c33c0ebe5e63cf2676eb401575cb43f38c3a59b7174e63da8f7eb889e"
    )


def test_digest_of_a_copy_is_the_same():
    """In whatever folder it is, and whether or not the index names that folder."""
    places = ["ais://b/t/", "s3://c/", "file:///data/"]
    indexes = [
        ShardIndex.merge([shard(f"{place}{name}") for name in ("x/1.tar", "2.tar")])
        for place in places
    ]
    inside = ShardIndex.of_shards([(indexes[0], 0), (indexes[0], 1)], folder=places[0])
    indexes.append(ShardIndex.from_buffer(inside.to_bytes(), folder="gs://d/e/"))
    assert [shard.url for shard in indexes[-1].shards] == ["gs://d/e/x/1.tar", "gs://d/e/2.tar"]
    assert {index.digest for index in indexes} == {inside.digest}
    others = [["x/1.tar", "3.tar"], ["x/1.tar", "x/2.tar"], ["x1/.tar", "2.tar"], ["2.tar"]]
    for names in others:
        other = ShardIndex.merge([shard(f"ais://b/t/{name}") for name in names])
        assert other.digest != inside.digest


def test_names_are_left_out_on_demand():
    """What needs them says so, and the rest works."""
    index = ShardIndex.merge([first(), compressed()], names=False)
    assert not index.has_names
    assert index.span(1).size_bytes == 2560
    with pytest.raises(KeyError, match="names are not in this index"):
        index.find("t/1")
    with pytest.raises(ConfigError, match="names are not in this index"):
        index.key(0)
    with pytest.raises(ConfigError, match="names are not in this index"):
        next(index.keys())


def test_pickles_by_bytes_or_by_path(tmp_path: Path):
    """A mapped index sends its path alone, also to a spawned process."""
    index = first()
    assert pickle.loads(pickle.dumps(index)).to_bytes() == index.to_bytes()
    path = tmp_path / "x.aisio-index"
    path.write_bytes(ShardIndex.merge([index] * 1000).to_bytes())
    mapped = ShardIndex.from_file(path)
    assert len(pickle.dumps(mapped)) < 500
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(ShardIndex.span, (mapped, 2999)) == mapped.span(2999)


def test_pickles_by_bytes_where_its_file_was_replaced_or_removed(tmp_path: Path):
    """What is mapped stays as it was, so workers of later epochs go on with it."""
    path = tmp_path / "x.aisio-index"
    inside = ShardIndex.of_shards([(first(), 0)], folder="ais://b/")
    path.write_bytes(inside.to_bytes())
    mapped = ShardIndex.from_file(path, folder="ais://c/")
    same = pickle.loads(pickle.dumps(mapped))
    assert (same.path, same.shard(0)) == (path, mapped.shard(0))
    for replacement in (last().to_bytes(), b"", None):
        path.unlink()
        if replacement is not None:
            path.write_bytes(replacement)
        sent = pickle.loads(pickle.dumps(mapped))
        assert (sent.path, sent.shard(0), sent.digest) == (None, mapped.shard(0), mapped.digest)


def test_replaced_file_is_not_taken_for_the_pickled_one(tmp_path: Path):
    """A worker must not read by the offsets of other data."""
    path = tmp_path / "x.aisio-index"
    path.write_bytes(first().to_bytes())
    pickled = pickle.dumps(ShardIndex.from_file(path))
    path.unlink()
    path.write_bytes(last().to_bytes())
    with pytest.raises(IntegrityError, match="replaced by one of other data"):
        pickle.loads(pickled)


def test_damaged_files_are_refused(tmp_path: Path):
    """An empty file too, which cannot be mapped; the error names the path."""
    path = tmp_path / "x.aisio-index"
    for data, text in ((b"", "not a shard index"), (first().to_bytes()[:-1], "it was cut")):
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=f"{path}: .*{text}"):
            ShardIndex.from_file(path)
