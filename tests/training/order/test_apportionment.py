"""Apportionment: each source has its share of every beginning of the sequence."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from aisio.training.order.apportionment import Apportionment, exact

WEIGHTS = st.lists(
    st.one_of(st.integers(1, 1000).map(Fraction), st.floats(1e-6, 1e6).map(exact)),
    min_size=1,
    max_size=12,
)


@given(weights=WEIGHTS, start=st.integers(0, 10**15))
def test_each_source_has_its_share_of_every_beginning(weights: list[Fraction], start: int) -> None:
    """To less than two, at the start and far from it; and each position is of one source."""
    shares = Apportionment(weights)
    total = sum(weights)
    for begin in (0, start):
        counts = [shares.count(source, begin) for source in range(len(weights))]
        assert sum(counts) == begin
        for position in range(begin, begin + 60):
            source, before = shares.locate(position)
            assert before == counts[source]
            assert shares.position(source, before) == position
            counts[source] += 1
            for number, weight in enumerate(weights):
                assert abs(counts[number] - (position + 1) * weight / total) < 2


def test_ten_positions_have_exact_shares() -> None:
    """Weights are what they were written as: a float's 0.1 is a tenth."""
    shares = Apportionment([exact(weight) for weight in (0.7, 0.2, 0.1)])
    for start in range(0, 1000, 10):
        found = [shares.locate(position)[0] for position in range(start, start + 10)]
        assert [found.count(source) for source in range(3)] == [7, 2, 1]


def test_golden_values() -> None:
    """Jobs that go on from older states have the same order."""
    shares = Apportionment([Fraction(5), Fraction(3), Fraction(2)])
    assert [shares.locate(position)[0] for position in range(10)] == GOLDEN
    assert shares.locate(10**18 + 7) == (0, 5 * 10**17 + 3)


GOLDEN = [1, 0, 2, 0, 1, 0, 2, 0, 1, 0]


def test_few_sources() -> None:
    """One has all; a rare one comes in the middle of its turn."""
    assert [Apportionment([Fraction(1)]).locate(number) for number in (0, 9)] == [(0, 0), (0, 9)]
    rare = Apportionment([Fraction(1), Fraction(999)])
    assert rare.position(0, 0) == 500
    assert [rare.locate(position)[0] for position in (499, 500, 501)] == [1, 0, 1]
