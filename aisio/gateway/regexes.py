"""Regular expressions of clients, searched for such that none can stop the server.

`re` goes back and tries again, for ever where an expression is made for that, and holds the
interpreter's lock meanwhile: not even a thread of its own would leave the server its time.
AIStore's expressions are Go's, which take linear time. So all but the simplest are searched for in
a process of their own, which ends after a while.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

LIMIT_S = 3.0
"""How long one expression may take for all the names of one archive."""

_LONG_NAME = 1024
_COSTLY = re.compile(r"[*+?{(]")
_PROGRAM = """
import json, re, sys
pattern, names = json.load(sys.stdin)
search = re.compile(pattern).search
json.dump([search(name) is not None for name in names], sys.stdout)
"""


class SlowRegexError(Exception):
    """The expression was not done in time."""


def is_quick(pattern: str, longest: int = 0) -> bool:
    """Tell whether an expression is surely done with a name within milliseconds.

    One repetition, or one group, leaves only so many ways to go back: the square of the name's
    length at most. Two can multiply.

    Args:
        pattern: The expression.
        longest: Length of the longest name.
    """
    return longest <= _LONG_NAME and len(_COSTLY.findall(pattern)) <= 1


def search_each(pattern: str, names: Sequence[str], *, limit_s: float = LIMIT_S) -> list[bool]:
    """Tell of each name whether a valid expression is found in it.

    Args:
        pattern: The expression.
        names: Where to search.
        limit_s: How long that may take, unless the search is a quick one.

    Raises:
        SlowRegexError: It takes longer.
    """
    if is_quick(pattern, max(map(len, names), default=0)):
        search = re.compile(pattern).search
        return [search(name) is not None for name in names]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps([pattern, names]).encode(),
            stdout=subprocess.PIPE,
            timeout=limit_s,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise SlowRegexError(f"{pattern!r} takes too long: over {limit_s:g} s") from None
    found: list[bool] = json.loads(done.stdout)
    return found
