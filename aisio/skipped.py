"""One line of text about the names that a listing skipped: how many, which, and why."""

from __future__ import annotations

from collections import Counter

__all__ = ["SkippedNames"]

_MAX_SHOWN = 3


class SkippedNames:
    """Counts skipped names by reason, and keeps the first few of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._kinds: dict[str, Counter[str]] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, name: str, reason: str, kind: str = "") -> None:
        """Count a name.

        Args:
            name: The object or file.
            reason: Why it was skipped, as in "a socket".
            kind: What names of this reason are counted by; "" for a name of no known kind.
        """
        self._kinds.setdefault(reason, Counter())[kind] += 1
        self._counts[reason] = self._counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _MAX_SHOWN:
            examples.append(name)

    def update(self, other: SkippedNames) -> None:
        """Add what another one has counted, for other reasons."""
        self._counts.update(other._counts)
        self._kinds.update(other._kinds)
        self._examples.update(other._examples)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __str__(self) -> str:
        """Return, for example, "skipped 4 (a socket): 'a', 'b', 'c', ...; 1 (a device): 'd'".

        Where kinds are known: "skipped 4 (no shards: 3 *.json, 1 others): ...".
        """
        return "skipped " + "; ".join(
            f"{count:,} ({reason}{self._by_kind(reason)}):"
            f" {', '.join(map(repr, self._examples[reason]))}"
            + ", ..."
            * (count > len(self._examples[reason]))
            for reason, count in self._counts.items()
        )

    def _by_kind(self, reason: str) -> str:
        kinds = self._kinds[reason]
        if not any(kinds):
            return ""
        by_count = sorted(kinds.items(), key=lambda item: (not item[0], -item[1]))
        return ": " + ", ".join(f"{count:,} {kind or 'others'}" for kind, count in by_count)
