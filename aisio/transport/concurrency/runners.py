"""The three ways to run a call of `ordered`: sent ahead, in a thread, or inline.

Locks are reentrant: in a thread that holds one, a signal handler may read, and the garbage
collector may close an iteration that nobody closed.

Lock order: ReadingThreads' lock before a runner's. A worker that holds its runner's lock takes no
other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from aisio.records import MAX_CONCURRENT_READS
from aisio.transport.concurrency.byte_budget import ByteBudget
from aisio.transport.concurrency.calls import Call, Runner
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.pending import PendingGet, count_pending, offering
from aisio.transport.concurrency.threads import reading_threads
from aisio.transport.http.connection_pool import RECEIVE_BUFFER_BYTES
from aisio.transport.retries import on_failed_try

__all__ = ["InThread", "Inline", "SentAhead"]

T = TypeVar("T")
R = TypeVar("R")


class Inline(Runner[T, R]):
    """Runs a call when its turn comes, in the thread that iterates.

    Args:
        fetch: Fetches an item.
        result_bytes: Returns the size of a result.
        limit: Learns what reads take.
        budget: Has bytes reserved for the call.
    """

    def __init__(
        self,
        fetch: Callable[[T], R],
        result_bytes: Callable[[R], int],
        limit: AdaptiveLimit,
        budget: ByteBudget,
    ) -> None:
        self._fetch = fetch
        self._result_bytes = result_bytes
        self._limit = limit
        self._budget = budget

    def start(self, call: Call[T, R]) -> bool:
        """See `Runner.start`; nothing happens before the call's turn."""
        call.runner = self
        return True

    def finish(self, call: Call[T, R]) -> R:
        """See `Runner.finish`."""
        started = self._limit.now()
        result = call.run_now(self._fetch)
        size = self._result_bytes(result)
        self._budget.record_result(call, size)
        self._budget.release(call)
        self._limit.record_delivery(size, self._limit.now() - started)
        return result


class SentAhead(Runner[T, R]):
    """Sends a call's request at once, and reads the response when its turn comes.

    Args:
        send: Sends the request of an item; returns None where that is not possible.
        inline: Reads the response.
        limit: How many may be in flight.
        max_bytes: Larger results are not for this runner.

    Attributes:
        max_bytes: As above.
        is_possible: Whether the last request could be sent.
        expects_redirects: Whether any request has to be sent on when its redirect has come.
    """

    def __init__(
        self,
        send: Callable[[T], PendingGet | None],
        inline: Inline[T, R],
        limit: AdaptiveLimit,
        max_bytes: int = RECEIVE_BUFFER_BYTES,
    ) -> None:
        self._send = send
        self._inline = inline
        self._limit = limit
        self.max_bytes = max_bytes
        self.is_possible = True
        self.expects_redirects = False

    def start(self, call: Call[T, R]) -> bool:
        """See `Runner.start`."""
        is_allowed = not call.is_large and count_pending() < MAX_CONCURRENT_READS
        try:
            call.pending = self._send(call.item) if is_allowed else None
        except Exception:  # whatever is wrong: fetching the item meets it in its turn
            call.pending = None
        self.is_possible = call.pending is not None
        if call.pending is not None:
            call.runner = self
            self._limit.skip_probing()
            self.expects_redirects = self.expects_redirects or call.pending.expects_redirect
        return self.is_possible

    def finish(self, call: Call[T, R]) -> R:
        """See `Runner.finish`."""
        assert call.pending is not None
        with offering(call.pending):
            return self._inline.finish(call)


class InThread(Runner[T, R]):
    """Runs calls in threads of the process, and keeps their outcomes until their turn.

    Args:
        fetch: Fetches an item; several threads call it at once.
        result_bytes: Returns the size of a result.
        limit: How many may run at a time.
        budget: Has bytes reserved for the calls.
    """

    def __init__(
        self,
        fetch: Callable[[T], R],
        result_bytes: Callable[[R], int],
        limit: AdaptiveLimit,
        budget: ByteBudget,
    ) -> None:
        self._fetch = fetch
        self._result_bytes = result_bytes
        self._limit = limit
        self._budget = budget
        self._queue: deque[Call[T, R]] = deque()
        self._working = 0
        self._lock = threading.RLock()
        self._nobody_works = threading.Condition(self._lock)
        self._threads = reading_threads()
        self._threads.begin_run()

    def start(self, call: Call[T, R]) -> bool:
        """See `Runner.start`."""
        call.runner = self
        call.done = threading.Lock()
        call.done.acquire()
        with self._lock:
            self._queue.append(call)
            needs_thread = self._working < self._limit.current
            self._working += needs_thread
        if needs_thread:
            self._threads.lend(self._work)
        return True

    def finish(self, call: Call[T, R]) -> R:
        """See `Runner.finish`."""
        waited_s = 0.0
        if not call.done.acquire(blocking=False):
            started = self._limit.now()
            call.done.acquire()
            waited_s = self._limit.now() - started
        self._budget.release(call)
        self._limit.record_delivery(call.size_bytes or 0, waited_s)
        return call.outcome()

    def close(self) -> None:
        """Forget the calls that no thread has begun, and wait a moment for the others."""
        self._queue.clear()
        # The garbage collector may close an iteration in one of its threads: it would wait for
        # itself.
        if not self._threads.has_this_thread():
            with self._nobody_works:
                self._nobody_works.wait_for(lambda: not self._working, self._threads.close_wait_s)
        self._threads.end_run()

    def _work(self) -> None:
        call: Call[T, R] | None = None
        with on_failed_try(self._limit.slow_down):
            while (call := self._next_call()) is not None:
                self._run(call)

    def _next_call(self) -> Call[T, R] | None:
        with self._lock:
            if self._working <= self._limit.current:
                with suppress(IndexError):
                    return self._queue.popleft()
            self._working -= 1
            self._threads.give_back()
            if not self._working:
                self._nobody_works.notify_all()
            return None

    def _run(self, call: Call[T, R]) -> None:
        try:
            result = self._probe(call) if self._limit.is_probing else call.run(self._fetch)
            if result is not None:
                self._budget.record_result(call, self._result_bytes(result))
        except BaseException as error:  # whatever it is: the iteration waits for this call
            call.fail(error)
        finally:
            call.done.release()

    def _probe(self, call: Call[T, R]) -> R | None:
        cpu_s, wall_s = time.thread_time(), time.perf_counter()
        result = call.run(self._fetch)
        self._limit.record_read(time.thread_time() - cpu_s, time.perf_counter() - wall_s)
        return result
