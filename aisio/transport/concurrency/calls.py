"""What `ordered` has under way: calls, and the feed that makes them of items."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, cast

from aisio.transport.concurrency.pending import PendingGet

__all__ = ["Call", "Feed"]

T = TypeVar("T")
R = TypeVar("R")


class Call(Generic[T, R]):
    """One call of fetch: its item, then its outcome.

    Args:
        item: What to fetch.
        size_bytes: The number of bytes that its result will have; None where that is not known.
        error: The items' own, which is met in its turn in place of a result.

    Attributes:
        asked: What was sent ahead for it; None for nothing.
        is_large: Its bytes would find no room before somebody reads them.
        done: Held until a thread has run it.
    """

    __slots__ = ("_error", "_result", "asked", "done", "is_large", "item", "size_bytes")

    def __init__(self, item: T, size_bytes: int | None, error: BaseException | None = None) -> None:
        self.item = item
        self.size_bytes = size_bytes
        self.asked: PendingGet | None = None
        self.is_large = False
        self._error = error
        self.done = threading.Lock()
        if error is None:
            self.done.acquire()

    def run(self, fetch: Callable[[T], R]) -> R | None:
        """Fetch the item and keep the outcome; None where that is an error."""
        try:
            self._result = fetch(self.item)
            return self._result
        except BaseException as error:
            self._error = error
            return None

    def fail(self, error: BaseException) -> None:
        """Have an error for an outcome."""
        self._error = error

    def run_here(self, fetch: Callable[[T], R]) -> R:
        """Fetch the item and return the result."""
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
            self._error = None  # its traceback holds this frame, and this frame it


class Feed(Generic[T, R]):
    """The items as calls, one looked at in advance; the items' own error is the last call.

    Args:
        items: What to fetch.
        size_of: The number of bytes of an item's result, where that is known.
    """

    def __init__(self, items: Iterable[T], size_of: Callable[[T], int | None]) -> None:
        self._items = iter(items)
        self._size_of = size_of
        self._next: deque[Call[T, R]] = deque()
        self._ended = False

    def peek(self) -> Call[T, R] | None:
        """Return the next call and keep it; None at the end."""
        if not self._next:
            self._pull()
        return self._next[0] if self._next else None

    def next(self) -> Call[T, R] | None:
        """Return the next call; None at the end."""
        return self._next.popleft() if self.peek() is not None else None

    def has_one(self) -> bool:
        """Tell whether there is one call at most, before any was taken."""
        self._pull()
        self._pull()
        return len(self._next) < 2

    def _pull(self) -> None:
        if self._ended:
            return
        try:
            item = next(self._items)
            self._next.append(Call(item, self._size_of(item)))
        except StopIteration:
            self._ended = True
        except Exception as error:
            self._ended = True
            self._next.append(Call(cast(T, None), 0, error))
