"""Checks arguments and states that count something."""

from __future__ import annotations

import operator

from aisio.errors import ConfigError

__all__ = ["whole_number"]


def whole_number(name: str, value: object, at_least: int) -> int:
    """Return a value as an int.

    Raises:
        ConfigError: It is no whole number, such as 1.0 or True, or is too small.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < at_least:
        raise ConfigError(f"{name}={value!r} is not a whole number of at least {at_least}")
    return number
