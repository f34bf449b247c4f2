"""How the gateway logs: a record as one line, repeated warnings rarely, the last ones in memory."""

from __future__ import annotations

import logging
import platform
import time
from collections import deque
from collections.abc import Callable

from aisio.escapes import one_line, visible
from aisio.redaction import redacted
from aisio.version import __version__

PERIOD_S = 60.0
"""After a warning, none of the same kind is written for so long."""


class OneLineFormatter(logging.Formatter):
    """Formats a message as one line and a traceback as several.

    There are no control characters in them, nor the signatures and tokens of URLs.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message of a record, as one line."""
        return one_line(redacted(super().formatMessage(record)))

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


class RecentLog(logging.Handler):
    """Keeps the last records that were logged, for clients that ask for a node's log.

    Args:
        max_records: How many.
    """

    def __init__(self, max_records: int = 2000) -> None:
        super().__init__()
        started = time.strftime("%Y/%m/%d %H:%M:%S")
        self._first = f"Started up at {started}, host {platform.node()}, aisio {__version__}"
        self._lines: deque[tuple[str, str]] = deque(maxlen=max_records)
        self.setFormatter(OneLineFormatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        severity = "E" if record.levelno >= logging.ERROR else record.levelname[0]
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        place = f"{record.module}:{record.lineno}"
        text = f"{severity} {clock}.{int(record.msecs):03d} {place} {self.format(record)}"
        self._lines.append((severity, text))

    def text(self, least: str = "I") -> str:
        """Return the records of a severity or a higher one, a line each, as AIStore writes them.

        Args:
            least: "I", "W" or "E".
        """
        wanted = "IWE"[("IWE".index(least)) :]
        self.acquire()  # threads log meanwhile
        try:
            lines = [text for severity, text in self._lines if severity in wanted]
        finally:
            self.release()
        return "\n".join([self._first, *lines, ""])
