"""MemberOrder: which files of a tar a worker of a rank reads."""

from __future__ import annotations

from itertools import chain

import pytest
import torch  # noqa: F401 - as its package needs it

from aisio.errors import ConfigError
from aisio.records import ObjectInfo
from aisio.sources.kinds import UrlListSource
from aisio.sources.listing_table import ListingTable, encode_blocks
from aisio.stores import store_for
from aisio.training.chunk_shuffle import ChunkShuffle
from aisio.training.member_order import MemberOrder, positions_of
from aisio.training.split import Partition
from aisio.training.split_options import Equalize


def partitions(ranks: int, workers: int) -> list[Partition]:
    """Return all processes of a job."""
    return [
        Partition(rank, ranks, worker, workers)
        for rank in range(ranks)
        for worker in range(workers)
    ]


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_each_item_once(count: int, ranks: int, workers: int) -> None:
    """Each process reads neighbours, ranks differ by an item at most."""
    parts = [positions_of(one, count, "none") for one in partitions(ranks, workers)]
    assert [*chain.from_iterable(chain.from_iterable(parts))] == list(range(count))
    by_rank = [
        sum(map(len, positions_of(Partition(r, ranks), count, "none"))) for r in range(ranks)
    ]
    assert max(by_rank) - min(by_rank) <= 1


@pytest.mark.parametrize(
    ("equalize", "expected"),
    [
        ("drop", [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        ("pad", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]),
    ],
)
def test_equal_ranks(equalize: Equalize, expected: list[list[int]]) -> None:
    """The end is left out by "drop", and "pad" goes on at the start."""
    found = [positions_of(Partition(rank, 3), 10, equalize) for rank in range(3)]
    assert [list(chain.from_iterable(ranges)) for ranges in found] == expected


def test_too_few_for_equal_ranks() -> None:
    """As for other datasets."""
    with pytest.raises(ConfigError, match="use equalize='pad'"):
        positions_of(Partition(0, 3), 2, "drop")
    assert positions_of(Partition(2, 3), 2, "pad") == [range(0, 1)]


def test_shuffled_files_are_shared_out() -> None:
    """Each once, in the order of an epoch."""
    infos = [(0, ObjectInfo("ais://b", str(number))) for number in range(100)]
    source = UrlListSource([], store_for)
    files = ListingTable([source], encode_blocks(infos))
    order = MemberOrder(ChunkShuffle(10, 1))

    def names(epoch: int) -> list[str]:
        shares = [order.share(files, one, "none", epoch) for one in partitions(2, 2)]
        return [info.name for _, info in chain.from_iterable(shares)]

    first = names(0)
    assert sorted(first, key=int) == [str(number) for number in range(100)]
    assert first == names(0) != names(1)
    assert order.describe(0) != order.describe(1)
