"""Numbers that a request to AIStore can carry.

AIStore reads whole numbers as Go's int64, and not all of its code checks them: a page size of -1
ends the process of every target (release 5.0, xact/xs/lso.go). So arguments are checked before a
request is sent.
"""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real
from typing import Any

MAX_INT64 = (1 << 63) - 1


def is_whole(value: Any, minimum: int = 0) -> bool:
    """Tell whether a value is a whole number from `minimum` to MAX_INT64."""
    return isinstance(value, (int, Integral)) and minimum <= int(value) <= MAX_INT64


def is_positive(value: Any) -> bool:
    """Tell whether a value is a number above zero, and neither infinite nor NaN."""
    return isinstance(value, (float, Real)) and float(value) > 0 and isfinite(value)
