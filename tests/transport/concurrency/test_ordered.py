"""fetch_in_order: order, bounds and errors, and that threads come and go as they should."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.client.client import Client
from aisio.errors import NotFoundError, StorageError, ThrottledError
from aisio.records import Concurrency, RetryPolicy, Settings
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.threads import end_idle_threads
from aisio.transport.retries import Attempts, Waiter, retry
from tests.http_server import Reply, Server


class Store:
    """Knows who is reading; reads of a held name wait until it is let go."""

    def __init__(self, *held: int) -> None:
        self.held = {number: threading.Event() for number in held}
        self.began: list[int] = []
        self.reading = 0
        self.most_reading = 0
        self.threads: set[int] = set()
        self._lock = threading.Lock()

    def read(self, number: int) -> bytes:
        """Return ten bytes that tell the number."""
        with self._lock:
            self.began.append(number)
            self.reading += 1
            self.most_reading = max(self.most_reading, self.reading)
            self.threads.add(threading.get_ident())
        if number in self.held:
            self.held[number].wait()
        with self._lock:
            self.reading -= 1
        return b"%010d" % number


def numbers(results: Iterator[bytes]) -> list[int]:
    """Return what the bytes tell."""
    return [int(result) for result in results]


def fixed(count: int, most_bytes: int = 1 << 20) -> AdaptiveLimit:
    """Return a limit that never changes."""
    return AdaptiveLimit(Concurrency(fixed=count, most_bytes=most_bytes))


def test_results_come_in_order() -> None:
    """The first one is the last to be ready."""
    store = Store(0)
    results = fetch_in_order(
        range(50), store.read, limit=AdaptiveLimit(), size_of=lambda _: 10, result_bytes=len
    )
    threading.Timer(0.05, store.held[0].set).start()
    assert numbers(results) == list(range(50))
    assert sorted(store.began) == list(range(50))


def test_no_more_are_read_at_once_than_allowed() -> None:
    """And no more are begun than are soon to be asked for."""
    store = Store(0)
    results = fetch_in_order(
        range(100), store.read, limit=fixed(3), size_of=lambda _: 10, result_bytes=len
    )
    threading.Timer(0.05, store.held[0].set).start()
    assert next(results) == b"%010d" % 0
    assert store.most_reading <= 3
    assert len(store.began) <= 6
    assert numbers(results) == list(range(1, 100))
    assert store.most_reading <= 3


@pytest.mark.parametrize("known", [True, False])
def test_no_more_bytes_are_held_than_allowed(known: bool) -> None:
    """Ten bytes each, thirty in all; where sizes are unknown, results tell what to expect."""
    store = Store(9)
    results = fetch_in_order(
        range(100),
        store.read,
        limit=fixed(8, most_bytes=30),
        size_of=lambda _: 10 if known else None,
        result_bytes=len,
    )
    assert numbers(next(results) for _ in range(9)) == list(range(9))
    assert max(store.began) <= 11
    store.held[9].set()
    assert numbers(results) == list(range(9, 100))


def test_one_object_above_the_bound_goes_alone() -> None:
    """It is not refused, and nothing is read beside it."""
    store = Store()
    results = fetch_in_order(
        range(10), store.read, limit=fixed(8, most_bytes=5), size_of=lambda _: 10, result_bytes=len
    )
    assert numbers(results) == list(range(10))
    assert store.most_reading == 1


@pytest.mark.parametrize("items", [[], [7]])
def test_one_item_needs_no_thread(items: list[int]) -> None:
    """It is read by who asks."""
    store = Store()
    assert numbers(fetch_in_order(items, store.read, result_bytes=len)) == items
    assert store.threads <= {threading.get_ident()}


def test_one_at_a_time_needs_no_thread() -> None:
    """Which is the plain loop, lazy too."""
    store = Store()
    results = fetch_in_order(range(9), store.read, limit=fixed(1), result_bytes=len)
    assert next(results)
    assert store.began == [0]
    assert numbers(results) == list(range(1, 9))
    assert store.threads == {threading.get_ident()}


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("missing", [0, 5, 19])
def test_an_error_comes_at_its_place(at_once: int, missing: int) -> None:
    """What lies before it is delivered first; then the iteration is over."""

    def read(number: int) -> bytes:
        if number == missing:
            raise NotFoundError(f"GET {number}")
        return b"%d" % number

    results = fetch_in_order(
        range(20), read, limit=fixed(at_once), size_of=lambda _: 1, result_bytes=len
    )
    assert numbers(next(results) for _ in range(missing)) == list(range(missing))
    with pytest.raises(NotFoundError, match=f"GET {missing}"):
        next(results)
    assert list(results) == []


@pytest.mark.parametrize("listed", [0, 1, 2, 30])
@pytest.mark.parametrize("at_once", [1, 4])
def test_an_error_of_the_listing_comes_behind_what_was_listed(listed: int, at_once: int) -> None:
    """Listing goes ahead of reading; that does not show."""

    def listing() -> Iterator[int]:
        yield from range(listed)
        raise NotFoundError("page 2")

    results = fetch_in_order(listing(), Store().read, limit=fixed(at_once), result_bytes=len)
    assert numbers(next(results) for _ in range(listed)) == list(range(listed))
    with pytest.raises(NotFoundError, match="page 2"):
        next(results)


def test_what_was_not_begun_never_is() -> None:
    """Closing drops the queue, and waits for what is under way."""
    store = Store(1, 2)
    results = fetch_in_order(
        range(100), store.read, limit=fixed(2), size_of=lambda _: 10, result_bytes=len
    )
    next(results)
    for event in store.held.values():
        threading.Timer(0.05, event.set).start()
    results.close()  # type: ignore[attr-defined]
    assert store.reading == 0
    assert max(store.began) <= 3


def reading_threads() -> int:
    """Count the threads that read."""
    return sum(thread.name == "aisio-read" for thread in threading.enumerate())


def test_two_iterations_at_once() -> None:
    """Also from one thread, in turns."""
    one, two = (
        fetch_in_order(range(40), Store().read, limit=fixed(4), result_bytes=len) for _ in range(2)
    )
    assert [(int(a), int(b)) for a, b in zip(one, two, strict=True)] == [
        (number, number) for number in range(40)
    ]


def read_some(_: object = None) -> list[int]:
    """Read a few, in threads."""
    return numbers(fetch_in_order(range(20), Store().read, limit=fixed(4), result_bytes=len))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_kind_of_child_reads_after_its_parent_has(method: str) -> None:
    """A forked child has none of the parent's threads and must not wait for them."""
    assert read_some() == list(range(20))
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(read_some, range(2)) == [list(range(20))] * 2


