"""What `ordered` has in flight: calls, who runs them, and the feed that makes them of items."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, cast

from aisio.transport.concurrency.pending import PendingGet

__all__ = ["Call", "Feed", "Runner"]

T = TypeVar("T")
R = TypeVar("R")


class Runner(ABC, Generic[T, R]):
    """One way to run calls."""

    @abstractmethod
    def start(self, call: Call[T, R]) -> bool:
        """Start a call; return False, and leave it alone, where this way is not possible."""

    @abstractmethod
    def finish(self, call: Call[T, R]) -> R:
        """Return the result of a call that was started, or raise its error; once."""


class Call(Generic[T, R]):
    """One call of `fetch`: its item, then its outcome.

    Args:
        item: What to fetch.
        size_bytes: The size of the result; None where it is not known.
        error: The error that the items raised in place of another item; it is the outcome.

    Attributes:
        is_large: The result is larger than those whose requests are sent ahead.
        pending: The request that was sent ahead for it; None where there is none.
        runner: Who runs it; None before it is started.
        done: Locked until a thread has run it.
    """

    __slots__ = ("_error", "_result", "done", "is_large", "item", "pending", "runner", "size_bytes")
    done: threading.Lock

    def __init__(self, item: T, size_bytes: int | None, error: BaseException | None = None) -> None:
        self.item = item
        self.size_bytes = size_bytes
        self.is_large = False
        self.pending: PendingGet | None = None
        self.runner: Runner[T, R] | None = None
        self._error = error

    @property
    def has_failed(self) -> bool:
        """Whether the outcome is an error."""
        return self._error is not None

    def run(self, fetch: Callable[[T], R]) -> R | None:
        """Fetch the item and keep the outcome; return None where that is an error."""
        try:
            self._result = fetch(self.item)
            return self._result
        except BaseException as error:
            self._error = error
            return None

    def fail(self, error: BaseException) -> None:
        """Keep an error as the outcome."""
        self._error = error

    def run_now(self, fetch: Callable[[T], R]) -> R:
        """Fetch the item and return the result, or raise the error; nothing is kept."""
        if self._error is None:
            return fetch(self.item)
        return self.outcome()

    def outcome(self) -> R:
        """Return the result that was kept, or raise the error; once."""
        if self._error is None:
            return self._result
        try:
            raise self._error
        finally:
            self._error = None  # its traceback refers to this frame, and the frame to the error


class Feed(Generic[T, R]):
    """Makes calls of items, one ahead; an error of the items becomes the last call.

    Args:
        items: What to fetch.
        size_of: Returns the size of an item's result; None where it is not known.
    """

    def __init__(self, items: Iterable[T], size_of: Callable[[T], int | None]) -> None:
        self._items = iter(items)
        self._size_of = size_of
        self._next: deque[Call[T, R]] = deque()
        self._has_ended = False

    def peek(self) -> Call[T, R] | None:
        """Return the next call and keep it; None at the end."""
        if not self._next:
            self._pull()
        return self._next[0] if self._next else None

    def next(self) -> Call[T, R] | None:
        """Return the next call; None at the end."""
        return self._next.popleft() if self.peek() is not None else None

    def has_at_most_one(self) -> bool:
        """Tell whether there is no second call, before any call was taken."""
        self._pull()
        self._pull()
        return len(self._next) < 2

    def _pull(self) -> None:
        if self._has_ended:
            return
        try:
            item = next(self._items)
            self._next.append(Call(item, self._size_of(item)))
        except StopIteration:
            self._has_ended = True
        except Exception as error:
            self._has_ended = True
            self._next.append(Call(cast(T, None), 0, error))
