"""LeastRate: a line that gives a few bytes now and then never stalls, and never ends."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import perf_counter

from aisio.errors import StoreTimeoutError
from aisio.records import Timeouts

FLUSH_SLOW_DATA_AFTER_S = 0.25
"""A slow line's bytes are handed over bit by bit: who reads them is to see how slow it is."""


class LowSpeedLimit:
    """Adds up what a body gave while it was waited for, window by window.

    Only the time spent in reads counts: a consumer may pause for as long as it likes. Nor does a
    server pay for thinking before it sends the first byte, as a transformation or a batch needs it.

    Args:
        bytes_per_s: What a line must give on average over a window.
        over_s: Length of a window, in seconds of waiting.
        now: A clock that never goes back, in seconds.
        first_s: How much of a connection's first read may be thinking, in seconds.
    """

    __slots__ = ("_bytes", "_bytes_per_s", "_first_s", "_over_s", "_thinks_s", "_waited_s", "now")

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
        self._first_s = self._thinks_s = first_s
        self.now = now

    @classmethod
    def of(cls, timeouts: Timeouts) -> LowSpeedLimit | None:
        """Return what these settings ask for; None for nothing."""
        if timeouts.least_bytes_per_s is None:
            return None
        first_s = inf if timeouts.read_s is None else timeouts.read_s
        return cls(timeouts.least_bytes_per_s, timeouts.slow_s, first_s=first_s)

    def __str__(self) -> str:
        return f"{self._bytes_per_s:,.0f} bytes/s over {self._over_s:g} s"

    def add(self, count: int, waited_s: float) -> None:
        """Note that so many bytes came, after so many seconds."""
        if self._thinks_s:
            waited_s -= self._thinks_s
            waited_s = waited_s if waited_s > 0 else 0.0  # half of what max() takes
            self._thinks_s = 0.0
        self._bytes += count
        self._waited_s += waited_s

    def is_missed(self) -> bool:
        """Tell whether a window has passed with too few bytes; each is judged once."""
        if self._waited_s < self._over_s:
            return False
        missed = self._bytes < self._bytes_per_s * self._waited_s
        self._bytes, self._waited_s = 0, 0.0
        return missed

    def error(self, what: str, url: str | None = None) -> StoreTimeoutError:
        """Return the error for a body that missed it.

        Args:
            what: Was asked for.
            url: Of the object.
        """
        return StoreTimeoutError(
            f"{what}: the body came too slowly, with less than {self}", url=url
        )

    def begin(self) -> None:
        """Begin with the first read of a new connection."""
        self._bytes, self._waited_s = 0, 0.0
        self._thinks_s = self._first_s
