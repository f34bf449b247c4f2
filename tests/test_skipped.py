"""SkippedNames: how many names were skipped, which, and why, in one line."""

from __future__ import annotations

from aisio.skipped import SkippedNames


def test_names_are_counted_by_reason_and_the_first_are_shown():
    """Names are quoted, so that none can break the line."""
    skipped = SkippedNames()
    assert not skipped
    for name in ("a", "b", "c\n", "d"):
        skipped.add(name, "a socket")
    skipped.add("e", "a device")
    assert skipped
    assert str(skipped) == r"skipped 4 (a socket): 'a', 'b', 'c\n', ...; 1 (a device): 'e'"


def test_names_of_one_reason_are_counted_by_kind():
    """The most frequent first, and those of no known kind last."""
    skipped = SkippedNames()
    for name, kind in (("a", ""), ("b.idx", "*.idx"), ("c.json", "*.json"), ("d.json", "*.json")):
        skipped.add(name, "no shards", kind)
    other = SkippedNames()
    other.add("e", "a socket")
    skipped.update(other)
    assert str(skipped) == (
        "skipped 4 (no shards: 2 *.json, 1 *.idx, 1 others): 'a', 'b.idx', 'c.json', ...;"
        " 1 (a socket): 'e'"
    )
