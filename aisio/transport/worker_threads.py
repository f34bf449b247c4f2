"""WorkerThreads: a few threads of one upload or file, which end with it.

Idle ones end before a fork as well, as Python warns of a fork in a process with threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from threading import RLock, Thread, current_thread
from typing import Any, TypeVar
from weakref import WeakSet

from aisio import forks

__all__ = ["WorkerThreads", "end_idle_threads"]

T = TypeVar("T")


class WorkerThreads:
    """Threads that start when there is work, in the context of whoever gives it.

    Args:
        count: How many at most.
        name: What the names of the threads begin with.
    """

    def __init__(self, count: int, name: str) -> None:
        self._make = partial(ThreadPoolExecutor, count, name)
        self._executor: ThreadPoolExecutor | None = None
        self._futures: list[Future[Any]] = []
        self._workers: WeakSet[Thread] = WeakSet()
        # The garbage collector may end them while they get work.
        self._lock = RLock()
        _all.add(self)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have a thread do some work."""
        with self._lock:
            if self._executor is None:
                self._executor = self._make()
            self._futures = [future for future in self._futures if not future.done()]
            future = self._executor.submit(partial(copy_context().run, self._run, work))
            self._futures.append(future)
            return future

    def end(self, *, cancel: bool) -> None:
        """Wait until all work is done and the threads have ended.

        Args:
            cancel: Drop the work that no thread has begun.
        """
        # The garbage collector may call this in any thread, and none can wait for itself. Threads
        # are told apart as objects: a later thread may get the identifier of one that has ended.
        is_own = current_thread() in self._workers
        executor = self._executor  # a fork in another thread may end the threads meanwhile
        if executor is not None:
            executor.shutdown(wait=not is_own, cancel_futures=cancel)

    def end_idle(self) -> None:
        """End the threads, unless they have work; further work starts new ones."""
        with self._lock:
            if self._executor is not None and all(future.done() for future in self._futures):
                self._executor.shutdown(wait=True)
                self._executor = None

    def _run(self, work: Callable[[], T]) -> T:
        self._workers.add(current_thread())
        return work()


_all: WeakSet[WorkerThreads] = WeakSet()


@forks.before
def end_idle_threads() -> None:
    """End all threads that have no work; called before each fork."""
    for threads in list(_all):
        threads.end_idle()
