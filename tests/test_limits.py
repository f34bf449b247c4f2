"""Numbers that a request can carry."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from aisio.limits import MAX_INT64, is_positive, is_whole


@pytest.mark.parametrize("value", [0, 1, MAX_INT64])
def test_whole_numbers_of_63_bits_are_taken(value: int) -> None:
    """As AIStore's."""
    assert is_whole(value)


@pytest.mark.parametrize("value", [-1, MAX_INT64 + 1, 1.0, nan, "1", None])
def test_what_is_no_such_number_is_not_taken(value: Any) -> None:
    """No fraction and no text."""
    assert not is_whole(value)


def test_a_whole_number_may_have_a_least_value() -> None:
    """As a batch has at least one object."""
    assert is_whole(1, 1)
    assert not is_whole(0, 1)


def test_a_positive_number_is_finite() -> None:
    """A timeout is finite."""
    assert is_positive(0.1)
    assert not any(map(is_positive, [0, -0.1, nan, inf, "1", None]))


def test_numbers_of_other_libraries_are_taken() -> None:
    """As of numpy, whose integers are no int."""
    numpy = pytest.importorskip("numpy")
    assert is_whole(numpy.int64(3))
    assert is_positive(numpy.float32(0.5))
    assert not is_whole(numpy.float64(3))
