"""Ranges: near ones are joined, and each is cut out of the right one."""

from __future__ import annotations

from array import array

import fsspec  # noqa: F401 - the package imports it
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.integrations.fsspec.ranges import Range, cut, merge, parse_ranges

DATA = {"a": bytes(range(100)), "b": bytes(range(100, 200))}
NUMBERS = st.integers(-120, 120) | st.integers(-2, 12)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), NUMBERS, st.none() | NUMBERS), max_size=12),
    st.integers(0, 30),
)
def test_each_range_is_what_a_slice_is(wanted: list[tuple[str, int, int | None]], gap: int) -> None:
    """Whatever is joined."""
    ranges = [Range(*one) for one in wanted]
    spans, owners = merge(ranges, gap)
    read = [DATA[span.path][span.start : span.end] for span in spans]
    for one, owner in zip(ranges, owners, strict=True):
        assert cut(one, spans[owner], read[owner]) == DATA[one.path][one.start : one.end]


def test_near_ranges_are_joined() -> None:
    """Of one object; those that are far apart, or count from the end, are not."""
    wanted = [Range("a", 50, 60), Range("a", 0, 10), Range("a", 12, 20), Range("b", 12, 20)]
    spans, owners = merge(wanted, 2)
    assert spans == [Range("a", 0, 20), Range("a", 50, 60), Range("b", 12, 20)]
    assert owners == [1, 0, 0, 2]
    from_end = [Range("a", -5, None), Range("a", -5, -1)]
    assert set(merge(from_end, 100)[0]) == set(from_end)


def test_one_that_ends_before_the_objects_end_is_left_alone() -> None:
    """However near the next one is: where it ends is not known."""
    for end in (-1, -50, None):
        wanted = [Range("a", 5, end), Range("a", 7, 9), Range("a", 8, 10)]
        spans, owners = merge(wanted, 100)
        assert (spans, owners) == ([Range("a", 5, end), Range("a", 7, 10)], [0, 1, 1])


def test_what_is_given() -> None:
    """Lists or arrays of one length, or a number for all."""
    assert parse_ranges(["a", "b"], 1, [5, None]) == [Range("a", 1, 5), Range("b", 1, None)]
    arrays = array("q", [1, 2]), iter([5, 6])  # as those of numpy, they are no sequences
    assert parse_ranges(["a", "b"], *arrays) == [Range("a", 1, 5), Range("b", 2, 6)]
    with pytest.raises(TypeError, match="must be a list"):
        parse_ranges("a", 1, 2)
    with pytest.raises(ValueError, match="2 paths, 1 starts and 2 ends"):
        parse_ranges(["a", "b"], [1], 2)
