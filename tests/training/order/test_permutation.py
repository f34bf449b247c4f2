"""Permutation: each number once, the same everywhere, and well mixed."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.training.order.permutation import Permutation, keyed_number

KEYS = st.lists(st.integers() | st.text(), max_size=3)


@given(st.integers(0, 300), KEYS)
def test_each_number_comes_once(size: int, key: list[int | str]) -> None:
    """Whatever the size and the key."""
    permutation = Permutation(size, *key)
    assert sorted(permutation[index] for index in range(size)) == list(range(size))
    assert len(permutation) == size


@given(st.integers(0, 2000), KEYS)
def test_all_numbers_are_those_one_by_one(size: int, key: list[int | str]) -> None:
    """They are computed in another way."""
    permutation = Permutation(size, *key)
    assert list(permutation) == [permutation[index] for index in range(size)]


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 10**12])
def test_the_first_numbers_of_large_ones(size: int) -> None:
    """Without waiting for the others."""
    permutation = Permutation(size, "large")
    found = list(itertools.islice(permutation, 100))
    assert found == [permutation[index] for index in range(100)]


@pytest.mark.parametrize("size", [1 << 20, (1 << 40) + 1, 10**12 + 39])
def test_large_ones_take_no_memory(size: int) -> None:
    """A thousand of their numbers are distinct, and in range."""
    permutation = Permutation(size, "large")
    found = {permutation[index * (size // 1000)] for index in range(1000)}
    assert len(found) == 1000
    assert all(0 <= number < size for number in found)


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_an_index_out_of_range_is_an_error(index: int) -> None:
    """Negative ones too: nothing here counts from the end."""
    with pytest.raises(IndexError, match=f"{index} of a permutation of 5"):
        Permutation(5, 1)[index]


def test_golden_values() -> None:
    """They hold on every platform and version: a job goes on elsewhere."""
    assert [Permutation(10, 7, 0, "packs")[index] for index in range(10)] == GOLDEN_TEN
    assert [Permutation(10**9, 7, 1)[index] for index in (0, 1, 10**9 - 1)] == GOLDEN_LARGE
    assert [keyed_number(1000, 7, epoch, "shift") for epoch in range(4)] == GOLDEN_NUMBERS


def test_keys_are_not_run_together() -> None:
    """(1, 23) and (12, 3) are different keys, as are 1 and "1,"."""
    orders = [
        [Permutation(50, *key)[index] for index in range(50)]
        for key in ((1, 23), (12, 3), (123,), ("1,", 23))
    ]
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize("size", [2, 3, 7, 16, 100])
def test_each_number_may_go_anywhere(size: int) -> None:
    """Over many keys all places are equally likely: chi-square, with a bound far out."""
    draws = 200 * size
    places = Counter(Permutation(size, key)[size // 2] for key in range(draws))
    expected = draws / size
    chi_square = sum((places[place] - expected) ** 2 / expected for place in range(size))
    degrees = size - 1
    assert chi_square < degrees + 6 * (2 * degrees) ** 0.5 + 12


def test_neighbours_part() -> None:
    """A random permutation leaves one pair of neighbours together, on average."""
    size = 10_000
    together = 0
    for key in range(5):
        permutation = Permutation(size, key)
        order = [permutation[index] for index in range(size)]
        together += sum(after - before == 1 for before, after in itertools.pairwise(order))
    assert together <= 20


GOLDEN_TEN = [8, 4, 1, 9, 6, 5, 7, 0, 3, 2]
GOLDEN_LARGE = [545192630, 861944113, 665078181]
GOLDEN_NUMBERS = [332, 559, 932, 0]
