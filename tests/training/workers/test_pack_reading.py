"""The batches that a worker reads by packs are those of the order."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import pytest
import torch  # noqa: F401 - the loader needs it
from hypothesis import given
from hypothesis import strategies as st

from aisio.shards.index import ShardIndex, one_shard
from aisio.training.order.cut import Topology
from aisio.training.order.position import Position
from aisio.training.order.sample_filter import SampleFilter
from aisio.training.workers.pack_reading import (
    PackBatches,
    PackRequest,
    PackShare,
    PackSizes,
    windows_of,
)
from tests.training.packs import Packs

TOPOLOGY = Topology(ranks=2, workers=3, batch_size=4, window=8, equalize="drop")
EQUALIZE = st.sampled_from(["drop", "pad", "none", "shrink"])


def share_of(position: Position, topology: Topology, rank: int, stride: int) -> PackShare:
    """Return the share of a rank."""
    return PackShare(1, position, topology, rank, stride)


@st.composite
def chains(draw: Any) -> tuple[Position, Topology]:
    """Draw where a job stands, and with whom it goes on."""
    position = Position(
        draw(st.integers(1, 150)), 3, draw(st.booleans()), pack=draw(st.integers(1, 9))
    )

    def topology() -> Topology:
        workers = draw(st.integers(1, 3)) if position.shuffle else 1
        window = draw(st.integers(1, 20)) if position.shuffle else 1
        return Topology(
            draw(st.integers(1, 3)), workers, draw(st.integers(1, 6)), window, draw(EQUALIZE)
        )

    for _ in range(draw(st.integers(0, 2))):
        stopped = topology()
        cut, received = position.cut(stopped)
        batches = draw(st.integers(received, max(received, cut.batches_of_rank(0))))
        position = position.received(stopped, batches)
    last = draw(st.sampled_from([topology(), *(one.topology for one in position.segments[-1:])]))
    return position, last


@given(chains(), st.integers(1, 4))
def test_each_worker_makes_the_batches_of_the_order(
    chain: tuple[Position, Topology], stride: int
) -> None:
    """From any position on, also where its first batch is not that of worker 0."""
    position, topology = chain
    cut, received = position.cut(topology)
    stride = topology.workers if position.shuffle else stride
    for rank in range(topology.ranks):
        share = share_of(position, topology, rank, stride)
        batches = range(received, cut.batches_of_rank(rank))
        for first in batches[:stride]:
            reader = Packs().reader(windows_of(cut, share, first))
            mine = batches[first - received :: stride]
            for number in mine:
                start, stop = cut.span(rank, number)
                assert reader.take(stop - start) == cut.batch(rank, number)
            assert reader.take(1) == []


class Dataset:
    """Numbers as a dataset that is read by packs."""

    def __init__(self) -> None:
        self.packs: list[Packs] = []

    def __len__(self) -> int:
        return 200

    @property
    def sample_reader(self) -> Any:
        """Return a reader that is counted."""
        if not self.packs or self.packs[-1].read or self.packs[-1].is_closed:
            self.packs.append(Packs())
        return self.packs[-1]

    def take_items(self, samples: Any, count: int) -> list[int]:
        """Return numbers as they are."""
        return samples.take(count)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_worker_reads_on_while_it_is_asked_for_its_batches(shuffle: bool) -> None:
    """Nothing twice; anything else begins anew, without the requests of before."""
    position = Position(200, 3, shuffle, pack=4)
    topology = TOPOLOGY if shuffle else replace(TOPOLOGY, workers=1, window=1)
    cut, _ = position.cut(topology)
    share = share_of(position, topology, 1, 3)
    dataset = Dataset()
    batches = PackBatches(dataset, SampleFilter(dataset))
    for number in (2, 5, 8):
        assert batches.__getitems__(PackRequest(share, number)) == cut.batch(1, number)
    assert len(dataset.packs) == 1
    assert len(set(dataset.packs[0].read)) == len(dataset.packs[0].read)
    for request in (PackRequest(share, 8), PackRequest(replace(share, iteration=2), 11)):
        assert batches.__getitems__(request) == cut.batch(1, request.number)
    assert [packs.is_closed for packs in dataset.packs] == [True, True, False]


def test_after_an_error_a_worker_begins_anew() -> None:
    """The requests in flight are cut."""
    position = Position(200, 3, False, pack=4)
    topology = replace(TOPOLOGY, workers=1, window=1)
    dataset = Dataset()
    batches = PackBatches(dataset, SampleFilter(dataset))
    request = PackRequest(share_of(position, topology, 0, 1), 0)
    dataset.sample_reader.fails_at = 2
    with pytest.raises(OSError, match="sample 2"):
        batches.__getitems__(request)
    assert dataset.packs[0].is_closed
    assert batches.__getitems__(request) == [0, 1, 2, 3]


def test_a_pickled_one_has_read_nothing() -> None:
    """A worker that is spawned begins with its own first batch."""
    batches = PackBatches(Dataset(), SampleFilter(Dataset()))
    batches.__getitems__(PackRequest(share_of(Position(9, 3), TOPOLOGY, 0, 3), 0))
    assert batches._reader is not None
    state = batches.__getstate__()
    assert (state["_reader"], state["_next"]) == (None, None)


def index(sizes: list[int], *, whole: int = 0) -> ShardIndex:
    """Return the index of a shard with samples of some sizes, and one that has no ranges."""
    offsets = array("Q", (sum(sizes[:number]) for number in range(len(sizes))))
    spans = (offsets, array("Q", sizes), None)
    indexes = [one_shard("ais://b/a", sum(sizes), "", spans=spans, samples=len(sizes), keys=None)]
    if whole:
        indexes.append(one_shard("ais://b/b", 99, "", spans=None, samples=whole, keys=None))
    return ShardIndex.merge(indexes)


@pytest.mark.parametrize(
    ("of", "window_bytes", "sizes"),
    [
        (index([70_000] * 9000), 32 << 20, (15, 465)),
        (index([70_000] * 9000), 1, (15, 15)),
        (index([5 << 20]), 32 << 20, (1, 6)),
        (index([5 << 20]), 1 << 20, (1, 1)),
        (index([100] * 9999), 1 << 30, (39, 16_380)),
        (index([70_000] * 99, whole=40), 32 << 20, (40, 640)),
        (index([], whole=40), 32 << 20, (40, 16_360)),
    ],
)
def test_sizes(of: ShardIndex, window_bytes: int, sizes: tuple[int, int]) -> None:
    """A pack has about 1 MiB, a window whole packs; a shard without ranges is in few packs."""
    assert PackSizes.of(of, window_bytes) == sizes
