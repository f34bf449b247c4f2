"""Pace: how many reads should be under way, learned from what they bring. Pure.

The first few reads go by twos, and tell how much of a read is this process's own work: where that
is half of it, as over loopback, threads of one interpreter cannot gain much, and only as many are
begun with as fit into the rest, but three at least: while one waits and another is woken, a third
can work. A network leaves room for all that may be begun with.

Then hill climbing. A window of deliveries gives a rate. The limit is tried half again as high, for
as long as each step brings 5 % more; where the first step up does not, a third lower, for as long
as that loses no more than 2 %: fewer connections and bytes for the same are better. The best limit
is kept for a while, then tried again. Windows in which nobody waited for the store say nothing
about it and do not count; where one thread reads what was asked for ahead, its reads are waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

from aisio.errors import StorageError, ThrottledError, UnavailableError
from aisio.records import Concurrency

__all__ = ["AdaptiveLimit"]


_PROBES = 6
_AT_ONCE_WHILE_PROBING = 2
_BEGUN_WITH_AT_LEAST = 3
_WINDOW_S = 0.25
_STEP = 1.5
_WORTH_MORE = 1.05
_WORTH_FEWER = 0.98
_KEPT_WINDOWS = 40
_SLOWED_AT_MOST_EVERY_S = 1.0

_REQUEST_COST_BYTES = 64 * 1024
"""A request costs about as much as this many bytes (0.3 ms), so that windows with objects of other
sizes compare."""


class _Trial(Enum):
    UP = "up"
    DOWN = "down"


class AdaptiveLimit:
    """The number of reads that may be under way now; may be shared, and pickles.

    Args:
        concurrency: Its bounds.
        now: A clock that never goes back, in seconds.

    Attributes:
        limit: How many reads may be under way.
        most: How many there may ever be.
        most_bytes: How many bytes may be under way or wait for their turn.
    """

    def __init__(
        self, concurrency: Concurrency | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        bounds = concurrency or Concurrency()
        self.now = now
        self.most_bytes = bounds.most_bytes
        self.most = bounds.most if bounds.fixed is None else bounds.fixed
        self._start = min(bounds.start, bounds.most) if bounds.fixed is None else bounds.fixed
        self._is_fixed = bounds.fixed is not None
        self._probes = 0 if self._is_fixed else _PROBES
        self._cpu_s = self._wall_s = float("inf")
        self.limit = min(self._start, _AT_ONCE_WHILE_PROBING) if self._probes else self._start
        self._trial: _Trial | None = None
        self._base_limit = self.limit
        self._base_rate = 0.0
        self._went_up = False
        self._keep_windows = 0
        self._slowed_at_s = float("-inf")
        self._last_s = now()
        self._begin_window()

    def start(self) -> None:
        """Say that reading begins, or goes on after a pause."""
        self._last_s = self.now()

    @property
    def is_probing(self) -> bool:
        """Whether it wants to hear what single reads cost."""
        return self._probes > 0

    def read(self, cpu_s: float, wall_s: float) -> None:
        """Say what a read took of its thread's processor time, and in all.

        The least of each counts: the first ones connect, and some wait for the other.
        """
        self._cpu_s, self._wall_s = min(self._cpu_s, cpu_s), min(self._wall_s, wall_s)

    def skip_probing(self) -> None:
        """Begin with the number to begin with: as for large reads, which threads always help."""
        if self.is_probing:
            self._begin_with(self._start)

    def _probed(self) -> None:
        self._probes -= 1
        known = 0.0 < self._cpu_s < float("inf")
        useful = int(self._wall_s / self._cpu_s) if known else self._start
        # Two reads that come from afar are enough: to wait for more would cost what it is to save.
        if self._probes < 1 or (known and useful >= self._start and self._probes <= _PROBES - 2):
            self._begin_with(min(self._start, max(_BEGUN_WITH_AT_LEAST, useful)))

    def _begin_with(self, limit: int) -> None:
        self._probes = 0
        self.limit = self._base_limit = limit

    def delivered(self, size_bytes: int, waited_s: float) -> None:
        """Say that a result was handed over, in its turn.

        Args:
            size_bytes: Its size.
            waited_s: How long it was waited for.
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
        if self._elapsed_s >= _WINDOW_S and self._count >= 4 * self.limit:
            if self._waited_s >= self._elapsed_s / 4:
                self._judge(self._work / self._elapsed_s)
            self._begin_window()

    def slow_down(self, error: StorageError) -> None:
        """Hear of a failed try: half as many, where the store asks for fewer or is not there."""
        overloaded = isinstance(error, (ThrottledError, UnavailableError))
        now = self.now()
        if self._is_fixed or not overloaded or now - self._slowed_at_s < _SLOWED_AT_MOST_EVERY_S:
            return  # what was under way together fails together: that is one sign, not eight
        self._slowed_at_s = now
        if self.is_probing and not isinstance(error, ThrottledError):
            # A broken connection does not say that two are too many, as a refusal does.
            self.limit = self._start
        self._probes = 0
        self._settle(max(1, self.limit // 2))
        self._begin_window()

    def _begin_window(self) -> None:
        self._elapsed_s = self._waited_s = self._work = 0.0
        self._count = 0

    def _judge(self, rate: float) -> None:
        if self._keep_windows:
            self._keep_windows -= 1
        elif self._trial is None:
            self._take_base(rate)
            self._went_up = False
            self._try(_Trial.UP)
        elif rate >= self._base_rate * (_WORTH_MORE if self._trial is _Trial.UP else _WORTH_FEWER):
            # Going down, the rate to keep is the one that was left: 2 % a step would add up.
            self._take_base(max(rate, self._base_rate))
            self._went_up = self._went_up or self._trial is _Trial.UP
            self._try(self._trial)
        else:
            self._give_up()

    def _take_base(self, rate: float) -> None:
        self._base_limit, self._base_rate = self.limit, rate

    def _try(self, trial: _Trial) -> None:
        if trial is _Trial.UP:
            limit = min(self.most, max(self.limit + 1, int(self.limit * _STEP)))
        else:
            limit = max(1, min(self.limit - 1, int(self.limit / _STEP)))
        self._trial = trial
        if limit == self._base_limit:
            self._give_up()
        else:
            self.limit = limit

    def _give_up(self) -> None:
        """Go back to the best; from there once the other way, unless it was come from there."""
        if self._trial is _Trial.UP and not self._went_up:
            self.limit = self._base_limit
            self._try(_Trial.DOWN)
        else:
            self._settle(self._base_limit)

    def _settle(self, limit: int) -> None:
        self.limit = self._base_limit = limit
        self._trial = None
        self._keep_windows = _KEPT_WINDOWS
