"""The threads of this process that iterations borrow to read with; see `ordered`.

They keep their connections from one iteration to the next. They end before a fork, as Python warns
of a fork in a process with threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from aisio import forks
from aisio.records import MAX_CONCURRENT_READS

__all__ = ["ReadingThreads", "end_idle_threads", "reading_threads"]


class ReadingThreads:
    """The threads of one process, which iterations borrow; as many as were ever lent at a time.

    The lock may be taken again by the thread that has it: a signal handler may read, and the
    garbage collector may close an iteration that nobody closed.

    Args:
        end_wait_s: How long a fork waits for idle threads to end.

    Attributes:
        close_wait_s: How long the end of an iteration waits for reads that nobody wants any more.
    """

    def __init__(self, end_wait_s: float = 2.0) -> None:
        self.close_wait_s = 1.0
        self._end_wait_s = end_wait_s
        self._lock = threading.RLock()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Counts. They are lists, which change in one step, without the lock.
        self._lent: list[None] = []
        self._runs: list[None] = []

    def begin_run(self) -> None:
        """Keep the threads for an iteration, until its `end_run`."""
        self._runs.append(None)

    def lend(self, work: Callable[[], None]) -> None:
        """Have a thread do some work; where no thread can be started, the calling thread does it.

        The work calls `give_back` before it ends.
        """
        with self._lock:
            self._lent.append(None)
            if len(self._threads) < min(len(self._lent), MAX_CONCURRENT_READS):
                self._add_thread()
            if self._threads:
                self._work.put(work)
                return
        work()

    def _add_thread(self) -> None:
        # A daemon thread: the program can end while a store stalls.
        thread = threading.Thread(target=_serve, args=(self._work,), name="aisio-read", daemon=True)
        # Where the system has no thread left, the existing ones do the work, or else the caller.
        with suppress(RuntimeError):
            thread.start()
            self._threads.append(thread)

    def give_back(self) -> None:
        """Record that a thread is about to return from its work."""
        self._lent.pop()

    def end_run(self) -> None:
        """Record that an iteration has ended."""
        self._runs.pop()

    def has_this_thread(self) -> bool:
        """Tell whether the calling thread is one of them."""
        return threading.current_thread() in self._threads

    def end_idle_threads(self) -> None:
        """End all threads, unless one is at work or an iteration may need them."""
        with self._lock:
            if self._runs or self._lent:
                return
            # They keep their queue: a thread that starts meanwhile would take one of the Nones from
            # it, and the thread that should get that None would never end.
            threads, self._threads = self._threads, []
            queue, self._work = self._work, SimpleQueue()
        for _ in threads:
            queue.put(None)
        until = time.monotonic() + self._end_wait_s
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def _serve(queue: SimpleQueue[Callable[[], None] | None]) -> None:
    while (work := queue.get()) is not None:
        work()
        del work  # it refers to an iteration, which would live until the next work


_threads = ReadingThreads()


def reading_threads() -> ReadingThreads:
    """Return the threads of this process."""
    return _threads


@forks.before
def end_idle_threads() -> None:
    """End this process's threads, unless they are at work; called before each fork."""
    _threads.end_idle_threads()


@forks.in_child
def _forget_threads() -> None:
    global _threads
    _threads = ReadingThreads()
