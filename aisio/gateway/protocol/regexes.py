"""Searches for regular expressions from clients, so that none of them can block the server.

AIStore uses Go's expressions, which take linear time. Python's `re` backtracks, which can take
exponential time, needs seconds to compile some expressions, and holds the interpreter's lock
meanwhile: even in a thread it would block the server. So only expressions that are plain text, or
nearly so, are searched for in this process. All others go to a subprocess with limited time and
memory.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

MAX_CPU_S = 3
"""How much CPU time one expression may take for all the names of one archive."""

TIMEOUT_S = 30.0
"""How long it may take in all: on a busy machine even the start of Python is slow."""

_CHEAP_STEPS = 5_000_000  # about 0.1 s
_MAX_MEMORY_BYTES = 2 << 30
# Repetitions, groups (and so flags), sets and alternatives.
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
    """The expression is invalid, or the search took too long."""


def is_cheap(pattern: str, names: Sequence[str]) -> bool:
    """Tell whether it surely takes an instant to compile an expression and search all names.

    Without repetitions, sets and alternatives, each of its characters is compared with each
    character of a name at most once.
    """
    if _COSTLY.search(pattern):
        return False
    return len(pattern) * sum(map(len, names)) <= _CHEAP_STEPS


def search_each(
    pattern: str, names: Sequence[str], *, max_cpu_s: int = MAX_CPU_S, timeout_s: float = TIMEOUT_S
) -> list[bool]:
    """Return, for each name, whether an expression is found in it.

    Args:
        pattern: The expression.
        names: Where to search.
        max_cpu_s: How much CPU time that may take, unless the expression is a cheap one.
        timeout_s: How long it may take in all.

    Raises:
        RegexError: It takes longer, or is not a regular expression.
    """
    if not is_cheap(pattern, names):
        return _search_in_subprocess(pattern, names, max_cpu_s, timeout_s)
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise RegexError(f"{pattern!r}: {error}") from None
    return [search(name) is not None for name in names]


def _search_in_subprocess(
    pattern: str, names: Sequence[str], max_cpu_s: int, timeout_s: float
) -> list[bool]:
    message = [max_cpu_s, _MAX_MEMORY_BYTES, pattern, names]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps(message).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # re warns of syntax that will change
            timeout=timeout_s,
            check=True,
        )
    except subprocess.CalledProcessError:
        why = f"takes too long: over {max_cpu_s} s of CPU time"
        raise RegexError(f"{pattern[:200]!r} {why}") from None
    except subprocess.TimeoutExpired:
        raise RegexError(f"{pattern[:200]!r} takes too long: over {timeout_s:g} s") from None
    result: list[bool] | str = json.loads(done.stdout)
    if isinstance(result, str):
        raise RegexError(f"{pattern[:200]!r}: {result}")
    return result
