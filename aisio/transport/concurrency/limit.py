"""AdaptiveLimit: how many reads should be in flight, learned from their speed. No I/O.

It first probes with two reads at a time. If half of a read is CPU time of this process, more
threads gain little. So the limit starts at the time of a read divided by its CPU time. It starts at
3 or more: a third thread can work while one waits and another wakes up. It starts at no more than
`start`, which reads over a network reach.

Then it climbs. Each window of results gives a rate. The limit is raised by half as long as each
step gains at least 5 %. If the first step gains less, the limit is lowered by a third instead, as
long as the rate stays within 2 % of the best: the same rate with fewer connections and bytes in
memory is better. The best limit is kept for a number of windows, then the climb begins again.

A window in which the reader hardly waited for the store says nothing about the store and does not
count. Reading the response to a request that was sent ahead counts as waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

from aisio.errors import StorageError, ThrottledError, UnavailableError
from aisio.records import Concurrency

__all__ = ["AdaptiveLimit"]


_PROBES = 6
_LIMIT_WHILE_PROBING = 2
_MIN_START = 3
_WINDOW_S = 0.25
_STEP = 1.5
_MIN_GAIN = 1.05
_MIN_KEEP = 0.98
_KEPT_WINDOWS = 40
_MIN_SLOW_DOWN_INTERVAL_S = 1.0

_REQUEST_COST_BYTES = 64 * 1024
"""A request takes about as long as this many bytes (0.3 ms). So windows with objects of different
sizes can be compared."""


class _Trial(Enum):
    UP = "up"
    DOWN = "down"


class AdaptiveLimit:
    """The number of reads that may be in flight; iterations may share it, and it pickles.

    It has many attributes, as it is the state of one algorithm: each step uses most of them.

    Args:
        concurrency: The bounds.
        now: A clock that never goes back, in seconds.

    Attributes:
        now: The clock.
        current: How many reads may be in flight now.
        maximum: The highest limit that it may try.
        max_bytes: How many bytes may be in flight or wait for their turn.
    """

    def __init__(
        self, concurrency: Concurrency | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        bounds = concurrency or Concurrency()
        self.now = now
        self.max_bytes = bounds.most_bytes
        self.maximum = bounds.most if bounds.fixed is None else bounds.fixed
        self._start = min(bounds.start, bounds.most) if bounds.fixed is None else bounds.fixed
        self._is_fixed = bounds.fixed is not None
        self._probes = 0 if self._is_fixed else _PROBES
        self._cpu_s = self._wall_s = float("inf")
        self.current = min(self._start, _LIMIT_WHILE_PROBING) if self._probes else self._start
        self._trial: _Trial | None = None
        self._base_limit = self.current
        self._base_rate = 0.0
        self._went_up = False
        self._keep_windows = 0
        self._slowed_at_s = float("-inf")
        self._last_s = now()
        self._begin_window()

    def start(self) -> None:
        """Record that reading begins, or continues after a pause."""
        self._last_s = self.now()

    @property
    def is_probing(self) -> bool:
        """Whether `record_read` should be called for each read."""
        return self._probes > 0

    def record_read(self, cpu_s: float, wall_s: float) -> None:
        """Record the processor time of a read's thread, and the whole time that the read took.

        The smallest of each counts: the first reads open connections, and some wait for another.
        """
        self._cpu_s, self._wall_s = min(self._cpu_s, cpu_s), min(self._wall_s, wall_s)

    def skip_probing(self) -> None:
        """Start without probing, as for large reads: several threads are always faster."""
        if self.is_probing:
            self._start_with(self._start)

    def _probed(self) -> None:
        self._probes -= 1
        known = 0.0 < self._cpu_s < float("inf")
        useful = int(self._wall_s / self._cpu_s) if known else self._start
        # Two reads over a network are enough: more of them would take longer than they can save.
        if self._probes < 1 or (known and useful >= self._start and self._probes <= _PROBES - 2):
            self._start_with(min(self._start, max(_MIN_START, useful)))

    def _start_with(self, limit: int) -> None:
        self._probes = 0
        self.current = self._base_limit = limit

    def record_delivery(self, size_bytes: int, waited_s: float) -> None:
        """Record that a result was yielded, in its turn.

        Args:
            size_bytes: The size of the result.
            waited_s: How long the reader waited for it.
        """
        if self._is_fixed:
            return
        now = self.now()
        if self.is_probing:
            self._last_s = now
            self._probed()
            return
        self._elapsed_s += now - self._last_s
        self._last_s = now
        self._waited_s += waited_s
        self._count += 1
        self._work += 1 + size_bytes / _REQUEST_COST_BYTES
        if self._elapsed_s >= _WINDOW_S and self._count >= 4 * self.current:
            if self._waited_s >= self._elapsed_s / 4:
                self._judge(self._work / self._elapsed_s)
            self._begin_window()

    def slow_down(self, error: StorageError) -> None:
        """Halve the limit after a failed try, if the store is overloaded or cannot be reached."""
        overloaded = isinstance(error, (ThrottledError, UnavailableError))
        now = self.now()
        if self._is_fixed or not overloaded or now - self._slowed_at_s < _MIN_SLOW_DOWN_INTERVAL_S:
            return  # reads that were in flight together fail together: they are one sign
        self._slowed_at_s = now
        if self.is_probing and not isinstance(error, ThrottledError):
            # A refusal shows that two reads are too many; a broken connection does not.
            self.current = self._start
        self._probes = 0
        self._settle(max(1, self.current // 2))
        self._begin_window()

    def _begin_window(self) -> None:
        self._elapsed_s = self._waited_s = self._work = 0.0
        self._count = 0

    def _judge(self, rate: float) -> None:
        if self._keep_windows:
            self._keep_windows -= 1
        elif self._trial is None:
            self._set_base(rate)
            self._went_up = False
            self._try(_Trial.UP)
        elif rate >= self._base_rate * (_MIN_GAIN if self._trial is _Trial.UP else _MIN_KEEP):
            # On the way down the base stays the best rate: losses of 2 % a step would add up.
            self._set_base(max(rate, self._base_rate))
            self._went_up = self._went_up or self._trial is _Trial.UP
            self._try(self._trial)
        else:
            self._end_trial()

    def _set_base(self, rate: float) -> None:
        self._base_limit, self._base_rate = self.current, rate

    def _try(self, trial: _Trial) -> None:
        if trial is _Trial.UP:
            limit = min(self.maximum, max(self.current + 1, int(self.current * _STEP)))
        else:
            limit = max(1, min(self.current - 1, int(self.current / _STEP)))
        self._trial = trial
        if limit == self._base_limit:
            self._end_trial()
        else:
            self.current = limit

    def _end_trial(self) -> None:
        """Go back to the best limit; from there try to go down, unless going up has reached it."""
        if self._trial is _Trial.UP and not self._went_up:
            self.current = self._base_limit
            self._try(_Trial.DOWN)
        else:
            self._settle(self._base_limit)

    def _settle(self, limit: int) -> None:
        self.current = self._base_limit = limit
        self._trial = None
        self._keep_windows = _KEPT_WINDOWS
