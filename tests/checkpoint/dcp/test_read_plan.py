"""Which items are read together."""

from __future__ import annotations

import torch  # noqa: F401 - the package needs it
from hypothesis import given
from hypothesis import strategies as st

from aisio.checkpoint.dcp.read_plan import plan_runs, slice_views
from aisio.checkpoint.dcp.stored_metadata import Item, storage_info


def items(*places: tuple[str, int, int]) -> list[Item]:
    """Return items by file, offset and length."""
    return [Item(storage_info(*place, "", None)) for place in places]


def plan(*places: tuple[str, int, int], gap: int, most: int) -> list[tuple[str, int, int, int]]:
    """Return runs as file, start, stop and number of items."""
    runs = plan_runs(items(*places), gap_bytes=gap, max_bytes=most)
    return [(run.path, run.start, run.stop, len(run.items)) for run in runs]


def test_neighbours_come_together() -> None:
    """Whatever the order in which they are wanted; files stay apart."""
    places = [("b", 0, 5), ("a", 20, 10), ("a", 0, 10), ("a", 10, 10)]
    assert plan(*places, gap=0, most=100) == [("a", 0, 30, 3), ("b", 0, 5, 1)]
    assert plan(*places, gap=0, most=20) == [("a", 0, 20, 2), ("a", 20, 30, 1), ("b", 0, 5, 1)]
    assert plan(*places, gap=0, most=5) == [
        *[("a", start, start + 10, 1) for start in (0, 10, 20)],
        ("b", 0, 5, 1),
    ]
    assert plan(gap=0, most=5) == []


def test_a_small_gap_is_read() -> None:
    """A larger one takes another request."""
    places = [("a", 0, 10), ("a", 15, 10)]
    assert plan(*places, gap=5, most=100) == [("a", 0, 25, 2)]
    assert plan(*places, gap=4, most=100) == [("a", 0, 10, 1), ("a", 15, 25, 1)]


def test_items_that_overlap_come_apart() -> None:
    """Metadata of a stranger may say so."""
    assert plan(("a", 0, 10), ("a", 5, 10), gap=9, most=99) == [("a", 0, 10, 1), ("a", 5, 15, 1)]


@given(st.lists(st.binary(max_size=9)), st.integers(0, 60), st.integers(0, 60))
def test_slices_of_views_are_slices_of_their_bytes(
    parts: list[bytes], start: int, stop: int
) -> None:
    """Empty ones are left out."""
    found = slice_views([memoryview(part) for part in parts], start, stop)
    assert b"".join(found) == b"".join(parts)[start:stop]
    assert all(found)
