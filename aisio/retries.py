"""The one retry loop: which errors may pass by themselves, and how long to wait for that. Pure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from aisio.errors import (
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    TruncatedError,
    UnavailableError,
)
from aisio.records import RetryPolicy

T = TypeVar("T")

RETRIED: tuple[type[StorageError], ...] = (
    ThrottledError,
    UnavailableError,
    StoreTimeoutError,
    TruncatedError,
)
"""Errors that may pass by themselves."""


def _draw_evenly(low: float, high: float) -> float:
    # random.uniform itself would take its state along when pickled: all workers would wait alike.
    return random.uniform(low, high)


@dataclass(frozen=True)
class Waiter:
    """The clock of the retry loop; tests pass one that does not wait.

    Attributes:
        now: Returns seconds of a clock that never goes back.
        wait: Lets that many seconds pass.
        draw: Returns a number between two, each as likely as any other.
    """

    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep
    draw: Callable[[float, float], float] = _draw_evenly


WALL_CLOCK = Waiter()


class Attempts:
    """What is left of a budget for one thing that may fail for a while.

    The wait after failure n is drawn evenly between 0 and first_wait_s * 2**(n - 1), at most
    longest_wait_s, so that many workers do not come back at once; it is never below what the store
    asked for by Retry-After.

    Args:
        policy: Number of tries, total time and waits.
        waiter: The clock.
    """

    def __init__(self, policy: RetryPolicy, waiter: Waiter = WALL_CLOCK) -> None:
        self._policy = policy
        self._waiter = waiter
        self.renew()

    def renew(self) -> None:
        """Begin with the whole budget again, after something has gone well."""
        self._started = self._waiter.now()
        self._failures = 0
        self._longest = self._policy.first_wait_s

    def failed(self, error: StorageError) -> None:
        """Wait before the next try.

        Raises:
            StorageError: The error itself, if it will not pass by itself or the budget is spent;
                its text then tells how often was tried.
        """
        if not isinstance(error, RETRIED):
            raise error
        self._failures += 1
        policy, waiter = self._policy, self._waiter
        asked_s = error.retry_after_s or 0.0
        wait_s = max(waiter.draw(0.0, min(policy.longest_wait_s, self._longest)), asked_s)
        spent_s = waiter.now() - self._started
        if self._failures >= policy.attempts or spent_s + wait_s > policy.total_s:
            if self._failures > 1:
                error.args = (f"{error} (gave up after {self._failures} tries in {spent_s:.1f} s)",)
            raise error
        waiter.wait(wait_s)
        self._longest *= 2


def retry(policy: RetryPolicy, attempt: Callable[[], T], waiter: Waiter = WALL_CLOCK) -> T:
    """Run `attempt` until it succeeds, fails for good, or the budget is spent; see Attempts.

    Raises:
        StorageError: The last attempt's error, as itself.
    """
    attempts = Attempts(policy, waiter)
    while True:
        try:
            return attempt()
        except RETRIED as error:
            attempts.failed(error)
