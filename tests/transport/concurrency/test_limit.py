"""Pace, against stores that exist as a formula only: rate as a function of the reads under way."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from aisio.errors import (
    ConfigError,
    NotFoundError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from aisio.records import Concurrency
from aisio.transport.concurrency.limit import AdaptiveLimit


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def latency_bound(latency_s: float, most_rate: float) -> Callable[[int], float]:
    """Return a store whose rate grows with the reads under way, up to its capacity."""
    return lambda limit: min(limit / latency_s, most_rate)


def read(
    pace: AdaptiveLimit,
    clock: Clock,
    rate: Callable[[int], float],
    *,
    seconds: float,
    size_bytes: int = 1000,
    waited: float = 1.0,
) -> list[int]:
    """Read for so long, and return the limits on the way."""
    limits = []
    until = clock.seconds + seconds
    while clock.seconds < until:
        item_s = 1 / rate(pace.current)
        clock.seconds += item_s
        pace.record_delivery(size_bytes, item_s * waited)
        limits.append(pace.current)
    return limits


def begun(clock: Clock, bounds: Concurrency | None = None, *, cpu_s: float = 1e-5) -> AdaptiveLimit:
    """Return a pace whose first reads have taken 10 ms each, and so much of the processor."""
    pace = AdaptiveLimit(bounds, now=clock)
    while pace.is_probing:
        pace.record_read(cpu_s, 0.01)
        pace.record_delivery(1000, 0.01)
    return pace


def settled(rate: Callable[[int], float], bounds: Concurrency | None = None) -> int:
    """Return where a pace comes to rest: the limit of most items of the last of several probes."""
    clock = Clock()
    limits = read(AdaptiveLimit(bounds, now=clock), clock, rate, seconds=60)
    return max(set(limits[len(limits) // 2 :]), key=limits[len(limits) // 2 :].count)


@pytest.mark.parametrize(
    ("latency_s", "most_rate", "best"),
    [(0.02, 1000.0, 20), (0.005, 1000.0, 5), (0.1, 1e9, 32), (0.0001, 1000.0, 1)],
)
def test_it_finds_what_the_store_needs(latency_s: float, most_rate: float, best: int) -> None:
    """Near the fewest reads that bring all the store gives; within one step of half again."""
    rate = latency_bound(latency_s, most_rate)
    limit = settled(rate)
    assert rate(limit) >= 0.9 * rate(best)
    assert limit <= best * 1.5


def test_it_leaves_a_store_that_many_reads_slow_down() -> None:
    """Beyond 6 at once this one does less."""
    limit = settled(lambda limit: 1000.0 * min(limit, 6) / max(1.0, limit / 6))
    assert 4 <= limit <= 8


@pytest.mark.parametrize(
    ("cpu_s", "limit"),
    [(0.01, 3), (0.005, 3), (0.0024, 4), (0.0013, 7), (0.0001, 8), (0.0, 8)],
)
def test_it_begins_with_as_many_as_fit_into_one_processor(cpu_s: float, limit: int) -> None:
    """A read that is half this process's own work is not overlapped by seven others; but by two."""
    assert begun(Clock(), cpu_s=cpu_s).current == limit
    assert begun(Clock(), Concurrency(start=2), cpu_s=cpu_s).current == 2


def test_two_at_once_are_read_until_that_is_known() -> None:
    """Fewer where fewer are allowed."""
    assert (AdaptiveLimit().current, AdaptiveLimit(Concurrency(start=1)).current) == (2, 1)
    assert not AdaptiveLimit(Concurrency(fixed=5)).is_probing


def test_two_reads_from_afar_are_enough() -> None:
    """A store that is far away is not read by twos for longer than it takes to see that."""
    pace = AdaptiveLimit(now=Clock())
    for _ in range(2):
        assert pace.current == 2
        pace.record_read(0.0001, 0.02)
        pace.record_delivery(1000, 0.02)
    assert (pace.current, pace.is_probing) == (8, False)


def test_large_reads_are_not_probed() -> None:
    """They are begun with as many as one is told to begin with."""
    pace = AdaptiveLimit(Concurrency(start=6), now=Clock())
    pace.skip_probing()
    assert (pace.current, pace.is_probing) == (6, False)


