"""one_level: folders stand for what is in them, and many objects in one are not all listed."""

from __future__ import annotations

from collections.abc import Iterator

from aisio.records import ObjectInfo
from aisio.stores.levels import one_level


def level(
    names: list[str], prefix: str = "", **options: bool
) -> tuple[list[tuple[str, int | None]], list[str]]:
    """Return name and size of the entries, and where each listing began."""
    begun = []

    def list_after(start: str) -> Iterator[ObjectInfo]:
        begun.append(start)
        for name in sorted(names, key=str.encode):
            if name.startswith(prefix) and name.encode() > start.encode():
                yield ObjectInfo("ais://b", name, 1)

    return [
        (info.name, info.size_bytes) for info in one_level(list_after, prefix, **options)
    ], begun


def test_folders_stand_for_what_is_in_them() -> None:
    """Once each; a prefix need not end at a folder."""
    names = ["a", "b/1", "b/2/3", "b.txt", "c/1", "d"]
    expected = [("a", 1), ("b.txt", 1), ("b/", None), ("c/", None), ("d", 1)]
    assert level(names) == (expected, [""])
    assert level(names, "b") == ([("b.txt", 1), ("b/", None)], [""])
    assert level(names, "b/") == ([("b/1", 1), ("b/2/", None)], [""])
    assert level([]) == ([], [""])


def test_a_large_folder_is_left_behind() -> None:
    """By a listing that begins after it, and also if names in it sort after any text."""
    names = [f"big/{number}" for number in range(5000)] + ["big/\U0010ffffx", "after", "z/1", "z/2"]
    found, begun = level(names)
    assert found == [("after", 1), ("big/", None), ("z/", None)]
    assert begun == ["", "big/\U0010ffff"]
    assert level(names, begins_anywhere=False) == (found, [""])
