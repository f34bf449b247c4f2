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

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from aisio.errors import ConfigError
from aisio.patterns.selections import Pattern, Selections
from aisio.records import ObjectInfo
from aisio.skipped import SkippedNames

__all__ = ["NamePatterns", "Patterns", "UnmatchedPatterns"]

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
        self._include = _parsed("include", include, owner)
        self._exclude = _parsed("exclude", exclude, owner)
        named = (("include", self._include), ("exclude", self._exclude))
        self.text = ", ".join(_text(name, patterns) for name, patterns in named if patterns)

    def __bool__(self) -> bool:
        return bool(self.text)

    @property
    def why_empty(self) -> str:
        """Why a source may have no object; "" without patterns."""
        return f"no name is selected by {self.text}" if self.text else ""

    def takes(self, name: str) -> bool:
        """Tell whether a name, relative to the folder that is read or copied, is taken."""
        return not self._why_left_out(name)

    def select(
        self,
        infos: Iterable[ObjectInfo],
        base_url: str,
        left_out: SkippedNames,
        unmatched: UnmatchedPatterns | None = None,
    ) -> Iterator[ObjectInfo]:
        """Yield the objects to read; lazily.

        Args:
            infos: All objects.
            base_url: The folder of their source; see `Source.base_url`.
            left_out: Counts the others.
            unmatched: Is shown all names.
        """
        for info in infos:
            url = info.url
            is_below = base_url and url.startswith(base_url)
            name = url[len(base_url) :] if is_below else info.name
            if unmatched is not None:
                unmatched.see(name)
            if why := self._why_left_out(name):
                left_out.add(info.name, why)
            else:
                yield info

    def _why_left_out(self, name: str) -> str:
        if self._include and not _match(self._include, name):
            return "not of include="
        return "of exclude=" if _match(self._exclude, name) else ""


class UnmatchedPatterns:
    """The patterns that no name has matched yet: a misspelt one leaves out nothing, or too much.

    Args:
        patterns: All patterns.
    """

    def __init__(self, patterns: NamePatterns) -> None:
        self._include = list(patterns._include)
        self._exclude = list(patterns._exclude)

    def see(self, name: str) -> None:
        """Take the patterns away that match a name."""
        for patterns in (self._include, self._exclude):
            if patterns:
                patterns[:] = [pattern for pattern in patterns if not pattern.matches(name)]

    def __bool__(self) -> bool:
        return bool(self._include or self._exclude)

    def __str__(self) -> str:
        """Return, for example, "no name matches exclude='vall/': look for a misspelt pattern"."""
        named = (("include", self._include), ("exclude", self._exclude))
        texts = [f"{name}={pattern.text!r}" for name, patterns in named for pattern in patterns]
        return f"no name matches {', '.join(texts)}: look for a misspelt pattern"


class _NamePattern:
    """One pattern; see the module.

    Args:
        text: With or without braces.

    Attributes:
        text: The argument.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        # Expansions that are names: there may be many.
        self._names: set[str] = set()
        self._last_parts: set[str] = set()
        self._patterns: list[Pattern] = []
        for selection in Selections(text):
            one = selection.text
            is_in_any_folder = "/" not in one.removesuffix("/")
            if selection.pattern is not None or one.endswith("/"):
                self._patterns.append(Pattern(f"**/{one}" if is_in_any_folder else _relative(one)))
            elif is_in_any_folder:
                self._last_parts.add(selection.start)
            else:
                self._names.add(_relative(selection.start))

    def matches(self, name: str) -> bool:
        return (
            name in self._names
            or name.rpartition("/")[2] in self._last_parts
            or any(pattern.matches(name) for pattern in self._patterns)
        )


def _relative(text: str) -> str:
    return text.removeprefix("/")


def _match(patterns: Sequence[_NamePattern], name: str) -> bool:
    return any(pattern.matches(name) for pattern in patterns)


def _text(argument: str, patterns: Sequence[_NamePattern]) -> str:
    texts = [pattern.text for pattern in patterns]
    return f"{argument}={texts[0]!r}" if len(texts) == 1 else f"{argument}={texts!r}"


def _parsed(argument: str, patterns: Patterns, owner: str) -> tuple[_NamePattern, ...]:
    """Return the patterns, none twice, in an order that does not depend on the caller's."""
    if patterns is None:
        return ()
    texts = [patterns] if isinstance(patterns, str) else list(patterns)
    if not texts or not all(isinstance(text, str) and text.strip("/") for text in texts):
        raise ConfigError(
            f'<{owner}> {argument}={patterns!r}: a pattern is needed, or several, as in "*.jpg"'
        )
    return tuple(map(_NamePattern, sorted(set(texts))))
