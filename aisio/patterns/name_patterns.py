"""NamePatterns: which names `include=` and `exclude=` of sources and transfers take.

    *.jpg             the last part of a name matches, in any folder
    tmp/              all that is below a folder of this name, wherever it is
    train/*.jpg       the whole name matches, below the folder of the source
    **/cats/*.jpg     see `aisio.patterns.selections`
    train/cats/       all that is below this folder
    /a.jpg, /tmp/     "/" at the beginning: not in any folder

Wildcards and braces are those of URLs, but `*` and `?` are never literal.
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
    """Tells which names are taken.

    Args:
        include: Take only names that match one of these.
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

    def takes(self, name: str) -> bool:
        """Tell whether a name, relative to the folder that is read or copied, is taken."""
        return not self._why_left_out(name)

    def why_left_out(self, info: ObjectInfo, base_url: str) -> str:
        """Return why not to read an object; "" to read it.

        Args:
            info: The object.
            base_url: The folder of its source; see `Source.base_url`.
        """
        url = info.url
        is_below = base_url and url.startswith(base_url)
        return self._why_left_out(url[len(base_url) :] if is_below else info.name)

    def _why_left_out(self, name: str) -> str:
        if self._include is not None and not _match(self._include, name):
            return "not of include="
        if self._exclude is not None and _match(self._exclude, name):
            return "of exclude="
        return ""


def _match(patterns: Sequence[Pattern], name: str) -> bool:
    return any(pattern.matches(name) for pattern in patterns)


def _pattern(text: str) -> Pattern:
    """Return a pattern of whole names.

    Args:
        text: Without braces.
    """
    is_in_any_folder = "/" not in text.removesuffix("/")
    return Pattern(f"**/{text}" if is_in_any_folder else text.removeprefix("/"))


def _parsed(argument: str, patterns: Patterns, owner: str) -> tuple[Pattern, ...] | None:
    if patterns is None:
        return None
    texts = [patterns] if isinstance(patterns, str) else list(patterns)
    if not texts or not all(isinstance(text, str) and text.strip("/") for text in texts):
        raise ConfigError(
            f'<{owner}> {argument}={patterns!r}: a pattern is needed, or several, as in "*.jpg"'
        )
    return tuple(_pattern(one) for text in texts for one in Braces(text))
