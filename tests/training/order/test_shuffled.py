"""shuffled(): the order of a Permutation, as an array."""

from __future__ import annotations

import pytest
import torch  # noqa: F401 - numpy comes with it

from aisio.training.order.permutation import Permutation
from aisio.training.order.shuffled import number_type, shuffled


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 64, 65, 1000, 4097])
@pytest.mark.parametrize("key", [(0, 0), (7, 3, "samples")])
def test_it_is_the_permutation_of_its_key(count: int, key: tuple[int | str, ...]) -> None:
    """Whether numbers are permuted one by one or many at a time."""
    assert shuffled(count, *key).tolist() == list(Permutation(count, *key))


def test_many_are_permuted_piece_by_piece() -> None:
    """More than fit into the processor's cache at a time."""
    numbers, permutation = shuffled(600_000, 1), Permutation(600_000, 1)
    for index in (0, 262_143, 262_144, 599_999):
        assert numbers[index] == permutation[index]
    assert len(set(numbers.tolist())) == 600_000


def test_numbers_take_four_bytes_where_they_can() -> None:
    """Ten million take 40 MB."""
    assert shuffled(10, 1).itemsize == 4
    assert number_type(1 << 32)(0).itemsize == 4
    assert number_type((1 << 32) + 1)(0).itemsize == 8
