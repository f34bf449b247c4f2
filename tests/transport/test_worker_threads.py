"""WorkerThreads: they have the caller's context, and end with their owner."""

from __future__ import annotations

import contextvars
import threading

from aisio.transport.worker_threads import WorkerThreads

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
