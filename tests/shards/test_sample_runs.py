"""plan_runs: which samples come by one request."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.shards.index import ShardIndex, one_shard
from aisio.shards.sample_runs import SampleRun, plan_runs

SIZE = 40_000


def shard(name: str, samples: int, *, start: int = 0) -> ShardIndex:
    """Return the index of a shard whose samples have 40,000 bytes each."""
    offsets = array("Q", (start + SIZE * number for number in range(samples)))
    spans = (offsets, array("Q", [SIZE] * samples), None)
    return one_shard(f"ais://b/{name}", 1 << 30, "", spans=spans, samples=samples, keys=None)


def whole(name: str, samples: int) -> ShardIndex:
    """Return the index of a shard that cannot be read by ranges."""
    return one_shard(f"ais://b/{name}", 12_345, "", spans=None, samples=samples, keys=None)


INDEX = ShardIndex.merge([shard("a", 10), whole("b", 5), shard("c", 10, start=512)])


def planned(*numbers: int, max_bytes: int = 1 << 20) -> list[tuple[int, list[int], int]]:
    """Return shard, samples and size of each run."""
    runs = plan_runs(INDEX, numbers, max_bytes=max_bytes)
    return [(run.shard, run.numbers, run.size_bytes) for run in runs]


def test_neighbours_come_together() -> None:
    """In the order of their bytes, whatever was asked for first; those of two shards do not."""
    assert planned(3, 1, 2, 3) == [(0, [1, 2, 3], 3 * SIZE)]
    assert planned(16, 15, 9, 8) == [(0, [8, 9], 2 * SIZE), (2, [15, 16], 2 * SIZE)]


def test_near_ones_come_together() -> None:
    """A small gap is read in vain; a larger one is not."""
    assert planned(1, 5) == [(0, [1, 5], 5 * SIZE)]
    assert planned(1, 6) == [(0, [1], SIZE), (0, [6], SIZE)]


def test_a_request_has_a_size() -> None:
    """Only a sample that is larger by itself exceeds it."""
    assert planned(*range(5), max_bytes=2 * SIZE) == [
        (0, [0, 1], 2 * SIZE),
        (0, [2, 3], 2 * SIZE),
        (0, [4], SIZE),
    ]
    assert planned(0, 1, max_bytes=100) == [(0, [0], SIZE), (0, [1], SIZE)]


def test_a_shard_without_ranges_is_one_run() -> None:
    """Whatever is read of it."""
    assert planned(14, 10, 2) == [(0, [2], SIZE), (1, [10, 14], 12_345)]
    assert [run.offsets for run in plan_runs(INDEX, [10])] == [[]]


def test_where_a_run_begins() -> None:
    """At its first sample."""
    assert [run.start for run in plan_runs(INDEX, [16, 17])] == [512 + SIZE]


def test_no_such_sample() -> None:
    """An index knows how many there are."""
    with pytest.raises(IndexError, match="sample 25 of an index with 25 samples"):
        planned(25)
    assert planned() == []


@given(st.lists(st.integers(0, 24)), st.integers(1, 8 * SIZE))
def test_each_sample_is_read_once(numbers: list[int], max_bytes: int) -> None:
    """And a run spans its samples, within the limit."""
    runs = list(plan_runs(INDEX, numbers, max_bytes=max_bytes))
    assert [number for run in runs for number in run.numbers] == sorted(set(numbers))
    for run in runs:
        assert isinstance(run, SampleRun)
        if run.offsets:
            assert run.size_bytes == run.offsets[-1] + SIZE - run.start
            assert run.offsets == [INDEX.span(number).offset for number in run.numbers]
            assert run.sizes == [SIZE] * len(run.numbers)
            assert run.size_bytes <= max_bytes or len(run.numbers) == 1
