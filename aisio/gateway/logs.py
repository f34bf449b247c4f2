"""What the gateway writes to stderr: one line for one record, and seldom the same one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from aisio.escapes import one_line, visible

PERIOD_S = 60.0
"""How often the same kind of warning is written at most."""


class OneLineFormatter(logging.Formatter):
    """Writes a message as one line, and a traceback line by line, without control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message of a record."""
        return one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return all of a record."""
        return visible(super().format(record))


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
