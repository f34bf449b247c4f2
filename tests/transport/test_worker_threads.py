"""WorkerThreads: they have the caller's context, and end with their owner."""

from __future__ import annotations

import contextvars
import threading

from aisio.transport.worker_threads import WorkerThreads, end_idle_threads

NAME = contextvars.ContextVar("NAME", default="nobody")


def test_work_is_done_in_the_context_of_who_gives_it() -> None:
    """By a thread of that name, which ends."""
    threads = WorkerThreads(2, "aisio-test")
    NAME.set("me")
    future = threads.submit(lambda: (NAME.get(), threading.current_thread().name))
    assert future.result() == ("me", "aisio-test_0")
    threads.end(cancel=False)
    assert not [one for one in threading.enumerate() if one.name.startswith("aisio-test")]


def test_work_that_was_not_begun_can_be_dropped() -> None:
    """What was begun is waited for."""
    threads, begun, go_on = WorkerThreads(1, "aisio-test"), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait()

    first, second = threads.submit(wait), threads.submit(wait)
    begun.wait()
    ending = threading.Thread(target=lambda: threads.end(cancel=True))
    ending.start()
    go_on.set()
    ending.join()
    assert (first.done(), second.cancelled()) == (True, True)


def test_one_of_the_threads_may_end_them() -> None:
    """As the garbage collector may have it do: it does not wait for itself."""
    threads = WorkerThreads(1, "aisio-test")
    threads.submit(lambda: threads.end(cancel=True)).result()
    threads.end(cancel=True)


def test_a_later_thread_with_the_identifier_of_one_that_ended_waits() -> None:
    """The system gives the identifiers of ended threads to new ones, which are no workers."""
    threads, go_on, left = WorkerThreads(1, "aisio-test"), threading.Event(), threading.Event()
    threads.submit(lambda: None).result()
    end_idle_threads()

    def end() -> None:
        threads.submit(go_on.wait)
        threads.end(cancel=False)
        left.set()

    ending = threading.Thread(target=end)
    ending.start()
    try:
        assert not left.wait(0.05)
    finally:
        go_on.set()
        ending.join()


def test_idle_threads_end_before_a_fork() -> None:
    """Those at work stay; later work starts new threads."""
    idle, busy = WorkerThreads(2, "aisio-idle"), WorkerThreads(1, "aisio-busy")
    go_on = threading.Event()
    idle.submit(lambda: None).result()
    waiting = busy.submit(go_on.wait)
    end_idle_threads()
    names = [one.name for one in threading.enumerate()]
    assert [name for name in names if name.startswith(("aisio-idle", "aisio-busy"))] == [
        "aisio-busy_0"
    ]
    assert idle.submit(lambda: 1).result() == 1
    go_on.set()
    assert waiting.result()
    for one in (idle, busy):
        one.end(cancel=False)
