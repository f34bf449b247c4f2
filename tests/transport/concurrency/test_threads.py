"""Threads that iterations borrow: they belong to the process, and end before a fork."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from aisio.records import Concurrency
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.threads import ReadingThreads, end_idle_threads


def fixed(count: int) -> AdaptiveLimit:
    """Return a limit that never changes."""
    return AdaptiveLimit(Concurrency(fixed=count))


def read(number: int) -> bytes:
    """Return ten bytes that tell the number."""
    return b"%010d" % number


def read_some() -> list[int]:
    """Read a few, in threads."""
    results = fetch_in_order(range(20), read, limit=fixed(4), result_bytes=len)
    return [int(result) for result in results]


def test_there_are_as_many_threads_as_were_lent_at_a_time() -> None:
    """One that was given back is lent again; the work is done by another thread."""
    threads, done, names = ReadingThreads(), threading.Semaphore(0), []

    def work() -> None:
        names.append(threading.current_thread().name)
        threads.give_back()
        done.release()

    for _ in range(3):
        threads.lend(work)
        assert done.acquire(timeout=250)
    threads.end_idle_threads()
    assert names == ["aisio-read"] * 3
    assert not threads.has_this_thread()


def test_threads_that_an_iteration_may_need_do_not_end() -> None:
    """They do when it has ended."""
    threads, done = ReadingThreads(), threading.Semaphore(0)
    lent: list[threading.Thread] = []

    def work() -> None:
        lent.append(threading.current_thread())
        threads.give_back()
        done.release()

    threads.begin_run()
    threads.lend(work)
    assert done.acquire(timeout=250)
    threads.end_idle_threads()
    assert lent[0].is_alive()
    threads.end_run()
    threads.end_idle_threads()
    assert not lent[0].is_alive()


def reading_threads() -> int:
    """Count the threads that read."""
    return sum(thread.name == "aisio-read" for thread in threading.enumerate())


def test_fifty_cut_short_epochs_leave_no_more_threads() -> None:
    """Threads belong to the process and are used again."""
    gc.collect()
    end_idle_threads()
    before = reading_threads()
    for _ in range(50):
        results = fetch_in_order(
            range(100), read, limit=fixed(4), size_of=lambda _: 10, result_bytes=len
        )
        next(results)
        del results
    gc.collect()
    assert reading_threads() <= before + 4
    end_idle_threads()
    assert reading_threads() == before


def test_no_idle_thread_is_there_when_a_process_forks() -> None:
    """Python 3.12 warns of a fork beside threads."""
    gc.collect()
    end_idle_threads()
    before = reading_threads()
    read_some()
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    assert reading_threads() == before


FORKS_BESIDE_READS = """
import os, sys, threading
from aisio.transport.concurrency.ordered import fetch_in_order

def read():
    for _ in range(500):
        assert len(list(fetch_in_order(range(8), lambda n: b"x", result_bytes=len))) == 8

sys.setswitchinterval(1e-5)
reader = threading.Thread(target=read, daemon=True)
reader.start()
for _ in range(200):
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
reader.join()
"""


def test_a_fork_beside_a_reading_thread_does_not_hang() -> None:
    """Threads that end before it are not kept by one that has just begun."""
    subprocess.run([sys.executable, "-c", FORKS_BESIDE_READS], check=True, timeout=250)


def test_a_signal_handler_may_read_while_a_thread_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs in the thread that it interrupts, wherever that is."""
    end_idle_threads()
    start = threading.Thread.start
    handled: list[object] = []

    def interrupted(thread: threading.Thread) -> None:
        if not handled:
            handled.append(True)
            signal.raise_signal(signal.SIGUSR1)
        start(thread)

    previous = signal.signal(signal.SIGUSR1, lambda *_: handled.append(read_some()))
    try:
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        assert read_some() == list(range(20))
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert handled == [True, list(range(20))]


def test_where_the_system_has_no_more_threads_fewer_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with a bound on them; where there is none at all, the caller does."""
    end_idle_threads()
    start, allowed = threading.Thread.start, [None] * 2

    def start_some(thread: threading.Thread) -> None:
        if not allowed:
            raise RuntimeError("can't start new thread")
        allowed.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    readers: set[int] = set()

    def read_and_tell(number: int) -> bytes:
        readers.add(threading.get_ident())
        return read(number)

    for count in (2, 0):
        readers.clear()
        results = fetch_in_order(range(50), read_and_tell, limit=fixed(8), result_bytes=len)
        assert [int(result) for result in results] == list(range(50))
        assert len(readers) <= max(1, count)
        end_idle_threads()
    assert readers == {threading.get_ident()}
