"""The retry loop, by a clock that does not wait."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import NamedTuple

import pytest

from aisio.errors import (
    AccessError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    TruncatedError,
    UnavailableError,
)
from aisio.records import RetryPolicy
from aisio.transport.retries import (
    WALL_CLOCK,
    Attempts,
    Waiter,
    retry,
)


class Clock:
    """Time passes only by waiting, and by `work_s` an attempt.

    Attributes:
        waits: Every wait so far.
        draws: The upper bound of every draw so far.
    """

    def __init__(self, share: float = 1.0) -> None:
        self.time_s = 100.0
        self.waits: list[float] = []
        self.draws: list[float] = []
        self._share = share

    @property
    def waiter(self) -> Waiter:
        """Return the clock as the retry loop wants it."""
        return Waiter(lambda: self.time_s, self._wait, self._draw)

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time_s += seconds

    def _draw(self, low: float, high: float) -> float:
        assert low == 0.0
        self.draws.append(high)
        return low + self._share * (high - low)


class Outcome(NamedTuple):
    """How a failing attempt ended."""

    error: StorageError
    tries: int


def fail(
    policy: RetryPolicy, clock: Clock, make: Callable[[], StorageError], work_s: float = 0.0
) -> Outcome:
    """Retry what always fails."""
    tries = 0

    def attempt() -> None:
        nonlocal tries
        tries += 1
        clock.time_s += work_s
        raise make()

    with pytest.raises(StorageError) as caught:
        retry(attempt, Attempts(policy, clock.waiter))
    return Outcome(caught.value, tries)


def unavailable() -> StorageError:
    """Return an error that may pass by itself."""
    return UnavailableError("GET ais://b/o: connection failed", url="ais://b/o", status=503)


@pytest.mark.parametrize(
    "kind", [ThrottledError, UnavailableError, StoreTimeoutError, TruncatedError]
)
def test_errors_that_may_pass_are_tried_again(kind: type[StorageError]) -> None:
    """The result is the first success."""
    left = [kind("1"), kind("2")]
    clock = Clock()

    def attempt() -> str:
        if left:
            raise left.pop()
        return "done"

    assert retry(attempt, Attempts(RetryPolicy(), clock.waiter)) == "done"
    assert len(clock.waits) == 2


@pytest.mark.parametrize(
    "kind", [NotFoundError, AccessError, ConflictError, RangeError, IntegrityError, StorageError]
)
def test_errors_that_stay_are_raised_at_once(kind: type[StorageError]) -> None:
    """Untouched: there was one try."""
    outcome = fail(RetryPolicy(), Clock(), lambda: kind("no"))
    assert (outcome.tries, str(outcome.error)) == (1, "no")


def test_the_last_error_is_raised_as_itself_with_the_number_of_tries() -> None:
    """Class, attributes and text stay; the text says how often was tried."""
    outcome = fail(RetryPolicy(attempts=3, first_wait_s=1), Clock(), unavailable)
    assert outcome.tries == 3
    assert type(outcome.error) is UnavailableError
    assert (outcome.error.url, outcome.error.status) == ("ais://b/o", 503)
    assert str(outcome.error) == (
        "GET ais://b/o: connection failed (gave up after 3 tries in 3.0 s)"
    )
    assert str(pickle.loads(pickle.dumps(outcome.error))) == str(outcome.error)


def test_one_attempt_switches_retries_off() -> None:
    """Nothing is waited for, nothing is added to the text."""
    clock = Clock()
    outcome = fail(RetryPolicy(attempts=1), clock, unavailable)
    assert (outcome.tries, clock.waits) == (1, [])
    assert "gave up" not in str(outcome.error)


def test_the_waits_are_drawn_from_a_doubling_interval() -> None:
    """Full jitter: from zero to the bound, which doubles up to the longest wait."""
    policy = RetryPolicy(attempts=7, first_wait_s=0.5, longest_wait_s=4, total_s=1000)
    clock = Clock(share=0.25)
    fail(policy, clock, unavailable)
    assert clock.draws[:6] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert clock.waits == [0.125, 0.25, 0.5, 1.0, 1.0, 1.0]


def test_the_budget_ends_the_tries() -> None:
    """No try begins after total_s; the wait that would reach beyond is not begun."""
    policy = RetryPolicy(attempts=1000, first_wait_s=4, longest_wait_s=4, total_s=10)
    clock = Clock()
    outcome = fail(policy, clock, unavailable)
    assert (outcome.tries, clock.waits) == (3, [4.0, 4.0])


def test_the_work_itself_counts_into_the_budget() -> None:
    """A slow failure leaves less time to try again; the first one starts the clock."""
    policy = RetryPolicy(attempts=1000, first_wait_s=1, longest_wait_s=1, total_s=10)
    assert fail(policy, Clock(), unavailable, work_s=4.5).tries == 3


def test_the_usual_policy_outlasts_a_restart() -> None:
    """A proxy of AIStore 5.0 that was killed answers 503 for some 30 s after it came back."""
    clock = Clock(share=0.3)
    outcome = fail(RetryPolicy(), clock, unavailable)
    assert 50 < sum(clock.waits) <= 60
    assert outcome.tries < RetryPolicy().attempts


def test_trouble_that_lasts_is_told_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """What passes soon is for those who ask."""
    caplog.set_level("INFO", "aisio.transport.retries")
    fail(RetryPolicy(attempts=4, first_wait_s=4, longest_wait_s=4), Clock(), unavailable)
    told = "GET ais://b/o: connection failed; trying again in 4.0 s, for {} s so far".format
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", told(0)),
        ("INFO", told(4)),
        ("WARNING", told(8)),
    ]


@pytest.mark.parametrize("renewed", [False, True])
def test_time_before_the_first_failure_is_not_spent(renewed: bool) -> None:
    """Who reads long before it fails has the whole budget then, and again when renewed."""
    clock = Clock()
    attempts = Attempts(RetryPolicy(first_wait_s=1, total_s=2), clock.waiter)
    if renewed:
        attempts.failed(unavailable())
        attempts.renew()
    clock.time_s += 1000
    attempts.failed(unavailable())
    assert clock.waits == [1] * (1 + renewed)
    clock.time_s += 1000
    with pytest.raises(UnavailableError, match=r"gave up after 2 tries in 1001\.0 s"):
        attempts.failed(unavailable())


def test_thousands_of_attempts_do_not_overflow() -> None:
    """The doubling goes on where the numbers end."""
    policy = RetryPolicy(attempts=3000, total_s=1e9, longest_wait_s=0.001)
    assert fail(policy, Clock(), unavailable).tries == 3000


def test_retry_after_is_the_least_wait() -> None:
    """The store knows better than the jitter, also above the longest wait."""
    policy = RetryPolicy(attempts=3, first_wait_s=0.5, longest_wait_s=1)
    clock = Clock()
    fail(policy, clock, lambda: ThrottledError("429", retry_after_s=5))
    assert clock.waits == [5, 5]


def test_a_retry_after_beyond_the_budget_gives_up_now() -> None:
    """Waiting for what cannot be used helps no one."""
    clock = Clock()
    outcome = fail(RetryPolicy(total_s=10), clock, lambda: ThrottledError("x", retry_after_s=60))
    assert (outcome.tries, clock.waits) == (1, [])


def test_the_real_clock_waits_differently_in_each_copy() -> None:
    """Pickled to many workers, it must not make them all come back at once."""
    copies = [pickle.loads(pickle.dumps(WALL_CLOCK)) for _ in range(2)]
    first, second = ([copy.draw(0.0, 1.0) for _ in range(8)] for copy in copies)
    assert first != second
    assert all(0 <= wait <= 1 for wait in first + second)
