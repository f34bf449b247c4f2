"""How long the steps of a trainer took, and its waiting for batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TypeVar

from aisio import publishing

__all__ = ["Durations", "StepTimes"]

T = TypeVar("T")


class Durations:
    """Durations: all of them in total, the last 10,000 each.

    Attributes:
        count: How many there were.
        total_s: Their sum, in seconds.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total_s = 0.0
        self._last_s: deque[float] = deque(maxlen=10_000)

    def add(self, duration_s: float) -> None:
        """Count a duration."""
        self.count += 1
        self.total_s += duration_s
        self._last_s.append(duration_s)

    def percentile(self, percent: int) -> float:
        """Return a percentile of the last ones, in seconds; 0 if there are none."""
        durations = sorted(self._last_s)
        return durations[(len(durations) - 1) * percent // 100] if durations else 0.0


class StepTimes:
    """How long the steps of a trainer took.

    Attributes:
        waits: How long it waited for each batch.
        steps_s: How long it took for its own steps, from each batch to its next request, in all.
        replayed: How long each step took it where batches were replayed.
    """

    def __init__(self) -> None:
        self.waits = Durations()
        self.steps_s = 0.0
        self.replayed = Durations()
        self._gave_at: float | None = None

    def begin(self) -> None:
        """Begin to read: what the trainer did before was no step."""
        self._gave_at = None

    def ask(self) -> float:
        """Note that the trainer asks for a batch, and return when."""
        now = perf_counter()
        publishing.current().ask(now)
        return now

    def give(self, asked: float) -> None:
        """Note that the trainer gets the batch that it asked for."""
        now = perf_counter()
        self._end_step(asked)
        self._gave_at = now
        self.waits.add(now - asked)
        publishing.current().give(now - asked)

    def end_epoch(self, asked: float) -> None:
        """Note that there is no further batch: the step before the request was the last one."""
        self._end_step(asked)
        self._stop()

    def fail(self) -> None:
        """Note that no batch comes, because reading failed."""
        self._stop()

    def _stop(self) -> None:
        """Note that the trainer waits no more: what it does next is no step."""
        self._gave_at = None
        publishing.current().stop_asking()

    def _end_step(self, asked: float) -> None:
        if self._gave_at is not None:
            self.steps_s += asked - self._gave_at

    def replay(self, batches: Iterable[T]) -> Iterator[T]:
        """Yield batches, and measure the steps between them in place of those before."""
        replayed = self.replayed = Durations()
        for batch in batches:
            started = perf_counter()
            yield batch
            replayed.add(perf_counter() - started)

    def stats(self) -> dict[str, float]:
        """Return sums and percentiles, in seconds."""
        stats = {"batches": self.waits.count, "wait_s": self.waits.total_s}
        stats["step_s"] = self.steps_s
        for percent in (50, 95, 99):
            stats[f"wait_p{percent}_s"] = self.waits.percentile(percent)
        return stats | {"replay_step_s": self.replayed.percentile(50)}
