"""The one retry loop: which errors may pass by themselves, and how long to wait for that. Pure."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from aisio.errors import (
    NotFoundError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    TruncatedError,
    UnavailableError,
)
from aisio.records import RetryPolicy
from aisio.stats import thread_counters

T = TypeVar("T")


class MissingForNowError(NotFoundError):
    """An object that is not found while nodes of its cluster come or go: it may be found soon."""


class NeverReachedError(UnavailableError):
    """No answer from an endpoint that has never answered: its address may be wrong."""


FIRST_CONTACT_S = 2.0
"""How long an endpoint that has never answered is tried. A cluster that is known to be there may be
away for as long as the policy says."""

RETRYABLE: tuple[type[StorageError], ...] = (
    MissingForNowError,
    ThrottledError,
    UnavailableError,
    StoreTimeoutError,
    TruncatedError,
)
"""Errors that may pass by themselves."""

_LOUD_AFTER_S = 5.0
"""Trouble that lasts longer is told as a warning, which shows where logging was not set up."""

_log = logging.getLogger(__name__)


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

_listener: ContextVar[Callable[[StorageError], object] | None] = ContextVar(
    "_listener", default=None
)


@contextmanager
def on_failed_try(listener: Callable[[StorageError], object]) -> Iterator[None]:
    """Tell a listener of each failed try of this thread that may be made again.

    Who reads many objects at once learns so that the store has too much to do, before it gives up,
    and that what else is under way may have failed as well.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(error: StorageError) -> None:
    """Tell who listens in this thread of a failure, also one that is made good without a try."""
    listener = _listener.get()
    if listener is not None:
        listener(error)


class Attempts:
    """What is left of a budget for one thing that may fail for a while.

    The wait after failure n is drawn evenly between 0 and first_wait_s * 2**(n - 1), at most
    longest_wait_s, so that many workers do not come back at once; it is never below what the store
    asked for by Retry-After.

    The clock starts with the first failure: what went well before, and whatever the caller did
    meanwhile, costs nothing.

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
        self._first_failed_at: float | None = None
        self._failures = 0
        self._longest = self._policy.first_wait_s

    def failed(self, error: StorageError) -> None:
        """Wait before the next try.

        Raises:
            StorageError: The error itself, if it will not pass by itself; one like it whose text
                tells how often was tried, if the budget is spent.
        """
        if not isinstance(error, RETRYABLE) or error.given_up:
            raise error
        tell(error)
        self._failures += 1
        policy, waiter = self._policy, self._waiter
        asked_s = error.retry_after_s or 0.0
        wait_s = max(waiter.draw(0.0, min(policy.longest_wait_s, self._longest)), asked_s)
        now = waiter.now()
        if self._first_failed_at is None:
            self._first_failed_at = now
        spent_s = now - self._first_failed_at
        total_s = policy.total_s
        if isinstance(error, NeverReachedError):
            total_s = min(total_s, FIRST_CONTACT_S)
        if self._failures >= policy.attempts or spent_s + wait_s > total_s:
            raise _final(error, self._failures, spent_s) from error
        thread_counters().retries += 1
        level = logging.WARNING if spent_s > _LOUD_AFTER_S else logging.INFO
        _log.log(level, "%s; trying again in %.1f s, for %.0f s so far", error, wait_s, spent_s)
        waiter.wait(wait_s)
        self._longest *= 2


def _final(error: StorageError, tries: int, spent_s: float) -> StorageError:
    told = f" (gave up after {tries} tries in {spent_s:.1f} s)" if tries > 1 else ""
    return type(error)(
        f"{error}{told}",
        url=error.url,
        status=error.status,
        retry_after_s=error.retry_after_s,
        given_up=True,
    )


def retry(attempt: Callable[[], T], attempts: Attempts) -> T:
    """Run `attempt` until it succeeds, fails for good, or the budget is spent.

    Raises:
        StorageError: As from `Attempts.failed`.
    """
    while True:
        try:
            return attempt()
        except RETRYABLE as error:
            attempts.failed(error)
