r"""Control characters in text that is shown, as in Python's source: \x1b, \n, \u202e. Pure.

Object names and what servers answer may hold anything; a terminal obeys some of it, and a line
break makes two lines of a log out of one. Text that holds none comes back as it is, and so does
text that has been here before.
"""

from __future__ import annotations

import re

__all__ = ["one_line", "visible"]

# C0 and C1; line and paragraph separators; what changes the direction of text; lone surrogates,
# which cannot be written at all.
_OBEYED = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_BUT_BREAKS = re.compile(f"[{_OBEYED}]")
_ALL = re.compile(f"[{_OBEYED}\t\n]")


def visible(text: str) -> str:
    """Return text of one or more lines, with its control characters but tabs escaped."""
    return text if text.isprintable() else _BUT_BREAKS.sub(_escaped, text)


def one_line(text: str) -> str:
    """Return text as one line, with all of its control characters escaped."""
    return text if text.isprintable() else _ALL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
