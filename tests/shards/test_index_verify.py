"""verify_shard: every change of a shard is found, and only the samples that have it are named."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace

from aisio.records import Checksum, ObjectInfo
from aisio.shards.index import ShardIndex, one_shard
from aisio.shards.index_build import build_shard_index
from aisio.shards.index_verify import Difference, missing_shards, verify_shard
from aisio.transport.body import Body
from tests.tars import pack

DATA = pack(("1.jpg", b"J" * 600), ("1.cls", b"7"), ("2.jpg", b""), ("3.jpg", b"K" * 3_000_000))
INFO = ObjectInfo("ais://b", "a.tar", len(DATA), etag="e")


def body_of(data: bytes, checksum: Checksum | None = None) -> Body:
    """Open bytes as a shard."""
    return Body(io.BytesIO(data), INFO, len(data), checksum)


INDEX = build_shard_index(lambda: body_of(DATA), INFO)


def differences(data: bytes, *, index: ShardIndex = INDEX, number: int = 0) -> list[Difference]:
    """Verify bytes against the index of DATA."""
    return list(verify_shard(lambda: body_of(data), INFO, index, number))


def flipped(*positions: int) -> bytes:
    """Return DATA with a bit flipped in some bytes."""
    data = bytearray(DATA)
    for position in positions:
        data[position] ^= 1
    return bytes(data)


def test_right_shard_has_no_difference():
    """In an index of others, too."""
    assert differences(DATA) == []
    assert differences(DATA, index=ShardIndex.merge([INDEX, INDEX]), number=1) == []


@pytest.mark.parametrize(
    ("position", "sample"),
    [(0, 0), (700, 0), (2559, 0), (2560, 1), (3071, 1), (3072, 2), (len(DATA) - 1025, 2)],
)
def test_flipped_bit_names_its_sample(position: int, sample: int):
    """In a header, payload or padding; a damaged header does not hide the samples behind it."""
    spans = [(0, 2560), (2560, 512), (3072, len(DATA) - 1024 - 3072)]
    offset, size_bytes = spans[sample]
    problem = f"bytes {offset} to {offset + size_bytes - 1} differ"
    expected = Difference(INFO.url, problem, sample, str(sample + 1), offset, size_bytes)
    for index, number in ((INDEX, 0), (ShardIndex.merge([INDEX, INDEX]), 1)):
        assert differences(flipped(position), index=index, number=number) == [expected]


def test_all_samples_that_differ_are_named():
    """Not the first alone; without names in the index, by number."""
    data = flipped(5, 4000)
    assert [difference.sample for difference in differences(data)] == [0, 2]
    nameless = ShardIndex.merge([INDEX], names=False)
    assert [difference.key for difference in differences(data, index=nameless)] == ["", ""]


def test_cut_and_grown_shards():
    """Samples that are not there, and the size."""
    cut = differences(DATA[:3000])
    assert [(difference.sample, difference.problem[-22:]) for difference in cut] == [
        (1, "shard ends before them"),
        (2, "shard ends before them"),
        (None, " indexed, it has 3,000"),
    ]
    [grown] = differences(DATA + bytes(512))
    assert grown.problem == f"{len(DATA):,} bytes were indexed, it has {len(DATA) + 512:,}"


def test_store_that_sends_other_bytes_than_it_promised():
    """Its own checksum is compared as well, and the sample is named all the same."""
    wrong = Checksum("md5", "0" * 32)
    found = list(verify_shard(lambda: body_of(flipped(5), wrong), INFO, INDEX, 0))
    assert [difference.sample for difference in found] == [0, None]
    assert "md5" in found[1].problem


def test_replaced_shard_is_said_to_be_so():
    """With the same bytes only that; with others, which."""
    newer = replace(INFO, etag="f")
    [difference] = verify_shard(lambda: body_of(DATA), newer, INDEX, 0)
    assert difference == Difference(INFO.url, "it was replaced since it was indexed")
    found = list(verify_shard(lambda: body_of(flipped(5)), newer, INDEX, 0))
    assert [one.sample for one in found] == [None, 0]


def test_reading_is_reported():
    """All bytes, once."""
    counts: list[int] = []
    assert not list(verify_shard(lambda: body_of(DATA), INFO, INDEX, 0, on_read=counts.append))
    assert sum(counts) == len(DATA)


def test_shards_that_are_not_listed_are_missing():
    """In the order of the index."""
    index = ShardIndex.merge(
        [INDEX, one_shard("ais://b/z.tar", 1, "", spans=None, samples=0, keys=None), INDEX]
    )
    assert list(missing_shards(index, [INFO])) == [
        Difference("ais://b/z.tar", "it was indexed, and is not there")
    ]
    assert not list(missing_shards(INDEX, [INFO]))
