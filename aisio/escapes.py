r"""Control characters in text that is shown, as in Python's source: \x1b, \n, \u202e. Pure.

Object names and what servers answer may hold anything; a terminal obeys some of it, and a line
break makes two lines of a log out of one. Text that holds none comes back as it is, and so does
text that has been here before.
"""

from __future__ import annotations

import re
from collections.abc import Container

__all__ = ["ODD_BYTES", "one_line", "visible"]

ODD_BYTES = frozenset(map(chr, range(0xDC80, 0xDD00)))
"""What stands for the bytes of a name that are not UTF-8 (PEP 383); b"\\xe9" is shown as \\xe9."""

# C0 and C1; line and paragraph separators; what changes the direction of text; lone surrogates,
# which cannot be written at all.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Return text of one or more lines, with its control characters but tabs escaped."""
    return one_line(text, keep="\t\n")


def one_line(text: str, *, keep: Container[str] = "") -> str:
    """Return text as one line, with its control characters escaped.

    Args:
        text: Any text.
        keep: Characters to leave as they are.
    """
    if text.isprintable():
        return text
    return _OBEYED.sub(lambda match: match[0] if match[0] in keep else _escaped(match[0]), text)


def _escaped(character: str) -> str:
    if character in ODD_BYTES:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
