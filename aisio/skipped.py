"""One line of text about the names that a listing skipped: how many, which, and why."""

from __future__ import annotations

__all__ = ["SkippedNames"]

_MAX_SHOWN = 3


class SkippedNames:
    """Counts skipped names by reason, and keeps the first few of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, name: str, reason: str) -> None:
        """Count a name.

        Args:
            name: The object or file.
            reason: Why it was skipped, as in "a socket".
        """
        self._counts[reason] = self._counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _MAX_SHOWN:
            examples.append(name)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __str__(self) -> str:
        """Return, for example, "skipped 4 (a socket): 'a', 'b', 'c', ...; 1 (a device): 'd'"."""
        return "skipped " + "; ".join(
            f"{count:,} ({reason}): {', '.join(map(repr, self._examples[reason]))}"
            + ", ..." * (count > len(self._examples[reason]))
            for reason, count in self._counts.items()
        )
