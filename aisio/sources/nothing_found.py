"""A source without objects is an error: perhaps a prefix is misspelt, or a file is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from aisio.errors import NotFoundError
from aisio.left_out import LeftOut

__all__ = [
    "ALLOW_EMPTY_HINT",
    "no_name_begins_so",
    "nothing_found",
    "pattern_hint",
    "require_some",
]

T = TypeVar("T")

ALLOW_EMPTY_HINT = " (allow_empty=True reads nothing instead)"
"""Ends the text of `nothing_found`; commands, which have no such argument, leave it out."""


def nothing_found(
    about: str, *, prefix: str = "", left_out: LeftOut | None = None
) -> NotFoundError:
    """Return the error for a source that has nothing to read.

    Args:
        about: The source, as the user named it.
        prefix: What was to be taken from it.
        left_out: What it has all the same.
    """
    where = f"{about}, prefix {prefix!r}" if prefix else about
    if left_out:
        text = f"nothing is left to read: {left_out}"
    elif "*" in where:
        text = "no name matches; '*' stands for no '/', '**/' for any folders"
    else:
        text = "there is no such object, nor one whose name begins so; look for a misspelt name"
    return NotFoundError(f"{where}: {text}{ALLOW_EMPTY_HINT}", url=about)


def no_name_begins_so(about: str, hint: str = "") -> NotFoundError:
    """Return the error for a plain-string prefix of a command that matches nothing.

    Args:
        about: The URL or the name in a catalog, as it is shown to the user.
        hint: What may have been meant; without it, what `pattern_hint` says.
    """
    told = hint or pattern_hint(about)
    text = f"{about}: no object has a name that begins so"
    return NotFoundError(f"{text}; {told}" if told else text, url=about)


def pattern_hint(text: str) -> str:
    """Return what to say to somebody who gave a command a pattern; "" where it is none."""
    if not any(mark in text for mark in "*?[{"):
        return ""
    return "commands read '*', '?', '[' and '{' as text, only datasets and datapipes as patterns"


def require_some(items: Iterator[T], about: str, *, prefix: str = "") -> Iterator[T]:
    """Yield all items of a source; for the arguments see `nothing_found`.

    Raises:
        NotFoundError: There is none.
    """
    found = False
    for item in items:
        found = True
        yield item
    if not found:
        raise nothing_found(about, prefix=prefix)
