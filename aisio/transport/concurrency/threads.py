"""The threads of this process that iterations borrow to read with; see `ordered`.

They keep their sessions from one iteration to the next, and end before a fork: Python warns where a
process with threads forks.
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

_END_WAIT_S = 2.0
"""How long a fork waits for idle threads to end."""


class ReadingThreads:
    """The threads of one process; iterations borrow them. There are as many as were ever lent.

    The lock may be taken again by the thread that has it: a signal handler reads, or the garbage
    collector closes an iteration that nobody closed.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Counts, as lists: those change in one step, without the lock.
        self._lent: list[None] = []
        self._runs: list[None] = []

    def enter(self) -> None:
        """Keep the threads for an iteration that begins."""
        self._runs.append(None)

    def lend(self, work: Callable[[], None]) -> None:
        """Have a thread do some work, or where there is none at all, do it here.

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
        # Daemons: a program ends although a store has stalled.
        thread = threading.Thread(target=_serve, args=(self._work,), name="aisio-read", daemon=True)
        # Where the system has none left, those that are there do the work, or else the caller.
        with suppress(RuntimeError):
            thread.start()
            self._threads.append(thread)

    def give_back(self) -> None:
        """Say that a thread is about to return from its work."""
        self._lent.pop()

    def leave(self) -> None:
        """Say that an iteration has ended."""
        self._runs.pop()

    def has_this_thread(self) -> bool:
        """Tell whether the calling thread is one of them."""
        return threading.current_thread() in self._threads

    def end_idle_threads(self) -> None:
        """End them all, unless one is at work or an iteration may want it."""
        with self._lock:
            if self._runs or self._lent:
                return
            # A queue of their own to the end: a thread begun meanwhile would take one of the Nones,
            # and the one that it was meant for would never end.
            threads, self._threads = self._threads, []
            queue, self._work = self._work, SimpleQueue()
        for _ in threads:
            queue.put(None)
        until = time.monotonic() + _END_WAIT_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def _serve(queue: SimpleQueue[Callable[[], None] | None]) -> None:
    while (work := queue.get()) is not None:
        work()
        del work  # or an iteration would live until the next one


_threads = ReadingThreads()


def reading_threads() -> ReadingThreads:
    """Return those of this process."""
    return _threads


@forks.before
def end_idle_threads() -> None:
    """End this process's threads, unless they are at work.

    This is done before each fork: Python warns where a process with threads forks.
    """
    _threads.end_idle_threads()


@forks.in_child
def _forget_threads() -> None:
    global _threads
    _threads = ReadingThreads()
