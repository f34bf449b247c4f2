"""SingleFlight: slow work in a thread, done once for all requests that need its result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class SingleFlight(Generic[Key, Result]):
    """Runs work in threads of its own, at most one call for each key at a time.

    The threads are separate from the event loop's default ones, so that much slow work does not
    delay other requests.

    Args:
        threads: How many calls may run at the same time.
        name: Prefix of the threads' names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._in_flight: dict[Key, asyncio.Future[Result]] = {}

    def __contains__(self, key: Key) -> bool:
        """Whether the work for a key has been started and has not ended."""
        return key in self._in_flight

    def start(self, key: Key, work: Callable[[], Result]) -> None:
        """Start the work for a key, which must not be in flight."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._in_flight[key] = future
        future.add_done_callback(lambda _: self._in_flight.pop(key))

    def result(self, key: Key) -> Awaitable[Result]:
        """Return what waits for the work of a key in flight; a waiter's end does not end the work.

        The key is looked up now: the work may have ended when the caller begins to wait.
        """
        return asyncio.shield(self._in_flight[key])

    def close(self) -> None:
        """Drop work that has not begun, and wait for the threads to end."""
        self._threads.shutdown(wait=True, cancel_futures=True)
