"""LowSpeedLimit: gives up a body that comes too slowly, as curl's option of this name does.

A connection that delivers a few bytes now and then never runs into a read timeout, and never ends.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import perf_counter

from aisio.errors import StoreTimeoutError
from aisio.records import Timeouts

FLUSH_SLOW_DATA_AFTER_S = 0.25
"""A reader below this limit returns what it has after this time, so that the limit sees how slowly
the bytes come."""


class LowSpeedLimit:
    """Compares the speed of a body with a limit, window by window.

    Only the time inside reads counts: a consumer may pause for as long as it likes. Nor does the
    time count that a server needs for the first byte, as for a transformation or a batch.

    Args:
        bytes_per_s: The speed that a body must have on average over a window.
        over_s: The length of a window, in seconds of waiting.
        now: A clock that never goes back, in seconds.
        first_s: How much of the first read of a connection does not count, in seconds.
    """

    __slots__ = (
        "_bytes",
        "_bytes_per_s",
        "_first_s",
        "_over_s",
        "_uncounted_s",
        "_waited_s",
        "now",
    )

    def __init__(
        self,
        bytes_per_s: float,
        over_s: float,
        now: Callable[[], float] = perf_counter,
        *,
        first_s: float = 0.0,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._over_s = over_s
        self._bytes = 0
        self._waited_s = 0.0
        self._first_s = self._uncounted_s = first_s
        self.now = now

    @classmethod
    def of(cls, timeouts: Timeouts) -> LowSpeedLimit | None:
        """Return the limit of these settings; None where they have none."""
        if timeouts.least_bytes_per_s is None:
            return None
        first_s = inf if timeouts.read_s is None else timeouts.read_s
        return cls(timeouts.least_bytes_per_s, timeouts.slow_s, first_s=first_s)

    def __str__(self) -> str:
        return f"{self._bytes_per_s:,.0f} bytes/s over {self._over_s:g} s"

    def add(self, count: int, waited_s: float) -> None:
        """Note that so many bytes came, after so many seconds."""
        if self._uncounted_s:
            waited_s -= self._uncounted_s
            waited_s = waited_s if waited_s > 0 else 0.0  # half of what max() takes
            self._uncounted_s = 0.0
        self._bytes += count
        self._waited_s += waited_s

    def is_missed(self) -> bool:
        """Tell whether a window has ended with too few bytes; each window is judged once."""
        if self._waited_s < self._over_s:
            return False
        missed = self._bytes < self._bytes_per_s * self._waited_s
        self._bytes, self._waited_s = 0, 0.0
        return missed

    def error(self, what: str, url: str | None = None) -> StoreTimeoutError:
        """Return the error for a body that was too slow.

        Args:
            what: The request, as in "GET ais://b/o".
            url: The object's URL.
        """
        return StoreTimeoutError(
            f"{what}: the body came too slowly, with less than {self}", url=url
        )

    def begin_connection(self) -> None:
        """Start anew: the next read is the first one of another connection."""
        self._bytes, self._waited_s = 0, 0.0
        self._uncounted_s = self._first_s
