"""Cut and EpochLine: each sample exactly once, whoever reads it, over any chain of restarts."""

from __future__ import annotations

import weakref
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.training.order.cut import Cut, Topology
from aisio.training.order.epoch_line import EpochLine, Line
from tests.training.order.lines import LINES

TOPOLOGIES = st.builds(
    Topology,
    ranks=st.integers(1, 6),
    workers=st.integers(1, 5),
    batch_size=st.integers(1, 9),
    window=st.integers(1, 40),
    equalize=st.sampled_from(["drop", "pad", "none", "shrink"]),
)


def received(cut: Cut, batches: int) -> list[int]:
    """Return what all ranks receive in so many batches each."""
    return [
        sample
        for rank in range(cut.topology.ranks)
        for number in range(min(batches, cut.batches_of_rank(rank)))
        for sample in cut.batch(rank, number)
    ]


def most_batches(cut: Cut) -> int:
    """Return the number of batches of the rank that has most."""
    return max(cut.batches_of_rank(rank) for rank in range(cut.topology.ranks))


def samples(line: Line) -> list[int]:
    """Return all samples of a line."""
    return [line[position] for position in range(len(line))]


@given(LINES, TOPOLOGIES, st.integers(0, 3), st.data())
def test_a_stretch_of_what_is_left(
    line: EpochLine, topology: Topology, batches: int, data: st.DataObject
) -> None:
    """Is the samples at its positions."""
    left = Cut(line, topology, (1, 2)).remainder(batches)
    start = data.draw(st.integers(0, len(left)))
    stop = data.draw(st.integers(start, len(left)))
    assert left.samples(start, stop) == samples(left)[start:stop]


def test_golden_values() -> None:
    """They hold on every platform and version: a job goes on elsewhere."""
    line = EpochLine(20, 4, 7, 2)
    assert samples(line) == GOLDEN_LINE
    cut = Cut(line, Topology(2, 2, 3, 6, "none"), (7, 2, 0))
    assert [cut.batch(rank, number) for rank in range(2) for number in range(4)] == GOLDEN_BATCHES
    assert samples(cut.remainder(2)) == GOLDEN_REMAINDER


@given(LINES, TOPOLOGIES)
def test_ranks_are_equal(line: EpochLine, topology: Topology) -> None:
    """With "drop" and "pad" all batches are full; with "none" ranks differ by a sample at most."""
    cut = Cut(line, topology, (1, 2))
    counts = [cut.samples_of_rank(rank) for rank in range(topology.ranks)]
    step = topology.ranks * topology.batch_size
    if topology.equalize in ("none", "shrink"):
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == len(line)
    else:
        assert len(set(counts)) == 1
        assert counts[0] % topology.batch_size == 0
        assert sum(counts) == len(line) - cut.dropped + cut.repeated
    assert 0 <= cut.dropped < step
    assert 0 <= cut.repeated < step
    assert not (cut.dropped and cut.repeated)


@given(LINES, st.integers(1, 6), st.integers(1, 5), st.integers(1, 9))
def test_shrunk_batches_are_as_many_on_all_ranks(
    line: EpochLine, ranks: int, workers: int, batch_size: int
) -> None:
    """None is empty, and those of a rank differ by a sample at most."""
    cut = Cut(line, Topology(ranks, workers, batch_size, 5, "shrink"), (1, 2))
    for rank in range(ranks):
        batches, samples = cut.batches_of_rank(rank), cut.samples_of_rank(rank)
        sizes = [len(cut.batch(rank, number)) for number in range(batches)]
        assert (sum(sizes), max(sizes, default=0) <= batch_size) == (samples, True)
        assert max(sizes, default=1) - min(sizes, default=1) <= 1
        assert min(sizes, default=1) >= 1
        is_possible = batch_size > 1 and len(line) >= ranks
        assert batches == cut.batches_of_rank(0) or not is_possible


@given(LINES, TOPOLOGIES)
def test_windows_and_batches_are_the_same_samples(line: EpochLine, topology: Topology) -> None:
    """A worker's windows, one behind the other, are its batches, one behind the other."""
    cut = Cut(line, topology, (1, 2))
    for rank in range(topology.ranks):
        for worker in range(topology.workers):
            in_windows: list[int] = []
            number = 0
            while window := cut.window(rank, worker, number):
                in_windows += window
                number += 1
            mine = range(worker, cut.batches_of_rank(rank), topology.workers)
            assert in_windows == [sample for one in mine for sample in cut.batch(rank, one)]