def test_a_forked_copy_of_an_iteration_is_closed_without_harm() -> None:
    """Its lock may never be free again in the child, and its threads are not there."""
    results = fetch_in_order(range(100), Store().read, limit=fixed(4), result_bytes=len)
    next(results)
    pid = os.fork()
    if not pid:
        results.close()  # type: ignore[attr-defined]
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert numbers(results) == list(range(1, 100))


def test_a_forked_child_cannot_read_on_in_its_parents_iteration() -> None:
    """The threads that read for it stayed in the parent: it says so, and does not wait."""
    results = fetch_in_order(range(100), Store().read, limit=fixed(4), result_bytes=len)
    next(results)
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        try:
            next(results)
        except StorageError as error:
            os._exit(7 if "begun before the fork: begin another" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert numbers(results) == list(range(1, 100))


def test_a_program_with_an_open_iteration_ends() -> None:
    """No thread waits inside an iteration for somebody to ask on."""
    code = (
        "from aisio.transport.concurrency.ordered import fetch_in_order\n"
        "results = fetch_in_order(range(100), lambda n: b'x', result_bytes=len)\n"
        "next(results)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=250)


def test_a_program_ends_at_once_though_a_read_is_under_way() -> None:
    """Its thread stands still by then: it is not waited for."""
    code = (
        "import time\n"
        "from aisio.transport.concurrency.ordered import fetch_in_order\n"
        "from aisio.transport.concurrency.threads import reading_threads\n"
        "reading_threads().close_wait_s = 500.0\n"
        "results = fetch_in_order([0, 500], time.sleep, size_of=int, result_bytes=len)\n"
        "next(results)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=250, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_an_iteration_may_be_closed_while_another_one_starts_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the garbage collector does, in the same thread; also while the closed one's reads end."""
    end_idle_threads()
    store = Store(1)
    abandoned = fetch_in_order(
        range(9), store.read, limit=fixed(2), size_of=lambda _: 10, result_bytes=len
    )
    next(abandoned)
    start, closed = threading.Thread.start, threading.Event()

    def close_and_start(thread: threading.Thread) -> None:
        if thread.name == "aisio-read" and not closed.is_set():
            closed.set()
            start(threading.Timer(0.05, store.held[1].set))
            abandoned.close()  # type: ignore[attr-defined]
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", close_and_start)
    results = fetch_in_order(range(50), Store().read, limit=fixed(8), result_bytes=len)
    assert numbers(results) == list(range(50))
    assert closed.is_set()
    assert list(abandoned) == []


class ClosingLimit(AdaptiveLimit):
    """Runs something, once, where a reading thread looks for its next call."""

    close: threading.Event | None = None
    results: Iterator[bytes]

    @property
    def current(self) -> int:
        """How many may be in flight."""
        if self.close is not None and threading.current_thread().name == "aisio-read":
            closed, self.close = self.close, None
            self.results.close()  # type: ignore[attr-defined]
            closed.set()
        return self._current

    @current.setter
    def current(self, current: int) -> None:
        self._current = current


def test_an_iteration_may_be_closed_by_its_own_thread() -> None:
    """As the garbage collector does, whoever it interrupts: no thread waits for itself."""
    limit = ClosingLimit(Concurrency(fixed=2))
    store = Store(1)
    limit.results = fetch_in_order(
        range(50), store.read, limit=limit, size_of=lambda _: 10, result_bytes=len
    )
    next(limit.results)
    limit.close = closed = threading.Event()
    store.held[1].set()
    assert closed.wait(10)
    assert list(limit.results) == []
    assert read_some() == list(range(20))


def test_a_store_that_asks_for_fewer_gets_fewer() -> None:
    """The retry loop's failures are heard, though the call succeeds in the end."""
    policy = RetryPolicy(attempts=3, first_wait_s=0)
    failed: list[int] = []

    def read(number: int) -> bytes:
        def attempt() -> bytes:
            if number == 3 and not failed:
                failed.append(number)
                raise ThrottledError("429")
            return b"%d" % number

        return retry(attempt, Attempts(policy, Waiter(wait=lambda _: None)))

    adaptive = AdaptiveLimit(Concurrency(start=8))
    while adaptive.is_probing:
        adaptive.record_delivery(0, 0.0)
    results = fetch_in_order(range(20), read, limit=adaptive, result_bytes=len)
    assert numbers(results) == list(range(20))
    assert adaptive.current == 4


def open_sockets() -> int:
    """Count this process's sockets."""
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    count = 0
    for link in links:
        try:
            count += os.readlink(link).startswith("socket:")  # noqa: PTH115
        except FileNotFoundError:
            continue
    return count


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")
def test_connections_outlive_threads_and_end_with_their_client() -> None:
    """Keep-alive from one iteration to the next, and no socket behind the client."""
    end_idle_threads()
    gc.collect()
    before = open_sockets()
    with Server(*[Reply(200, b"x")] * 60) as server:
        client = Client.from_settings(
            Settings(server.url, retry=RetryPolicy(attempts=1), direct=False)
        )
        group = client.bucket("b").objects([f"o{number}" for number in range(30)])
        for _ in range(2):
            assert len(list(group.get_all(concurrency=4))) == 30
            end_idle_threads()
        assert server.connections <= 4
        client.close()
    gc.collect()
    assert open_sockets() <= before


def test_one_at_a_time_is_fetched_by_the_calling_thread() -> None:
    """Where one is all that is worth having under way, no other thread is woken for it."""
    limit = AdaptiveLimit(Concurrency(start=1))
    while limit.is_probing:
        limit.record_delivery(0, 0.0)
    by = fetch_in_order(
        range(5), lambda _: threading.get_ident(), limit=limit, result_bytes=lambda _: 1
    )
    assert set(by) == {threading.get_ident()}


def test_large_results_are_begun_with_at_full_number() -> None:
    """Their size is known before the first is asked for."""
    limit = AdaptiveLimit(Concurrency(start=3))
    sizes = fetch_in_order(
        range(5), lambda _: b"x", limit=limit, size_of=lambda _: 2 << 20, result_bytes=len
    )
    next(sizes)
    assert (limit.current, limit.is_probing) == (3, False)


def test_where_it_comes_to_one_the_calling_thread_goes_on() -> None:
    """What other threads have begun is waited for; then none is woken any more."""
    threads: list[int] = []

    def read(number: int) -> bytes:
        threads.append(threading.get_ident())
        return b"%010d" % number

    found = AdaptiveLimit()
    results = fetch_in_order(range(30), read, limit=found, size_of=lambda _: 10, result_bytes=len)
    first = next(results)
    found.slow_down(ThrottledError("429"))
    assert found.current == 1
    assert numbers(iter([first, *results])) == list(range(30))
    assert set(threads[-20:]) == {threading.get_ident()}


def test_a_result_that_cannot_be_measured_is_an_error() -> None:
    """Not a wait that never ends."""

    def fail(_: bytes) -> int:
        raise ValueError("no size")

    with pytest.raises(ValueError, match="no size"):
        list(fetch_in_order(range(9), Store().read, limit=fixed(2), result_bytes=fail))


@pytest.mark.parametrize(("max_ahead_bytes", "sent"), [(99, []), (100, [0, 1, 2, 3])])
def test_what_is_too_large_is_not_sent_ahead(max_ahead_bytes: int, sent: list[int]) -> None:
    """The reader of the results knows what the system can keep."""
    asked: list[int] = []

    def send(item: int) -> None:
        asked.append(item)

    results = fetch_in_order(
        range(4),
        lambda item: bytes(100),
        send_ahead=send,
        limit=AdaptiveLimit(Concurrency(fixed=2)),
        size_of=lambda item: 100,
        result_bytes=len,
        max_ahead_bytes=max_ahead_bytes,
    )
    assert len(list(results)) == 4
    assert asked == sent