def test_a_start_that_was_too_low_is_made_good() -> None:
    """As where the first reads came from a cache, and the others from afar."""
    clock = Clock()
    pace = begun(clock, cpu_s=0.01)
    assert pace.current == 3
    read(pace, clock, latency_bound(0.02, 1000.0), seconds=10)
    assert pace.current >= 10


@pytest.mark.parametrize(
    ("error", "limit"), [(ThrottledError("429"), 1), (UnavailableError("reset"), 4)]
)
def test_overload_ends_the_first_reads_too(error: StorageError, limit: int) -> None:
    """What was learned from them is of no use then; one broken connection is not worth 10 s."""
    pace = AdaptiveLimit(now=Clock())
    pace.slow_down(error)
    assert (pace.current, pace.is_probing) == (limit, False)


def test_it_stays_within_its_bounds() -> None:
    """Whatever would be gained, never above `most`, never below 1."""
    clock = Clock()
    high = read(
        AdaptiveLimit(Concurrency(most=10), now=clock), clock, lambda n: 1000.0 * n, seconds=60
    )
    assert (high[-1], max(high)) == (10, 10)
    low = read(
        AdaptiveLimit(Concurrency(most=10), now=clock), clock, lambda n: 9000.0 / n, seconds=60
    )
    assert (min(low), max(low)) == (1, 10)


def test_it_follows_a_store_that_changes() -> None:
    """What was found is tried again after a while."""
    clock = Clock()
    pace = AdaptiveLimit(now=clock)
    read(pace, clock, latency_bound(0.0001, 1000.0), seconds=20)
    assert pace.current <= 2
    read(pace, clock, latency_bound(0.02, 1000.0), seconds=60)
    assert pace.current >= 10


def test_a_fixed_number_is_fixed() -> None:
    """Neither gain nor trouble changes it."""
    clock = Clock()
    pace = AdaptiveLimit(Concurrency.of(3), now=clock)
    assert set(read(pace, clock, lambda n: 1000.0 * n, seconds=10)) == {3}
    pace.slow_down(ThrottledError("429"))
    assert (pace.current, pace.maximum) == (3, 3)


def test_a_slow_reader_is_no_slow_store() -> None:
    """Where results lay ready, the rate says nothing about the store."""
    clock = Clock()
    limits = read(begun(clock), clock, lambda n: 1000.0 / n, seconds=30, waited=0.1)
    assert set(limits) == {8}


@pytest.mark.parametrize("error", [ThrottledError("429"), UnavailableError("503")])
def test_overload_halves_it_once_a_second(error: StorageError) -> None:
    """Eight reads that are refused together are one sign."""
    clock = Clock()
    pace = begun(clock)
    for _ in range(8):
        pace.slow_down(error)
    assert pace.current == 4
    for _ in range(4):
        clock.seconds += 1
        pace.slow_down(error)
    assert pace.current == 1


def test_other_errors_do_not_slow_it_down() -> None:
    """A missing object is no sign of overload."""
    pace = begun(Clock())
    pace.slow_down(NotFoundError("404"))
    assert pace.current == 8


def test_a_pause_counts_for_nothing() -> None:
    """Between two batches of a map dataset the store is not asked."""
    clock = Clock()
    pace = AdaptiveLimit(now=clock)
    for _ in range(200):
        clock.seconds += 100
        pace.start()
        read(pace, clock, latency_bound(0.02, 1000.0), seconds=0.1)
    assert pace.current >= 10


def test_it_pickles() -> None:
    """It goes to workers with its dataset."""
    assert pickle.loads(pickle.dumps(AdaptiveLimit(Concurrency(fixed=5)))).current == 5


@pytest.mark.parametrize("bad", [{"fixed": 0}, {"fixed": 65}, {"most": 65}, {"start": 0}])
def test_numbers_that_cannot_work_are_refused(bad: dict[str, int]) -> None:
    """One process has 64 threads to lend."""
    with pytest.raises(ConfigError, match="between 1 and 64"):
        Concurrency(**bad)


def test_no_bytes_at_all_are_refused() -> None:
    """Nothing could be read."""
    with pytest.raises(ConfigError, match="most_bytes"):
        Concurrency(most_bytes=0)