@given(LINES, TOPOLOGIES, st.data())
def test_what_is_left_is_what_was_not_received(
    line: EpochLine, topology: Topology, data: st.DataObject
) -> None:
    """Each sample is in one of the two, and only "pad" has any in both or twice."""
    cut = Cut(line, topology, (3, 4))
    batches = data.draw(st.integers(0, most_batches(cut)))
    got, left = Counter(received(cut, batches)), Counter(samples(cut.remainder(batches)))
    if topology.equalize == "pad":
        assert set(got) | set(left) == set(range(len(line)))
        assert (got + left).total() <= len(line) + cut.repeated
    else:
        assert got + left == Counter(range(len(line)))
    assert max(left.values(), default=1) == 1


@given(LINES, st.lists(TOPOLOGIES, min_size=1, max_size=5), st.data())
def test_a_chain_of_restarts_gives_each_sample_once(
    line: Line, topologies: list[Topology], data: st.DataObject
) -> None:
    """Whatever ranks, workers, batches and windows follow each other; the last one ends."""
    count, got, repeated, dropped = len(line), Counter[int](), 0, 0
    for number, topology in enumerate(topologies):
        cut = Cut(line, topology, (5, 6, number))
        most = most_batches(cut)
        is_last = number == len(topologies) - 1
        batches = most if is_last else data.draw(st.integers(0, most))
        got.update(received(cut, batches))
        repeated += cut.repeated
        dropped = cut.dropped
        line = cut.remainder(batches)
    left = samples(line)
    assert len(left) == dropped < topologies[-1].ranks * topologies[-1].batch_size
    assert set(got) | set(left) == set(range(count))
    assert got.total() + len(left) - count <= repeated
    if all(topology.equalize != "pad" for topology in topologies):
        assert max(got.values(), default=1) == 1


def test_a_remainder_of_a_large_job_is_arithmetic() -> None:
    """10^9 samples, 4,096 ranks of 8 workers, 20 restarts: no list is as long as the ranks."""
    line: Line = EpochLine(10**9, 14, 7, 3)
    for number in range(20):
        line = Cut(line, Topology(4096, 8, 256, 1000, "drop"), (7, 3, number)).remainder(17)
        assert len(line._regions) <= 3
        assert max(len(one.lefts) for one in line._regions) <= 8
    assert len(line) == 10**9 - 20 * 17 * 4096 * 256
    batch = Cut(line, Topology(4096, 8, 256, 1000, "drop"), (7, 3, 20)).batch(4000, 3)
    assert len(set(batch)) == 256


@pytest.mark.parametrize(("rank", "number"), [(0, 4), (0, -1), (1, 4)])
def test_a_batch_that_is_not_there_is_an_error(rank: int, number: int) -> None:
    """Never an empty one."""
    cut = Cut(EpochLine(24, 1, 0, 0), Topology(2, 1, 3, 5, "drop"))
    with pytest.raises(IndexError, match=rf"batch {number} of rank {rank}, which has 4"):
        cut.batch(rank, number)


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_rank_that_is_not_there_is_an_error(rank: int) -> None:
    """It would read another's samples."""
    with pytest.raises(IndexError, match=f"rank {rank} of 2"):
        Cut(EpochLine(24, 1, 0, 0), Topology(2, 1, 3, 5, "drop")).batch(rank, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ranks": 0}, "ranks=0"),
        ({"workers": -1}, "workers=-1"),
        ({"batch_size": 1.5}, "batch_size=1.5"),
        ({"window": True}, "window=True"),
        ({"equalize": "wrap"}, "equalize='wrap'"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], message: str) -> None:
    """At once, not in the middle of an epoch."""
    right = {"ranks": 1, "workers": 1, "batch_size": 1, "window": 1, "equalize": "drop"}
    with pytest.raises(ConfigError, match=message):
        Topology(**{**right, **wrong})  # type: ignore[arg-type]


GOLDEN_LINE = [12, 13, 14, 15, 16, 17, 18, 19, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3]
GOLDEN_BATCHES = [
    [16, 14, 13],
    [19, 18, 4],
    [12, 15, 17],
    [5],
    [8, 9, 7],
    [2, 1, 0],
    [6, 11, 10],
    [3],
]
GOLDEN_REMAINDER = [12, 15, 17, 5, 6, 11, 10, 3]


def test_a_cut_is_freed_with_its_last_reference() -> None:
    """It does not wait for the garbage collector."""
    cut = Cut(EpochLine(24, 1, 0, 0), Topology(2, 1, 3, 5, "drop"), (1,))
    cut.batch(0, 1)
    freed = weakref.ref(cut)
    del cut
    assert freed() is None


def test_a_topology_holds_plain_ints() -> None:
    """Whatever whole numbers it was given: they are written as JSON."""
    assert type(Topology(np.int64(2), 1, 3, 5, "drop").ranks) is int
