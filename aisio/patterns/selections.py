"""Selections: the objects that the text of a URL, or of a prefix map, selects.

    train/                  all objects whose names begin so; "" for all of the bucket
    train/1.jpg             the object of exactly this name; if there is none, a prefix
    train-{000..099}.tar    these objects, without looking them up: see `aisio.patterns.braces`
    {train,val}/            two prefixes
    train-*.tar             the objects whose whole names match

Wildcards are those of a shell: `*` stands for any characters except "/", `?` for one of them,
`[ab]` and `[a-z]` for one of these, `[!ab]` for one of the others, and `**/` for any number of
folders, also none. A pattern that ends in "/" or "/**" selects all objects below the folders that
match.

A pattern is literal text if an object of exactly that name exists, or if it matches nothing and
names begin with its text. A single character in brackets is literal: [*], [?], [[], [{].
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

from aisio.errors import UrlError
from aisio.patterns.braces import Braces

__all__ = ["Selection", "Selections"]

_PIECE = re.compile(r"\*|\?|\[(?:![^/]|[^!/])[^\]/]*\]|[^*?\[]+|\[")
_ESCAPES = frozenset(f"[{character}]" for character in "*?[]{},")
_ANY_FOLDERS = None
"""Stands for `**` among the parts of a pattern."""


class Pattern:
    """Wildcards that are matched against whole names, folder by folder.

    The time is bounded by the product of the numbers of parts, where one regular expression for the
    whole pattern could need exponential time.

    Args:
        text: As in train/*.tar.

    Raises:
        UrlError: `**` is a part of a folder's name.
    """

    def __init__(self, text: str) -> None:
        parts = text.split("/")
        if any("**" in part and part != "**" for part in parts):
            raise UrlError(f"{text!r}: '**' stands for whole folders, as in **/*.tar")
        if parts[-1] == "":
            parts[-1] = "**"
        if parts[-1] == "**":
            parts.append("*")
        self._parts = [
            _ANY_FOLDERS if part == "**" else re.compile(translate(part)).match for part in parts
        ]

    def matches(self, name: str) -> bool:
        """Tell whether the pattern matches a name."""
        parts, folders = self._parts, name.split("/")
        part = folder = 0
        last_any: tuple[int, int] | None = None  # of the last `**`, and of the folder behind it
        while folder < len(folders):
            matcher = parts[part] if part < len(parts) else None
            if part < len(parts) and matcher is _ANY_FOLDERS:
                last_any = part, folder
                part += 1
            elif matcher is not None and matcher(folders[folder]):
                part, folder = part + 1, folder + 1
            elif last_any is not None:  # backtrack: the last `**` matches one folder more
                part, folder = last_any[0] + 1, last_any[1] + 1
                last_any = last_any[0], folder
            else:
                return False
        return part == len(parts)


@dataclass(frozen=True)
class Selection:
    """One expansion of a text's braces.

    Attributes:
        text: The expansion.
        start: The literal text before the first wildcard: the whole text if there is none.
        pattern: Its wildcards; None if there are none.
        is_expanded: The text has braces.
    """

    text: str
    start: str
    pattern: Pattern | None
    is_expanded: bool

    @property
    def may_be_object(self) -> bool:
        """Whether an object can have exactly this name."""
        return bool(self.text) and not self.text.endswith("/")

    @property
    def is_complete(self) -> bool:
        """Whether it names one object, which need not be looked up."""
        return self.is_expanded and self.pattern is None and self.may_be_object

    @property
    def literal(self) -> str:
        """The name of the object, if the text is a name and not a pattern."""
        return self.text if self.pattern is not None else self.start


class Selections:
    """All selections of a text, in the order in which its braces make them.

    Args:
        text: The name of a URL, or a value of a prefix map.

    Raises:
        UrlError: Braces or wildcards are not valid.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._braces = Braces(text)
        self._first = next(iter(self))

    def __iter__(self) -> Iterator[Selection]:
        is_expanded = not self._braces.is_plain
        return (_selection(text, is_expanded) for text in self._braces)

    @property
    def start(self) -> str:
        """The literal text that all names begin with."""
        return _fixed(self._braces.start)[0]

    @property
    def is_prefix(self) -> bool:
        """Whether it can only be a folder or a bucket."""
        first = self._first
        return first.pattern is None and not first.is_expanded and not first.may_be_object

    @property
    def single(self) -> Selection | None:
        """The only selection, if there are neither braces nor wildcards; else None."""
        first = self._first
        return None if first.is_expanded or first.pattern is not None else first

    def names_object(self, name: str) -> bool:
        """Tell whether the text names this object itself, and does not just match it."""
        first = self._first
        if not first.is_expanded:
            return first.literal == name
        return self._are_complete or any(
            selection.is_complete and selection.start == name for selection in self
        )

    @cached_property
    def _are_complete(self) -> bool:
        return all(selection.is_complete for selection in self)


def _selection(text: str, is_expanded: bool) -> Selection:
    start, is_whole = _fixed(text)
    return Selection(text, start, None if is_whole else Pattern(text), is_expanded)


def _fixed(text: str) -> tuple[str, bool]:
    """Return the literal text before the first wildcard, and whether that is all of it."""
    fixed: list[str] = []
    for piece in _PIECE.findall(text):
        if piece in "*?" or (_is_class(piece) and piece not in _ESCAPES):
            return "".join(fixed), False
        fixed.append(piece[1] if piece in _ESCAPES else piece)
    return "".join(fixed), True


def _is_class(piece: str) -> bool:
    return len(piece) > 2 and piece[0] == "[" and piece[-1] == "]"
