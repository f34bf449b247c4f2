"""Errors for sources and prefixes without objects: one that is misspelt must not pass for empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from aisio.errors import NotFoundError
from aisio.skipped import SkippedNames

__all__ = [
    "ALLOW_EMPTY_HINT",
    "no_name_begins_so",
    "nothing_found",
    "require_some",
]

T = TypeVar("T")

_WILDCARDS = "'*' stands for no '/', '**/' for any folders"

ALLOW_EMPTY_HINT = " (allow_empty=True reads nothing instead)"
"""Ends the text of `nothing_found`; commands, which have no such argument, leave it out."""


def nothing_found(
    about: str, *, prefix: str = "", skipped: SkippedNames | None = None, why: str = ""
) -> NotFoundError:
    """Return the error for a source that has nothing to read.

    Args:
        about: The source, as the user named it.
        prefix: What was to be read of it.
        skipped: The objects that it has and that were skipped.
        why: Why the source has no object at all; see `Source.why_empty`.
    """
    where = f"{about}, prefix {prefix!r}" if prefix else about
    if skipped:
        text = f"nothing to read: {skipped}"
    elif why and not prefix:
        text = f"nothing to read: {why}"
    elif "*" in where:
        text = f"no name matches; {_WILDCARDS}"
    else:
        text = "there is no such object, nor a name that begins with this; is it misspelt?"
    return NotFoundError(f"{where}: {text}{ALLOW_EMPTY_HINT}", url=about)


def no_name_begins_so(about: str, hint: str = "") -> NotFoundError:
    """Return the error for a prefix, or a pattern, of a command that stands for nothing.

    Args:
        about: The URL or the name in a catalog, as the user wrote it.
        hint: What the user may have meant.
    """
    text = f"{about}: no object has a name that begins with this"
    if not hint and any(mark in about for mark in "*?[{"):
        hint = f"as a pattern it matches none: {_WILDCARDS}"
    return NotFoundError(f"{text}; {hint}" if hint else text, url=about)


def require_some(items: Iterator[T], about: str, *, prefix: str = "", why: str = "") -> Iterator[T]:
    """Yield all items of a source; the other arguments are as for `nothing_found`.

    Raises:
        NotFoundError: There is no item.
    """
    is_empty = True
    for item in items:
        is_empty = False
        yield item
    if is_empty:
        raise nothing_found(about, prefix=prefix, why=why)
