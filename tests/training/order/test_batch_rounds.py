"""BatchRounds: each batch to one rank, in rounds, also behind a stop."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch  # noqa: F401 - numpy comes with it
from hypothesis import given
from hypothesis import strategies as st

from aisio.training.order.batch_rounds import BatchRounds


def line(count: int) -> Any:
    """Return the numbers of some batches, which begin at 100."""
    return np.arange(100, 100 + count, dtype=np.uint32)


def given_to(rounds: BatchRounds, ranks: int, start: int = 0, stop: int = 10**6) -> list[list[int]]:
    """Return what each rank has, from one of its batches to another."""
    return [
        [rounds.batch(rank, number) for number in range(start, min(stop, rounds.count(rank)))]
        for rank in range(ranks)
    ]


@pytest.mark.parametrize(
    ("equalize", "expected"),
    [
        ("drop", [[100, 103], [101, 104], [102, 105]]),
        ("pad", [[100, 103, 106], [101, 104, 100], [102, 105, 101]]),
        ("none", [[100, 103, 106], [101, 104], [102, 105]]),
    ],
)
def test_a_round_has_a_batch_for_each_rank(equalize: Any, expected: list[list[int]]) -> None:
    """The last one, where they are fewer, is made equal as asked."""
    assert given_to(BatchRounds(line(7), 3, equalize), 3) == expected


def test_one_batch_fills_a_round_of_many_ranks() -> None:
    """It is repeated as often as needed."""
    assert given_to(BatchRounds(line(1), 3, "pad"), 3) == [[100]] * 3


def test_a_key_shuffles_rounds_of_neighbours() -> None:
    """All of a round are as similar as in the line; what is left out is not always the last."""
    dropped = Counter[int]()
    orders = set()
    for epoch in range(30):
        ranks = given_to(BatchRounds(line(31), 3, "drop", (1, epoch)), 3)
        orders.add(tuple(ranks[0]))
        for one in zip(*ranks, strict=True):
            assert {(each - one[0]) % 31 for each in one} == {0, 1, 2}
        dropped += Counter({*range(100, 131)} - {*chain.from_iterable(ranks)})
    assert len(orders) == 30
    assert len(dropped) > 15


@given(
    count=st.integers(0, 40),
    stops=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), max_size=3),
    ranks=st.integers(1, 5),
    equalize=st.sampled_from(["drop", "pad", "none"]),
    key=st.none() | st.just((3,)),
)
def test_what_is_left_is_what_nobody_received(
    count: int, stops: list[tuple[int, int]], ranks: int, equalize: Any, key: Any
) -> None:
    """Over any chain of ranks: none is lost, and only padding comes twice."""
    left, received = line(count), Counter[int]()
    for number, (each, steps) in enumerate(stops):
        rounds = BatchRounds(left, each, equalize, key and (*key, number))
        received += Counter(chain.from_iterable(given_to(rounds, each, 0, steps)))
        left = rounds.remainder(steps)
        if equalize != "pad":
            assert received + Counter(left.tolist()) == Counter(line(count).tolist())
    rounds = BatchRounds(left, ranks, equalize, key)
    received += Counter(chain.from_iterable(given_to(rounds, ranks)))
    expected = Counter(line(count).tolist())
    if equalize == "none":
        assert received == expected
    elif equalize == "pad":
        assert received.keys() == expected.keys()
    else:
        assert received <= expected
        assert (expected - received).total() < ranks
    if equalize != "none":
        assert len({rounds.count(rank) for rank in range(ranks)}) == 1
