"""Many small reads at once, their results in order.

Theory of operation. A small object costs its round trip, not its bytes; so a few reads are always
under way, each on a connection of its own. The reader's own thread pulls items, hands them to
threads and yields results in the items' order. Threads belong to the process: they keep their
sessions from one iteration to the next, and end before a fork. None ever waits for more work
inside an iteration, so that an iterator that nobody closes holds no thread.

How many are under way is found by trial (`Pace`): more, as long as that brings more through; fewer,
where fewer do as well. Half, when the store asks for fewer. Where it comes to one, the reader's own
thread fetches it.

Both locks may be taken again by the thread that has them: a signal handler reads, or the garbage
collector closes an iteration that nobody closed. A thread that reads takes no other lock while it
has its run's: who holds the pool's may be waiting for that run.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

from aisio.errors import StorageError
from aisio.pace import MOST_IN_FLIGHT, Pace
from aisio.retries import failures_heard_by

__all__ = ["fetch_in_order"]

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2
"""Results that may wait for their turn, as a multiple of the calls under way: one slow object does
not stop the rest."""

_LARGE_BYTES = 1 << 20
"""What one call of this size costs is mostly bytes, which threads take while others work."""

_CLOSE_WAIT_S = 1.0
"""How long the end of an iteration waits for calls that are under way and no longer wanted."""

_END_WAIT_S = 2.0
"""How long a fork waits for idle threads to end."""


def fetch_in_order(
    items: Iterable[T],
    fetch: Callable[[T], R],
    *,
    pace: Pace | None = None,
    size_of: Callable[[T], int | None] = lambda _: None,
    result_bytes: Callable[[R], int],
) -> Iterator[R]:
    """Yield `fetch(item)` for each item, in order, with several calls under way at a time.

    The items are pulled by the calling thread, a few ahead. One item alone is fetched by the
    calling thread too. An error, of the items or of a call, is raised at its place in the order,
    and ends the iteration. What is not begun when the iterator is closed, never is.

    Args:
        items: What to fetch.
        fetch: Called in other threads, several times at once.
        pace: How many calls, and how many bytes, may be under way; it learns from one call of this
            function to the next. Without it a new one.
        size_of: The number of bytes that an item's result will have, where that is known. Where it
            is not, the results so far tell what to expect.
        result_bytes: The number of bytes of a result.

    Raises:
        StorageError: It was begun in another process: a forked child has none of its threads.
    """
    pace = pace or Pace()
    feed: _Feed[T, R] = _Feed(items, size_of)
    if pace.most == 1 or feed.has_one():
        while (call := feed.next()) is not None:
            yield call.run_here(fetch)
        return
    run = _Run(feed, fetch, pace, result_bytes)
    try:
        yield from run.results()
    finally:
        run.close()


class _Call(Generic[T, R]):
    """One call of fetch: its item, then its outcome."""

    __slots__ = ("_error", "_result", "done", "item", "size_bytes")

    def __init__(self, item: T, size_bytes: int | None, error: BaseException | None = None) -> None:
        self.item = item
        self.size_bytes = size_bytes
        self._error = error
        self.done = threading.Lock()
        if error is None:
            self.done.acquire()

    def run(self, fetch: Callable[[T], R]) -> R | None:
        try:
            self._result = fetch(self.item)
            return self._result
        except BaseException as error:
            self._error = error
            return None

    def fail(self, error: BaseException) -> None:
        self._error = error

    def run_here(self, fetch: Callable[[T], R]) -> R:
        if self._error is None:
            return fetch(self.item)
        return self.outcome()

    def outcome(self) -> R:
        if self._error is None:
            return self._result
        try:
            raise self._error
        finally:
            self._error = None  # its traceback holds this frame, and this frame it


class _Feed(Generic[T, R]):
    """The items as calls, one looked at in advance; the items' own error is the last call."""

    def __init__(self, items: Iterable[T], size_of: Callable[[T], int | None]) -> None:
        self._items = iter(items)
        self._size_of = size_of
        self._next: deque[_Call[T, R]] = deque()
        self._ended = False

    def peek(self) -> _Call[T, R] | None:
        if not self._next:
            self._pull()
        return self._next[0] if self._next else None

    def next(self) -> _Call[T, R] | None:
        return self._next.popleft() if self.peek() is not None else None

    def has_one(self) -> bool:
        self._pull()
        self._pull()
        return len(self._next) < 2

    def _pull(self) -> None:
        if self._ended:
            return
        try:
            item = next(self._items)
            self._next.append(_Call(item, self._size_of(item)))
        except StopIteration:
            self._ended = True
        except Exception as error:
            self._ended = True
            self._next.append(_Call(cast(T, None), 0, error))


