"""NameFilter: the names that `--include` and `--exclude` leave."""

from __future__ import annotations

from collections.abc import Iterable

from aisio.patterns.selections import Pattern, Selections

__all__ = ["NameFilter"]


class NameFilter:
    """Takes names by patterns with the wildcards and braces of `aisio.patterns.selections`.

    A pattern without "/" is compared with the last part of a name, in whatever folder; one with "/"
    with the whole name below the folder that is copied. One that ends in "/" takes all that is
    below the folders that match.

    Args:
        include: Take only names that match one of these; empty takes all.
        exclude: Leave out names that match one of these, also if they match `include`.

    Raises:
        UrlError: Braces or wildcards are not valid.
    """

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self._include = [pattern for text in include for pattern in _patterns(text)]
        self._exclude = [pattern for text in exclude for pattern in _patterns(text)]

    def takes(self, name: str) -> bool:
        """Tell whether a name, relative to the folder that is copied, is taken."""
        if self._include and not any(pattern.matches(name) for pattern in self._include):
            return False
        return not any(pattern.matches(name) for pattern in self._exclude)


def _patterns(text: str) -> Iterable[Pattern]:
    if "/" not in text.rstrip("/"):
        text = f"**/{text}"
    return [Pattern(selection.text) for selection in Selections(text.removeprefix("/"))]
