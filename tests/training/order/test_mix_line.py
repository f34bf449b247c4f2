"""MixLine: the order of a mix, and its end."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.training.order.mix_line import MixLine, MixRule, OnEnd, TailLine

SIZES = (20, 10, 5)


def line(on_end: OnEnd, weights: tuple[float, ...] = (1, 1, 1), **options: Any) -> MixLine:
    """Return a line of 35 samples of three sources."""
    return MixLine(SIZES, MixRule(weights, on_end), **options)


def counts(samples: list[int]) -> list[int]:
    """Return how many samples each source has."""
    found = Counter(0 if one < 20 else 1 if one < 30 else 2 for one in samples)
    return [found[source] for source in range(3)]


def test_stop_ends_before_a_source_has_nothing() -> None:
    """No sample comes twice, and all shares are exact to the end."""
    samples = list(iter_of(line("stop")))
    assert max(counts(samples)) - min(counts(samples)) <= 1
    assert counts(samples)[2] == 5
    assert len(set(samples)) == len(samples)


def test_repeat_ends_when_each_source_was_read_once() -> None:
    """The others begin again, each in all before any comes a third time."""
    samples = list(iter_of(line("repeat", key=(7, 0))))
    assert counts(samples)[0] == 20
    assert max(counts(samples)) <= 21
    assert set(samples) == set(range(35))
    smallest = [one for one in samples if one >= 30]
    turns = [smallest[start : start + 5] for start in range(0, 15, 5)]
    assert all(sorted(turn) == list(range(30, 35)) for turn in turns)
    assert len(set(map(tuple, turns))) > 1


def test_drop_reads_each_sample_once() -> None:
    """The others share the weight of a source that has ended, as they share theirs."""
    samples = list(iter_of(line("drop", (1, 1, 2))))
    assert sorted(samples) == list(range(35))
    assert counts(samples[10:20]) == [5, 5, 0]
    assert counts(samples[-8:]) == [8, 0, 0]


def test_a_line_of_which_nothing_is_left_says_what_was_given() -> None:
    """Not that nothing was, or all would come again."""
    assert line("drop", drawn=SIZES).drawn(0) == SIZES


def test_a_weight_of_zero_leaves_a_source_out() -> None:
    """Whatever ends the epoch."""
    for on_end in ("stop", "repeat", "drop"):
        assert counts(list(iter_of(line(on_end, (1, 1, 0)))))[2] == 0
    assert len(line("stop", (0, 0, 1))) == 5


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    weights=st.lists(st.floats(0.05, 20), min_size=4, max_size=4),
    others=st.lists(st.floats(0.05, 20), min_size=4, max_size=4),
    on_end=st.sampled_from(["stop", "repeat", "drop"]),
    stop=st.floats(0, 1),
)
def test_other_weights_go_on_with_what_is_left(
    sizes: list[int], weights: list[float], others: list[float], on_end: OnEnd, stop: float
) -> None:
    """No sample comes twice before its source is at its end; `drop` gives all."""
    count = len(sizes)
    first = MixLine(sizes, MixRule(tuple(weights[:count]), on_end), key=(1, 2))
    at = int(stop * len(first))
    drawn = first.drawn(at)
    before = [first[position] for position in range(at)]
    second = MixLine(sizes, MixRule(tuple(others[:count]), on_end), drawn, (1, 2))
    samples = before + list(iter_of(second))
    firsts = [sum(sizes[:source]) for source in range(count)]
    for source, size in enumerate(sizes):
        own = [one for one in samples if firsts[source] <= one < firsts[source] + size]
        assert Counter(own).keys() == set(own)
        assert max(Counter(own).values(), default=0) <= -(-len(own) // size)
        assert len(own) == second.drawn(len(second))[source]
        if on_end == "stop":
            assert len(own) <= size
        if on_end == "drop":
            assert len(own) == size
        if on_end == "repeat":
            assert len(set(own)) == size


def test_neighbours_stay_together() -> None:
    """By packs, of which each sample comes once; and packs change places in each turn."""
    samples = list(iter_of(line("repeat", (1, 0, 1), key=(7, 0), pack=5)))
    turns = [[one - 30 for one in samples if one >= 30][start : start + 5] for start in (0, 5, 10)]
    assert all(sorted(turn) == list(range(5)) for turn in turns)
    assert all((one + 1) % 5 == other for turn in turns for one, other in pairwise(turn))
    first = [one for one in samples if one < 20]
    assert sorted(first) == list(range(20))
    assert sum((one + 1) % 20 == other for one, other in pairwise(first)) >= 16
    assert first != list(iter_of(line("drop", (1, 0, 0), key=(8, 0), pack=5)))


def test_golden_values() -> None:
    """Jobs that go on from older states have the same order."""
    assert list(iter_of(line("stop", (3, 2, 1), key=(7, 0))))[:12] == GOLDEN


GOLDEN = [25, 2, 34, 9, 20, 5, 29, 13, 32, 3, 24, 7]


def test_a_tail_is_the_rest() -> None:
    """Also of a tail, and where nothing is left."""
    whole = line("drop")
    assert list(iter_of(TailLine(TailLine(whole, 30), 2))) == list(iter_of(whole))[32:]
    assert len(TailLine(whole, 99)) == 0


def iter_of(one: Any) -> Any:
    """Iterate over a line."""
    return (one[position] for position in range(len(one)))


@pytest.mark.parametrize("on_end", ["stop", "repeat", "drop"])
def test_large_sources_cost_nothing(on_end: OnEnd) -> None:
    """Nothing is kept for a sample."""
    sizes = (10**12, 10**9, 10**6)
    huge = MixLine(sizes, MixRule((0.5, 0.3, 0.2), on_end), key=(0, 0))
    assert huge[len(huge) - 1] < sum(sizes)
    assert sum(huge.drawn(len(huge))) == len(huge)


def test_many_sources_may_end_one_after_the_other() -> None:
    """What is kept of each end is little, so hundreds of them are no burden."""
    sizes = tuple(range(1, 201))
    many = MixLine(sizes, MixRule((1.0,) * 200, "drop"))
    assert sorted(iter_of(many)) == list(range(sum(sizes)))
    assert many.drawn(len(many)) == sizes
