"""NamePatterns: `include=` and `exclude=`, which objects of a source to read, by their names.

A pattern without "/" is compared with the last part of a name, in any folder: "*.jpg". One with "/"
is compared with the name below the folder of the source: "train/*.jpg", "**/cats/*.jpg"; if it ends
in "/", it stands for all that is in such a folder. Wildcards and braces are those of URLs
(`aisio.patterns.selections`), but `*` and `?` are never literal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from aisio.errors import ConfigError
from aisio.patterns.braces import Braces
from aisio.patterns.selections import Pattern
from aisio.records import ObjectInfo

__all__ = ["NamePatterns", "Patterns"]

Patterns: TypeAlias = "str | Sequence[str] | None"
"""A pattern, several, or None for none."""


class NamePatterns:
    """Tells which objects to read.

    Args:
        include: Read only objects that match one of these.
        exclude: Of these, leave out those that match one of these.
        owner: Name of the class that has these arguments, for errors.

    Attributes:
        text: Tells these patterns from others; "" if there are none.

    Raises:
        ConfigError: There is an empty list or pattern, or one that is no text.
        UrlError: Braces or wildcards are not valid.
    """

    def __init__(
        self, include: Patterns = None, exclude: Patterns = None, *, owner: str = "source"
    ) -> None:
        texts = {"include": include, "exclude": exclude}
        self._include = _parsed("include", include, owner)
        self._exclude = _parsed("exclude", exclude, owner)
        self.text = ", ".join(f"{name}={text!r}" for name, text in texts.items() if text)

    def __bool__(self) -> bool:
        return bool(self.text)

    @property
    def why_empty(self) -> str:
        """Why a source may have no object; "" without patterns."""
        return f"no name is selected by {self.text}" if self.text else ""

    def why_left_out(self, info: ObjectInfo, base_url: str) -> str:
        """Return why not to read an object; "" to read it.

        Args:
            info: The object.
            base_url: The folder of its source; see `Source.base_url`.
        """
        url = info.url
        is_below = base_url and url.startswith(base_url)
        name = url[len(base_url) :] if is_below else info.name
        if self._include is not None and not _match(self._include, name):
            return "not of include="
        if self._exclude is not None and _match(self._exclude, name):
            return "of exclude="
        return ""


class _NamePattern:
    """One pattern; see the module.

    Args:
        text: Without braces.
    """

    def __init__(self, text: str) -> None:
        self._pattern = Pattern(text)
        self._is_for_last_part = "/" not in text

    def matches(self, name: str) -> bool:
        return self._pattern.matches(name.rpartition("/")[2] if self._is_for_last_part else name)


def _match(patterns: Sequence[_NamePattern], name: str) -> bool:
    return any(pattern.matches(name) for pattern in patterns)


def _parsed(argument: str, patterns: Patterns, owner: str) -> tuple[_NamePattern, ...] | None:
    if patterns is None:
        return None
    texts = [patterns] if isinstance(patterns, str) else list(patterns)
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise ConfigError(
            f'<{owner}> {argument}={patterns!r}: a pattern is needed, or several, as in "*.jpg"'
        )
    return tuple(_NamePattern(one) for text in texts for one in Braces(text))
