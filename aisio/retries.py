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


def retry(policy: RetryPolicy, attempt: Callable[[], T], waiter: Waiter = WALL_CLOCK) -> T:
    """Run `attempt` until it succeeds, fails for good, or the budget is spent.

    The wait before try n + 1 is drawn evenly between 0 and first_wait_s * 2**(n - 1), at most
    longest_wait_s, so that many workers do not come back at once; it is never below what the store
    asked for by Retry-After.

    Raises:
        StorageError: The last attempt's error, as itself; its text tells how often was tried.
    """
    started = waiter.now()
    longest = policy.first_wait_s
    tries = 0
    while True:
        tries += 1
        try:
            return attempt()
        except RETRIED as error:
            asked_s = error.retry_after_s or 0.0
            wait_s = max(waiter.draw(0.0, min(policy.longest_wait_s, longest)), asked_s)
            spent_s = waiter.now() - started
            if tries >= policy.attempts or spent_s + wait_s > policy.total_s:
                if tries > 1:
                    error.args = (f"{error} (gave up after {tries} tries in {spent_s:.1f} s)",)
                raise
        waiter.wait(wait_s)
        longest *= 2
