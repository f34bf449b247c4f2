"""Regular expressions of clients, compiled and searched for such that none can stop the server.

AIStore's expressions are Go's, which take linear time. Python's `re` goes back and tries again, for
ever where an expression is made for that, can take seconds to compile one, and holds the
interpreter's lock meanwhile: not even a thread of its own would leave the server its time. So only
expressions that are plain text, or nearly so, are searched for here. All others go to a process of
their own, whose time and memory are limited.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

LIMIT_S = 3
"""How much of a processor's time one expression may take for all the names of one archive."""

PATIENCE_S = 30.0
"""How long it may take in all: on a machine that others keep busy, even Python's start is slow."""

_QUICK_STEPS = 5_000_000  # about 0.1 s
_MOST_MEMORY_BYTES = 2 << 30
# Repetitions, groups (and with them flags), sets and choices.
_COSTLY = re.compile(r"[*+?{(\[|]")
_PROGRAM = """
import json, re, resource, sys
seconds, memory, pattern, names = json.load(sys.stdin)
for kind, limit in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory)):
    try:
        resource.setrlimit(kind, (limit, limit))
    except (OSError, ValueError):
        pass  # macOS does not limit memory
try:
    search = re.compile(pattern).search
    result = [search(name) is not None for name in names]
except (re.error, OverflowError, RecursionError, MemoryError) as error:
    result = str(error) or type(error).__name__
json.dump(result, sys.stdout)
"""


class RegexError(Exception):
    """The expression is none, or was not done in time."""


def is_quick(pattern: str, names: Sequence[str]) -> bool:
    """Tell whether an expression is surely compiled, and searched for in all names, in an instant.

    Without repetitions, sets and choices each of its characters is compared with each character of
    a name once at most.
    """
    if _COSTLY.search(pattern):
        return False
    return len(pattern) * sum(map(len, names)) <= _QUICK_STEPS


def search_each(
    pattern: str, names: Sequence[str], *, limit_s: int = LIMIT_S, patience_s: float = PATIENCE_S
) -> list[bool]:
    """Tell of each name whether an expression is found in it.

    Args:
        pattern: The expression.
        names: Where to search.
        limit_s: How much of a processor's time that may take, unless it is a quick one.
        patience_s: How long it may take in all.

    Raises:
        RegexError: It takes longer, or is no regular expression.
    """
    if not is_quick(pattern, names):
        return _search_apart(pattern, names, limit_s, patience_s)
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise RegexError(f"{pattern!r}: {error}") from None
    return [search(name) is not None for name in names]


def _search_apart(
    pattern: str, names: Sequence[str], limit_s: int, patience_s: float
) -> list[bool]:
    message = [limit_s, _MOST_MEMORY_BYTES, pattern, names]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps(message).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # re warns of what it will read otherwise one day
            timeout=patience_s,
            check=True,
        )
    except subprocess.CalledProcessError:
        told = f"takes too long: over {limit_s} s of a processor's time"
        raise RegexError(f"{pattern[:200]!r} {told}") from None
    except subprocess.TimeoutExpired:
        raise RegexError(f"{pattern[:200]!r} takes too long: over {patience_s:g} s") from None
    result: list[bool] | str = json.loads(done.stdout)
    if isinstance(result, str):
        raise RegexError(f"{pattern[:200]!r}: {result}")
    return result
