"""Lazy: made on first use, and then never again."""

from __future__ import annotations

import pickle
import threading
import time
from functools import partial

import pytest

from aisio.stores.lazy import Lazy


def append(calls):
    """Note a call, and return how many there were."""
    calls.append(1)
    return len(calls)


def test_the_value_is_made_by_the_first_call():
    """Later calls return the same one."""
    calls: list[int] = []
    lazy = Lazy(partial(append, calls))
    assert calls == []
    assert (lazy(), lazy(), calls) == (1, 1, [1])


def test_threads_wait_for_the_one_that_makes_it():
    """None of them makes it a second time."""
    calls: list[int] = []
    begun, allowed = threading.Event(), threading.Event()

    def make():
        begun.set()
        allowed.wait(10)
        return append(calls)

    lazy, got = Lazy(make), []
    threads = [threading.Thread(target=lambda: got.append(lazy())) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(10)
    allowed.set()
    for thread in threads:
        thread.join()
    assert (got, calls) == ([1] * 4, [1])


def test_what_fails_is_tried_again():
    """An error is no value."""
    calls: list[int] = []

    def make():
        if append(calls) == 1:
            raise OSError("not yet")
        return "made"

    lazy = Lazy(make)
    with pytest.raises(OSError, match="not yet"):
        lazy()
    assert lazy() == "made"


def test_it_pickles_with_its_value():
    """A worker does not make it again; without a value it makes its own."""
    lazy = Lazy(time.monotonic)
    before = pickle.loads(pickle.dumps(lazy))
    value = lazy()
    assert pickle.loads(pickle.dumps(lazy))() == value
    assert before() != value
