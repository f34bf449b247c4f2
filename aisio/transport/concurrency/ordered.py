"""Many small reads at once, their results in order.

Theory of operation. Reading a small object takes a round trip, not bandwidth. So a few reads are
always in flight, each on a connection of its own, and their results are yielded in the order of the
items. A read is run in one of three ways (see `runners`):

Sent ahead. The thread that iterates sends the request, and reads the response when its turn comes;
until then the system keeps what arrives. No thread is woken for it, and none waits for the
interpreter's lock. Where one failure strikes several requests, as a restarted server does, they are
sent again together.

In a thread. For requests that cannot be sent ahead (https, stores that are no cluster), and for
large objects, whose bytes the system would not keep. The threads belong to the process (see
`threads`). No thread waits inside an iteration for more work, so an iterator that nobody closes
holds no thread.

Inline. In the thread that iterates, when the turn comes: for callers who want no threads, and where
one read at a time is best.

How many reads are in flight is found by trial (`AdaptiveLimit`): more, as long as that is faster;
fewer, if that is as fast; half as many, when the store asks for it.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from aisio.errors import StorageError, StoreTimeoutError
from aisio.forks import this_process
from aisio.transport.concurrency.byte_budget import ByteBudget
from aisio.transport.concurrency.calls import Call, Feed
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.concurrency.runners import Inline, InThread, SentAhead
from aisio.transport.http.connection_pool import RECEIVE_BUFFER_BYTES, RequestState
from aisio.transport.retries import on_failed_try

__all__ = ["fetch_in_order"]

T = TypeVar("T")
R = TypeVar("R")

_STARTED_PER_THREAD = 2
"""How many calls are started for each one that may run: a slow one does not stop the others."""

_LARGE_BYTES = 1 << 20
"""Reading an object of this size is mostly copying bytes, which several threads can do at once."""


def fetch_in_order(
    items: Iterable[T],
    fetch: Callable[[T], R],
    *,
    send_ahead: Callable[[T], PendingGet | None] = lambda _: None,
    limit: AdaptiveLimit | None = None,
    size_of: Callable[[T], int | None] = lambda _: None,
    result_bytes: Callable[[R], int],
    in_threads: bool = True,
    max_ahead_bytes: int = RECEIVE_BUFFER_BYTES,
) -> Iterator[R]:
    """Yield `fetch(item)` for each item, in order, with several calls in flight.

    The thread that iterates pulls the items and sends requests ahead. It also fetches an item that
    is alone. An error, of the items or of a call, is raised at its place in the order and ends the
    iteration. Calls that are not started when the iterator is closed never are.

    Args:
        items: What to fetch.
        fetch: Fetches an item. The thread that iterates calls it for requests that were sent ahead,
            and without `in_threads`; else other threads call it, several at once.
        send_ahead: Sends the request of a later fetch; returns None where that is not possible.
        limit: How many calls, and how many bytes, may be in flight. It keeps what it has learned
            for the next iteration. Without it a new one.
        size_of: Returns the size of an item's result; None where it is not known: then the results
            so far tell what to expect.
        result_bytes: Returns the size of a result.
        in_threads: Threads fetch what cannot be sent ahead. If not, the thread that iterates does,
            and the item is pulled when its turn comes.
        max_ahead_bytes: Larger results are not sent ahead. By default those of which the system
            would not keep the whole response.

    Raises:
        StorageError: A forked child iterates on: it has none of the threads.
    """
    limit = limit or AdaptiveLimit()
    feed: Feed[T, R] = Feed(items, size_of)
    if limit.maximum == 1 or (in_threads and feed.has_at_most_one()):
        while (call := feed.next()) is not None:
            yield call.run_now(fetch)
        return
    budget = ByteBudget(limit.max_bytes)
    inline = Inline(fetch, result_bytes, limit, budget)
    threads = InThread(fetch, result_bytes, limit, budget) if in_threads else None
    sent_ahead = SentAhead(send_ahead, inline, limit, max_ahead_bytes)
    run = _Run(feed, limit, budget, inline, sent_ahead, threads)
    try:
        yield from run.results()
    finally:
        run.close()


class _Run(Generic[T, R]):
    """One iteration.

    Args:
        feed: The calls to come.
        limit: How many may be in flight.
        budget: How many bytes may be in flight.
        inline: Runs calls in the thread that iterates.
        sent_ahead: Runs calls whose requests can be sent ahead.
        threads: Runs the others in threads; None has them run inline.
    """

    def __init__(
        self,
        feed: Feed[T, R],
        limit: AdaptiveLimit,
        budget: ByteBudget,
        inline: Inline[T, R],
        sent_ahead: SentAhead[T, R],
        threads: InThread[T, R] | None,
    ) -> None:
        self._feed = feed
        self._limit = limit
        self._budget = budget
        self._inline = inline
        self._sent_ahead = sent_ahead
        self._threads = threads
        self._started: deque[Call[T, R]] = deque()
        self._process = this_process()
        self._reader = 0
        self._resends_after_read = False

    def results(self) -> Iterator[R]:
        self._limit.start()
        first = self._feed.peek()
        if first is not None and (first.size_bytes or 0) > _LARGE_BYTES:
            self._limit.skip_probing()
        while True:
            self._process.check("this iteration")
            self._start_calls()
            if not self._started:
                return
            yield self._finish(self._started.popleft())

    def _start_calls(self) -> None:
        while len(self._started) < self._max_started():
            call = self._feed.peek()
            if call is None:
                return
            call.is_large = self._budget.expected_bytes(call) > self._sent_ahead.max_bytes
            if not self._budget.reserve(call, is_only=not self._started):
                return
            self._feed.next()
            self._started.append(call)
            if self._limit.current == 1 or call.has_failed:
                # With one read at a time, a thread brings nothing and costs a wake-up.
                self._inline.start(call)
            else:
                self._start(call)

    def _max_started(self) -> int:
        current = self._limit.current
        if current == 1:
            return 1
        if self._threads is not None:
            return current if self._sent_ahead.is_possible else _STARTED_PER_THREAD * current
        # Items are pulled in their turn, unless they are known to be small.
        return current if self._sent_ahead.is_possible and self._budget.knows_sizes else 1

    def _start(self, call: Call[T, R]) -> None:
        if not self._sent_ahead.start(call):
            (self._threads or self._inline).start(call)

    def _finish(self, call: Call[T, R]) -> R:
        assert call.runner is not None
        self._reader = threading.get_ident()
        if self._sent_ahead.expects_redirects:
            for started in self._started:
                if started.pending is not None:
                    started.pending.advance()
        with on_failed_try(self._on_failed_try):
            result = call.runner.finish(call)
        if self._resends_after_read:
            self._resends_after_read = False
            self._send_again()
        return result

    def _on_failed_try(self, error: StorageError) -> None:
        self._limit.slow_down(error)
        # The threads that read the parts of a large object report their failures here, too.
        if error.status is None and threading.get_ident() == self._reader:
            self._send_again(timed_out=isinstance(error, StoreTimeoutError))
        else:
            # The server may have refused other requests too; send those again after this read has
            # succeeded.
            self._resends_after_read = True

    def _send_again(self, *, timed_out: bool = False) -> None:
        """Send the requests again that have failed: one wait is enough for all of them.

        After a timeout this includes responses that have begun to arrive, and may have stopped.
        Those that have not begun need nothing: their timeout counts from when they were sent.
        """
        for call in self._started:
            if call.pending is None:
                continue
            state = call.pending.state
            if state is RequestState.FAILED or (timed_out and state is RequestState.ANSWERED):
                call.pending.close()
                self._start(call)
                if call.pending is None:
                    return  # no server accepts requests now: the others are sent in their turn

    def close(self) -> None:
        if not self._process.is_current or sys.is_finalizing():
            return  # the threads are gone, or stand still and may hold the lock for ever
        for call in self._started:
            if call.pending is not None:
                call.pending.close()
        if self._threads is not None:
            self._threads.close()