class _Run(Generic[T, R]):
    """One iteration. The lock guards what threads share: the queue, who works, bytes held."""

    def __init__(
        self,
        feed: _Feed[T, R],
        fetch: Callable[[T], R],
        pace: Pace,
        result_bytes: Callable[[R], int],
    ) -> None:
        self._feed = feed
        self._fetch = fetch
        self._pace = pace
        self._result_bytes = result_bytes
        self._pid = os.getpid()
        self._pool = _pool
        self._lock = threading.RLock()
        self._nobody_works = threading.Condition(self._lock)
        self._queue: deque[_Call[T, R]] = deque()
        self._in_order: deque[_Call[T, R]] = deque()
        self._working = 0
        self._held_bytes = 0
        self._expected_bytes: float | None = None
        self._pool.enter()

    def results(self) -> Iterator[R]:
        pace = self._pace
        pace.start()
        first = self._feed.peek()
        if first is not None and (first.size_bytes or 0) > _LARGE_BYTES:
            pace.do_not_probe()
        while True:
            self._check_process()
            if pace.limit > 1:
                self._refill()
            elif not self._in_order:
                call = self._feed.next()
                if call is None:
                    return
                yield self._result_here(call)
                continue
            if not self._in_order:
                return
            call = self._in_order.popleft()
            waited_s = 0.0
            if not call.done.acquire(blocking=False):
                before = pace.now()
                call.done.acquire()
                waited_s = pace.now() - before
            size = call.size_bytes or 0
            with self._lock:
                self._held_bytes -= size
            pace.delivered(size, waited_s)
            yield call.outcome()

    def _result_here(self, call: _Call[T, R]) -> R:
        """Fetch in the calling thread: for one at a time, another would only be woken for each."""
        before = self._pace.now()
        with failures_heard_by(self._pace.slow_down):
            result = call.run_here(self._fetch)
        self._pace.delivered(self._result_bytes(result), self._pace.now() - before)
        return result

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise StorageError(
                "this iteration was begun before the fork: begin another in this process"
            )

    def _refill(self) -> None:
        while len(self._in_order) < _AHEAD * self._pace.limit:
            call = self._feed.peek()
            if call is None or not self._has_room_for(call):
                return
            self._feed.next()
            self._in_order.append(call)
            if not call.done.locked():  # the items' own error
                continue
            with self._lock:
                self._queue.append(call)
                idle = self._working < self._pace.limit
                self._working += idle
            if idle:
                self._pool.lend(self._work)

    def _has_room_for(self, call: _Call[T, R]) -> bool:
        """Reserve the bytes that a call will hold, if there is room; one alone always has."""
        most = self._pace.most_bytes
        with self._lock:
            if call.size_bytes is None:
                # Nothing is known of the first one: it goes alone.
                expected = most if self._expected_bytes is None else int(self._expected_bytes)
            else:
                expected = call.size_bytes
            if self._in_order and self._held_bytes + expected > most:
                return False
            call.size_bytes = expected
            self._held_bytes += expected
            return True

    def _work(self) -> None:
        call: _Call[T, R] | None = None
        with failures_heard_by(self._pace.slow_down):
            while (call := self._next_call()) is not None:
                self._run(call)

    def _run(self, call: _Call[T, R]) -> None:
        try:
            result = self._probe(call) if self._pace.is_probing else call.run(self._fetch)
            if result is not None:
                self._learn(call, self._result_bytes(result))
        except BaseException as error:  # whatever it is: somebody waits for this call
            call.fail(error)
        finally:
            call.done.release()

    def _probe(self, call: _Call[T, R]) -> R | None:
        cpu_s, wall_s = time.thread_time(), time.perf_counter()
        result = call.run(self._fetch)
        self._pace.read(time.thread_time() - cpu_s, time.perf_counter() - wall_s)
        return result

    def _next_call(self) -> _Call[T, R] | None:
        with self._lock:
            if self._working <= self._pace.limit:
                with suppress(IndexError):
                    return self._queue.popleft()
            self._working -= 1
            self._pool.give_back()
            if not self._working:
                self._nobody_works.notify_all()
            return None

    def _learn(self, call: _Call[T, R], size_bytes: int) -> None:
        with self._lock:
            self._held_bytes += size_bytes - (call.size_bytes or 0)
            call.size_bytes = size_bytes
            before = self._expected_bytes
            self._expected_bytes = (
                size_bytes if before is None else before + (size_bytes - before) / 8
            )

    def close(self) -> None:
        if os.getpid() != self._pid or sys.is_finalizing():
            return  # threads that are no more, or stand still: the lock may never be free
        self._queue.clear()
        if not self._pool.has_this_thread():  # collected there: it could wait for itself
            with self._nobody_works:
                self._nobody_works.wait_for(lambda: not self._working, _CLOSE_WAIT_S)
        self._pool.leave()


class _Pool:
    """The threads of this process; iterations borrow them. There are as many as were ever lent."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Counts, as lists: those change in one step, without the lock.
        self._lent: list[None] = []
        self._runs: list[None] = []

    def enter(self) -> None:
        self._runs.append(None)

    def lend(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._lent.append(None)
            if len(self._threads) < min(len(self._lent), MOST_IN_FLIGHT):
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
        self._runs.pop()

    def has_this_thread(self) -> bool:
        return threading.current_thread() in self._threads

    def end_idle_threads(self) -> None:
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


_pool = _Pool()


def end_idle_threads() -> None:
    """End this process's threads, unless they are at work.

    This is done before each fork: Python warns where a process with threads forks.
    """
    _pool.end_idle_threads()


def _forget_threads() -> None:
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=end_idle_threads, after_in_child=_forget_threads)
