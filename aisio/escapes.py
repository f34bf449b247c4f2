r"""Text that is shown: control characters escaped, as Python's source does (\x1b, \n, \u202e).

Object names and what servers answer may hold any character. A terminal acts on some of them, and a
line break makes two lines of a log out of one. Text without control characters, escaped text
included, is returned unchanged. Long lists are shown by their first few items.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

__all__ = ["SURROGATE_ESCAPES", "first_and_count", "first_few", "one_line", "visible"]

SURROGATE_ESCAPES = frozenset(map(chr, range(0xDC80, 0xDD00)))
"""Characters that stand for bytes that are not UTF-8 (PEP 383); b"\\xe9" is shown as \\xe9."""

# C0 and C1; line and paragraph separators; changes of the direction of text; lone surrogates,
# which cannot be encoded.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Return text of any number of lines with its control characters, except tabs, escaped."""
    return one_line(text, keep="\t\n")


def one_line(text: str, *, keep: Container[str] = "") -> str:
    """Return text as one line, with its control characters escaped.

    Args:
        text: Any text.
        keep: Characters that are not escaped.
    """
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda match: match[0] if match[0] in keep else _escaped(match[0]), text)


def first_few(items: Sequence[object], most: int = 3) -> str:
    """Return the first items as text, with "..." for the others: "a, b, c, ..."."""
    return ", ".join(map(str, items[:most])) + ", ..." * (len(items) > most)


def first_and_count(items: Sequence[object], shown: int = 3) -> str:
    """Return the first items as text, with the number of the others: "a, b, c and 1,204 more"."""
    more = len(items) - shown
    return ", ".join(map(str, items[:shown])) + (f" and {more:,} more" if more > 0 else "")


def _escaped(character: str) -> str:
    if character in SURROGATE_ESCAPES:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
