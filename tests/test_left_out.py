"""LeftOut: how many were left out, which, and why, in one line."""

from __future__ import annotations

from aisio.left_out import LeftOut


def test_names_are_counted_by_reason_and_the_first_are_shown():
    """Quoted, so that no name can break the line."""
    left_out = LeftOut()
    assert not left_out
    for name in ("a", "b", "c\n", "d"):
        left_out.add(name, "a socket")
    left_out.add("e", "a device")
    assert left_out
    assert str(left_out) == r"left out 4 (a socket): 'a', 'b', 'c\n', ...; 1 (a device): 'e'"
