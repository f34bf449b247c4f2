"""Many small reads at once, their results in order.

Theory of operation. A small object costs its round trip, not its bytes; so a few reads are always
under way, each on a connection of its own, and their results are yielded in the items' order. There
are two ways to have one under way; who does not want threads has the rest read in its turn.

Sent ahead (see `pending`): the reader's own thread sends the request, and reads the answer when
its turn comes; until then the system keeps what arrives. No thread is woken for it, and none waits
for the interpreter's lock. What one failure strikes, such as a restart, is asked for anew together.

By threads, what cannot be asked ahead (https, stores that are no cluster), and large objects, whose
bytes would find no room in the system. Threads belong to the process (see `threads`).
None ever waits for more work inside an iteration, so that an iterator that nobody closes holds no
thread.

How many are under way is found by trial (`AdaptiveLimit`): more, as long as that brings more
through; fewer, where fewer do as well. Half, when the store asks for fewer. Where it comes to one,
the reader's own thread fetches it.

The lock may be taken again by the thread that has it: a signal handler reads, or the garbage
collector closes an iteration that nobody closed. A thread that reads takes no other lock while it
has its run's: who holds that of the threads may be waiting for that run.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from aisio.errors import StorageError, StoreTimeoutError
from aisio.records import MAX_CONCURRENT_READS
from aisio.transport.concurrency.calls import Call, Feed
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.pending import PendingGet, count_pending, offering
from aisio.transport.concurrency.threads import reading_threads
from aisio.transport.http.connection_pool import RECEIVE_BUFFER_BYTES, RequestState
from aisio.transport.retries import on_failed_try

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


def fetch_in_order(
    items: Iterable[T],
    fetch: Callable[[T], R],
    *,
    send_ahead: Callable[[T], PendingGet | None] = lambda _: None,
    pace: AdaptiveLimit | None = None,
    size_of: Callable[[T], int | None] = lambda _: None,
    result_bytes: Callable[[R], int],
    by_threads: bool = True,
) -> Iterator[R]:
    """Yield `fetch(item)` for each item, in order, with several calls under way at a time.

    The items are pulled, and asked for ahead, by the calling thread. One item alone is fetched by
    it too. An error, of the items or of a call, is raised at its place in the order,
    and ends the iteration. What is not begun when the iterator is closed, never is.

    Args:
        items: What to fetch.
        fetch: Called for what was asked ahead, and where there are to be no threads, by the calling
            thread; else by others, several times at once.
        send_ahead: Sends the request of a later fetch ahead, or returns None where that cannot be.
        pace: How many calls, and how many bytes, may be under way; it learns from one call of this
            function to the next. Without it a new one.
        size_of: The number of bytes that an item's result will have, where that is known. Where it
            is not, the results so far tell what to expect.
        result_bytes: The number of bytes of a result.
        by_threads: What cannot be asked ahead is fetched by threads; if not, by the calling thread,
            and its item is pulled when its turn comes.

    Raises:
        StorageError: It was begun in another process: a forked child has none of its threads.
    """
    pace = pace or AdaptiveLimit()
    feed: Feed[T, R] = Feed(items, size_of)
    if pace.most == 1 or (by_threads and feed.has_one()):
        while (call := feed.next()) is not None:
            yield call.run_here(fetch)
        return
    run = _Run(feed, fetch, send_ahead, pace, result_bytes, by_threads)
    try:
        yield from run.results()
    finally:
        run.close()


class _Run(Generic[T, R]):
    """One iteration. The lock guards what threads share: the queue, who works, bytes held."""

    def __init__(
        self,
        feed: Feed[T, R],
        fetch: Callable[[T], R],
        send_ahead: Callable[[T], PendingGet | None],
        pace: AdaptiveLimit,
        result_bytes: Callable[[R], int],
        by_threads: bool,
    ) -> None:
        self._feed = feed
        self._fetch = fetch
        self._send_ahead = send_ahead
        self._asks = True
        self._by_threads = by_threads
        self._was_refused = False
        self._reader = 0
        self._pace = pace
        self._result_bytes = result_bytes
        self._pid = os.getpid()
        self._threads = reading_threads()
        self._lock = threading.RLock()
        self._nobody_works = threading.Condition(self._lock)
        self._queue: deque[Call[T, R]] = deque()
        self._in_order: deque[Call[T, R]] = deque()
        self._working = 0
        self._held_bytes = 0
        self._expected_bytes: float | None = None
        self._threads.enter()

    def results(self) -> Iterator[R]:
        pace = self._pace
        pace.start()
        first = self._feed.peek()
        if first is not None and (first.size_bytes or 0) > _LARGE_BYTES:
            pace.skip_probing()
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
            if call.asked is not None:
                with offering(call.asked):
                    result = self._result_in_turn(call)
                yield result
                continue
            if not self._by_threads:
                yield self._result_in_turn(call)
                continue
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

    def _result_here(self, call: Call[T, R]) -> R:
        """Fetch in the calling thread: for one at a time, another would only be woken for each."""
        before = self._pace.now()
        with on_failed_try(self._pace.slow_down):
            result = call.run_here(self._fetch)
        self._pace.delivered(self._result_bytes(result), self._pace.now() - before)
        return result

    def _result_in_turn(self, call: Call[T, R]) -> R:
        before = self._pace.now()
        self._reader = threading.get_ident()
        with on_failed_try(self._hear):
            result = call.run_here(self._fetch)
        size = self._result_bytes(result)
        self._learn(call, size)
        with self._lock:
            self._held_bytes -= size
        if self._was_refused:
            self._was_refused = False
            self._ask_again()
        self._pace.delivered(size, self._pace.now() - before)
        return result

    def _hear(self, error: StorageError) -> None:
        self._pace.slow_down(error)
        # A large object is read by more threads, which hear for this one.
        if error.status is None and threading.get_ident() == self._reader:
            self._ask_again(is_late=isinstance(error, StoreTimeoutError))
        else:
            self._was_refused = True  # others too, perhaps: not before this one has waited

    def _ask_again(self, *, is_late: bool = False) -> None:
        """Ask anew for what met a failure as well: one wait is enough for all that it struck.

        After a timeout that is also what has begun to come, and may go no further. What has not
        will be found late by itself: its time began when it was asked for.
        """
        for call in self._in_order:
            state = call.asked.state if call.asked is not None else RequestState.UNANSWERED
            is_stuck = is_late and state is RequestState.ANSWERED
            if call.asked is not None and (is_stuck or state is RequestState.FAILED):
                call.asked.close()
                self._begin(call)
                if call.asked is None:
                    return  # nobody is there to be asked: the rest is, in its turn

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise StorageError(
                "this iteration was begun before the fork: begin another in this process"
            )

    def _refill(self) -> None:
        while len(self._in_order) < self._reach():
            call = self._feed.peek()
            if call is None:
                return
            call.is_large = (call.size_bytes or self._expected_bytes or 0) > RECEIVE_BUFFER_BYTES
            if not self._has_room_for(call):
                return
            self._feed.next()
            self._in_order.append(call)
            if call.done.locked():  # else it is the items' own error
                self._begin(call)

    def _reach(self) -> int:
        if self._by_threads:
            return (1 if self._asks else _AHEAD) * self._pace.limit
        # Items are to be pulled in their turn, unless it is known that they are small.
        return self._pace.limit if self._asks and self._expected_bytes is not None else 1

    def _begin(self, call: Call[T, R]) -> None:
        """Ask for it, where that can be done ahead; else leave it to a thread, or to its turn."""
        call.asked = None
        if not call.is_large and count_pending() < MAX_CONCURRENT_READS:
            with suppress(Exception):  # it is met again, in its turn, where the item is fetched
                call.asked = self._send_ahead(call.item)
        self._asks = call.asked is not None
        if self._asks:
            self._pace.skip_probing()
        elif self._by_threads:
            self._leave_to_threads(call)

    def _leave_to_threads(self, call: Call[T, R]) -> None:
        with self._lock:
            self._queue.append(call)
            idle = self._working < self._pace.limit
            self._working += idle
        if idle:
            self._threads.lend(self._work)

    def _has_room_for(self, call: Call[T, R]) -> bool:
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
        call: Call[T, R] | None = None
        with on_failed_try(self._pace.slow_down):
            while (call := self._next_call()) is not None:
                self._run(call)

    def _run(self, call: Call[T, R]) -> None:
        try:
            result = self._probe(call) if self._pace.is_probing else call.run(self._fetch)
            if result is not None:
                self._learn(call, self._result_bytes(result))
        except BaseException as error:  # whatever it is: somebody waits for this call
            call.fail(error)
        finally:
            call.done.release()

    def _probe(self, call: Call[T, R]) -> R | None:
        cpu_s, wall_s = time.thread_time(), time.perf_counter()
        result = call.run(self._fetch)
        self._pace.read(time.thread_time() - cpu_s, time.perf_counter() - wall_s)
        return result

    def _next_call(self) -> Call[T, R] | None:
        with self._lock:
            if self._working <= self._pace.limit:
                with suppress(IndexError):
                    return self._queue.popleft()
            self._working -= 1
            self._threads.give_back()
            if not self._working:
                self._nobody_works.notify_all()
            return None

    def _learn(self, call: Call[T, R], size_bytes: int) -> None:
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
        for call in self._in_order:
            if call.asked is not None:
                call.asked.close()
        self._queue.clear()
        if not self._threads.has_this_thread():  # collected there: it could wait for itself
            with self._nobody_works:
                self._nobody_works.wait_for(lambda: not self._working, _CLOSE_WAIT_S)
        self._threads.leave()
