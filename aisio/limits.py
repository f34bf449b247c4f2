"""Numbers that a request can carry: others fail in a server, or mean something else there.

AIStore reads whole numbers as Go's int64. Not all of its code looks at them: a page size of -1 ends
the process of every target (release 5.0, xact/xs/lso.go).
"""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real
from typing import Any

MOST_WHOLE = (1 << 63) - 1


def is_whole(value: Any, least: int = 0) -> bool:
    """Tell whether a value is a whole number, not below `least`, that AIStore can read."""
    return isinstance(value, (int, Integral)) and least <= int(value) <= MOST_WHOLE


def is_positive(value: Any) -> bool:
    """Tell whether a value is a number above zero, and neither infinite nor NaN."""
    return isinstance(value, (float, Real)) and float(value) > 0 and isfinite(value)
