"""How the gateway logs to stderr: a record as one line, and repeated warnings rarely."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from aisio.escapes import one_line, visible

PERIOD_S = 60.0
"""After a warning, none of the same kind is written for so long."""


class OneLineFormatter(logging.Formatter):
    """Formats a message as one line and a traceback as several, without control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message of a record, as one line."""
        return one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return a record with its traceback."""
        return visible(super().format(record))


class RateLimitedLog:
    """Writes warnings of one kind, once in a period; says how many it has suppressed.

    Args:
        log: Where they go.
        period_s: How long nothing is written after a warning, in seconds.
        clock: Returns the time in seconds.
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
        self._suppressed = 0

    def warning(self, text: str) -> None:
        """Write a warning, or only count it."""
        now_s = self._clock()
        if self._next_s is not None and now_s < self._next_s:
            self._suppressed += 1
            return
        more = (
            f" ({self._suppressed:,} such events since the last warning)"
            if self._suppressed
            else ""
        )
        self._log.warning("%s%s", text, more)
        self._next_s, self._suppressed = now_s + self._period_s, 0
