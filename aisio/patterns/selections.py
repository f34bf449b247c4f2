"""Selections: which objects the text of a URL, or of a prefix map, stands for. Pure.

    train/                  all objects whose names begin so; "" for all of the bucket
    train/1.jpg             the object of exactly this name; where there is none, a prefix
    train-{000..099}.tar    these objects, which are not looked up: see `aisio.patterns.braces`
    {train,val}/            two prefixes
    train-*.tar             the objects whose whole names match

Wildcards are those of a shell: `*` stands for any characters but "/", `?` for one of them, `[ab]`
and `[a-z]` for one of these, `[!ab]` for another one, and `**/` for any folders, or none. With "/"
or "/**" at its end, a pattern takes all that is below the folders that match.

A character is literal where an object of exactly that name exists, where a pattern would match
nothing and names begin with its text, and in brackets by itself: [*], [?], [[], [{].
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
_FOLDERS = None
"""Stands for any number of folders in a pattern."""


class Pattern:
    """Wildcards, matched against whole names folder by folder: so time cannot grow without bound.

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
            _FOLDERS if part == "**" else re.compile(translate(part)).match for part in parts
        ]

    def matches(self, name: str) -> bool:
        """Tell whether the pattern matches a name."""
        parts, names = self._parts, name.split("/")
        at = here = 0
        again: tuple[int, int] | None = None
        while here < len(names):
            matcher = parts[at] if at < len(parts) else None
            if at < len(parts) and matcher is _FOLDERS:
                again = at, here
                at += 1
            elif matcher is not None and matcher(names[here]):
                at, here = at + 1, here + 1
            elif again is not None:  # the last `**` takes one folder more
                at, here = again[0] + 1, again[1] + 1
                again = again[0], here
            else:
                return False
        return at == len(parts)


@dataclass(frozen=True)
class Selection:
    """What is left of a text when its braces are expanded.

    Attributes:
        text: As it is written.
        start: What the names begin with, literally: all of the text where it has no wildcards.
        pattern: Its wildcards; None where there are none.
        is_expanded: It was made by braces.
    """

    text: str
    start: str
    pattern: Pattern | None
    is_expanded: bool

    @property
    def may_be_object(self) -> bool:
        """An object can have exactly this name."""
        return bool(self.text) and not self.text.endswith("/")

    @property
    def is_complete(self) -> bool:
        """It names one object, which need not be looked up."""
        return self.is_expanded and self.pattern is None and self.may_be_object

    @property
    def literal(self) -> str:
        """The name that it would be if an object had exactly this one."""
        return self.text if self.pattern is not None else self.start


class Selections:
    """All selections of a text, in the order in which its braces make them.

    Args:
        text: What a URL says behind its bucket, or a prefix map.

    Raises:
        UrlError: Braces or wildcards that cannot be meant.
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
        """What all names begin with, literally."""
        return _fixed(self._braces.start)[0]

    @property
    def is_prefix(self) -> bool:
        """It is a folder or a bucket, and nothing else."""
        first = self._first
        return first.pattern is None and not first.is_expanded and not first.may_be_object

    @property
    def single(self) -> Selection | None:
        """The selection, where neither braces nor wildcards make it several objects or prefixes."""
        first = self._first
        return None if first.is_expanded or first.pattern is not None else first

    def names_object(self, name: str) -> bool:
        """Tell whether an object that was found is named here, not just met below a prefix."""
        first = self._first
        if not first.is_expanded:
            return first.literal == name
        return self._are_complete or any(one.is_complete and one.start == name for one in self)

    @cached_property
    def _are_complete(self) -> bool:
        return all(one.is_complete for one in self)


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
