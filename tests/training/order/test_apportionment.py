"""Apportionment: each source has its share of every beginning of the sequence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aisio.training.order.apportionment import Apportionment, whole_weights

WEIGHTS = st.lists(
    st.one_of(st.integers(1, 1000), st.floats(1e-6, 1e6)),
    min_size=1,
    max_size=12,
)


def position_of(shares: Apportionment, sources: int, source: int, number: int) -> int:
    """Return the position of a source's item, by either end of the positions of several."""
    first = shares.first_position(number if one == source else 10**40 for one in range(sources))
    last = shares.last_position(number if one == source else -1 for one in range(sources))
    assert first == last
    return first


@given(weights=WEIGHTS, start=st.integers(0, 10**15))
def test_each_source_has_its_share_of_every_beginning(weights: list[float], start: int) -> None:
    """To less than two, at the start and far from it; and each position is of one source."""
    whole = whole_weights(weights)
    shares, total = Apportionment(whole), sum(whole)
    for begin in (0, start):
        counts = shares.counts(begin)
        assert sum(counts) == begin
        for position in range(begin, begin + 60):
            source, before = shares.locate(position)
            assert before == counts[source]
            assert position_of(shares, len(weights), source, before) == position
            counts[source] += 1
            for number, weight in enumerate(whole):
                assert abs(counts[number] * total - (position + 1) * weight) < 2 * total


def test_ten_positions_have_exact_shares() -> None:
    """Weights are what they were written as: a float's 0.1 is a tenth."""
    shares = Apportionment(whole_weights([0.7, 0.2, 0.1]))
    for start in range(0, 1000, 10):
        found = [shares.locate(position)[0] for position in range(start, start + 10)]
        assert [found.count(source) for source in range(3)] == [7, 2, 1]


def test_golden_values() -> None:
    """Jobs that go on from older states have the same order."""
    shares = Apportionment([5, 3, 2])
    assert [shares.locate(position)[0] for position in range(10)] == GOLDEN
    assert shares.locate(10**18 + 7) == (0, 5 * 10**17 + 3)


GOLDEN = [1, 0, 2, 0, 1, 0, 2, 0, 1, 0]


def test_few_sources() -> None:
    """One has all; a rare one comes in the middle of its turn."""
    assert [Apportionment([1]).locate(number) for number in (0, 9)] == [(0, 0), (0, 9)]
    rare = Apportionment([1, 999])
    assert position_of(rare, 2, 0, 0) == 500
    assert [rare.locate(position)[0] for position in (499, 500, 501)] == [1, 0, 1]


def test_a_tree_may_be_as_deep_as_there_are_sources() -> None:
    """Each weight is as large as all smaller ones together."""
    weights = [2**source for source in range(1000)]
    assert Apportionment(weights).counts(sum(weights)) == weights
