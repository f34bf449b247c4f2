"""LeftOut: what was left out of a listing, in one line: how many, which, and why."""

from __future__ import annotations

__all__ = ["LeftOut"]

_MOST_SHOWN = 3


class LeftOut:
    """Counts names by the reason for which they are left out, and keeps the first of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[str]] = {}

    def add(self, name: str, why: str) -> None:
        """Note a name.

        Args:
            name: The object or file.
            why: What it is, as in "a socket".
        """
        self._counts[why] = self._counts.get(why, 0) + 1
        first = self._first.setdefault(why, [])
        if len(first) < _MOST_SHOWN:
            first.append(name)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __str__(self) -> str:
        """Say it: "left out 4 (a socket): 'a', 'b', 'c', ...; 1 (a device): 'd'"."""
        return "left out " + "; ".join(
            f"{count:,} ({why}): {', '.join(map(repr, self._first[why]))}"
            + ", ..." * (count > len(self._first[why]))
            for why, count in self._counts.items()
        )
