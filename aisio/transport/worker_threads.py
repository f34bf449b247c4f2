"""WorkerThreads: a few threads of one upload or file, which end with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from threading import get_ident
from typing import TypeVar

__all__ = ["WorkerThreads"]

T = TypeVar("T")


class WorkerThreads:
    """Threads that start when there is work, in the context of whoever gives it.

    Args:
        count: How many at most.
        name: What the names of the threads begin with.
    """

    def __init__(self, count: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(count, name)
        self._idents: set[int] = set()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have a thread do some work."""
        return self._executor.submit(partial(copy_context().run, self._run, work))

    def end(self, *, cancel: bool) -> None:
        """Wait until all work is done and the threads have ended.

        Args:
            cancel: Drop the work that no thread has begun.
        """
        # The garbage collector may call this in any thread, and none can wait for itself.
        is_own = get_ident() in self._idents
        self._executor.shutdown(wait=not is_own, cancel_futures=cancel)

    def _run(self, work: Callable[[], T]) -> T:
        self._idents.add(get_ident())
        return work()
