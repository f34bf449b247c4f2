"""What the gateway writes to stderr: one line for one record, and seldom the same one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

PERIOD_S = 60.0
"""How often the same kind of warning is written at most."""

_ESCAPES = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)]}


def escaped(text: str) -> str:
    r"""Return text with its control characters as \x1b: a terminal might obey them."""
    return text if text.isprintable() else text.translate(_ESCAPES)


class OneLineFormatter(logging.Formatter):
    """Writes messages as one line each, and tracebacks line by line, without control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message of a record."""
        return escaped(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return all of a record."""
        return "\n".join(map(escaped, super().format(record).split("\n")))


class SeldomLog:
    """Writes warnings of one kind, once in a period; says how many it has left out.

    Args:
        log: Where to.
        period_s: How long nothing is written after a warning, in seconds.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        log: logging.Logger,
        *,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._period_s = period_s
        self._clock = clock
        self._next_s: float | None = None
        self._left_out = 0

    def warning(self, text: str) -> None:
        """Write a warning, or count it."""
        now_s = self._clock()
        if self._next_s is not None and now_s < self._next_s:
            self._left_out += 1
            return
        more = f" ({self._left_out:,} such events since the last warning)" if self._left_out else ""
        self._log.warning("%s%s", text, more)
        self._next_s, self._left_out = now_s + self._period_s, 0
