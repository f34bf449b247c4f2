"""The retry loop: which errors may pass by themselves, and how long to wait before the next try.

The loop does no I/O, and its clock is an argument.

`retry` repeats a whole operation. An operation that keeps what it has got from one try to the next
has a loop of its own, and takes its budget and its waits from `Attempts` as well: a body that is
resumed (`client.resume`), a body that is read out (`transport.body`), a seekable file
(`transport.seekable`), an S3 listing (`stores.direct.listing`) and a download.

The callback for failed tries is kept in a ContextVar, not passed as an argument. The reader of many
objects sets it, and between that reader and the loop are methods that users write or override (a
dataset's, `Source.read`, `Store.get`): each would need the argument in its signature.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TypeVar

from aisio.errors import (
    AccessError,
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
    """An object is not found while nodes of its cluster come or go: it may be found soon."""


class ExpiredTokenError(AccessError):
    """A token that was accepted before is refused: a new one may soon be in its file."""


class NeverReachedError(UnavailableError):
    """An endpoint that has never answered does not answer: its address may be wrong."""


FIRST_CONTACT_S = 2.0
"""How long to retry an endpoint that has never answered. For one that has answered before, the
policy says how long."""

RETRYABLE: tuple[type[StorageError], ...] = (
    MissingForNowError,
    ExpiredTokenError,
    ThrottledError,
    UnavailableError,
    StoreTimeoutError,
    TruncatedError,
)
"""Errors that may pass by themselves."""

_WARN_AFTER_S = 5.0
"""Failures that go on for longer are logged as warnings, which Python shows even where logging is
not configured."""

_log = logging.getLogger(__name__)


def _draw_evenly(low: float, high: float) -> float:
    # Not random.uniform itself: it pickles with its state, and all workers would draw the same.
    return random.uniform(low, high)


@dataclass(frozen=True)
class Waiter:
    """The clock of the retry loop; tests pass one that does not wait.

    Attributes:
        now: Returns the seconds of a clock that never goes back.
        wait: Waits for so many seconds.
        draw: Returns a number between two others, drawn evenly.
    """

    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep
    draw: Callable[[float, float], float] = _draw_evenly


WALL_CLOCK = Waiter()

_on_failed_try: ContextVar[Callable[[StorageError], object] | None] = ContextVar(
    "_on_failed_try", default=None
)


class on_failed_try:
    """In a `with` block, call a function with each error of this thread that is retried.

    A reader of many objects learns from it that the store is overloaded, before any read fails for
    good, and that other requests that are in flight may have failed as well.

    Args:
        callback: Called in the thread whose try failed.
    """

    __slots__ = ("_callback", "_token")
    _token: Token[Callable[[StorageError], object] | None]

    def __init__(self, callback: Callable[[StorageError], object]) -> None:
        self._callback = callback

    def __enter__(self) -> None:
        self._token = _on_failed_try.set(self._callback)

    def __exit__(self, *error: object) -> None:
        _on_failed_try.reset(self._token)


def report_failed_try(error: StorageError) -> None:
    """Call what `on_failed_try` has set, also for a failure that is repaired without a new try."""
    callback = _on_failed_try.get()
    if callback is not None:
        callback(error)


class Attempts:
    """The retry budget of one operation: what is left of its tries and its time.

    The wait after failure n is drawn evenly between 0 and first_wait_s * 2**(n - 1), at most
    longest_wait_s, so that many workers do not retry at the same moment. It is never shorter than
    the store's Retry-After.

    The total time counts from the first failure.

    Args:
        policy: Number of tries, total time and waits.
        waiter: The clock.
    """

    def __init__(self, policy: RetryPolicy, waiter: Waiter = WALL_CLOCK) -> None:
        self._policy = policy
        self._waiter = waiter
        self.renew()

    def renew(self) -> None:
        """Begin with the whole budget again, after a success."""
        self._first_failed_at: float | None = None
        self._failures = 0
        self._longest = self._policy.first_wait_s

    def failed(self, error: StorageError) -> None:
        """Wait before the next try.

        Raises:
            StorageError: The error itself, if it will not pass by itself; if the budget is spent,
                one like it whose text says how many tries there were.
        """
        if not isinstance(error, RETRYABLE) or error.given_up:
            raise error
        report_failed_try(error)
        self._failures += 1
        policy, waiter = self._policy, self._waiter
        retry_after_s = error.retry_after_s or 0.0
        wait_s = max(waiter.draw(0.0, min(policy.longest_wait_s, self._longest)), retry_after_s)
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
        level = logging.WARNING if spent_s > _WARN_AFTER_S else logging.INFO
        _log.log(level, "%s; trying again in %.1f s, for %.0f s so far", error, wait_s, spent_s)
        waiter.wait(wait_s)
        self._longest *= 2


def _final(error: StorageError, tries: int, spent_s: float) -> StorageError:
    suffix = f" (gave up after {tries} tries in {spent_s:.1f} s)" if tries > 1 else ""
    return type(error)(
        f"{error}{suffix}",
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
