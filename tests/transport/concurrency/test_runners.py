"""Runners: each way to run a call starts it when it should, and gives its result in its turn."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from aisio.records import Concurrency
from aisio.transport.concurrency.byte_budget import ByteBudget
from aisio.transport.concurrency.calls import Call
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.concurrency.runners import Inline, InThread, SentAhead


class Request:
    """Stands for a request that was sent ahead."""

    def __init__(self, *, expects_redirect: bool = False) -> None:
        self.expects_redirect = expects_redirect
        self.is_closed = False

    def close(self) -> None:
        """Remember it."""
        self.is_closed = True


def call_of(item: int) -> Call[int, bytes]:
    """Return a call."""
    return Call(item, None)


def inline(limit: AdaptiveLimit) -> Inline[int, bytes]:
    """Return what runs calls when their turn comes."""
    return Inline(lambda item: b"%d" % item, len, limit, ByteBudget(1 << 20))


def sent_ahead(send: Callable[[int], object], limit: AdaptiveLimit) -> SentAhead[int, bytes]:
    """Return what sends requests ahead."""
    return SentAhead(send, inline(limit), limit)  # type: ignore[arg-type]


def test_inline_fetches_in_the_calls_turn() -> None:
    """By the calling thread."""
    threads: list[int] = []

    def fetch(item: int) -> bytes:
        threads.append(threading.get_ident())
        return b"%d" % item

    runner = Inline(fetch, len, AdaptiveLimit(), ByteBudget(1 << 20))
    call = call_of(5)
    assert runner.start(call)
    assert (call.runner, threads) == (runner, [])
    assert runner.finish(call) == b"5"
    assert threads == [threading.get_ident()]


def test_a_request_that_was_sent_is_closed_when_its_result_is_there() -> None:
    """Whether or not the read has claimed it; the limit need not probe any more."""
    limit, request = AdaptiveLimit(Concurrency(start=6)), Request()
    runner = sent_ahead(lambda _: request, limit)
    call = call_of(5)
    assert runner.start(call)
    assert (runner.is_possible, request.is_closed) == (True, False)
    assert (limit.current, limit.is_probing) == (6, False)
    assert runner.finish(call) == b"5"
    assert request.is_closed


def test_one_redirect_is_enough_to_watch_for_them() -> None:
    """Also where later requests are sent straight to their nodes."""
    requests = iter([Request(), Request(expects_redirect=True), Request()])
    runner = sent_ahead(lambda _: next(requests), AdaptiveLimit())
    found = [runner.start(call_of(item)) and runner.expects_redirects for item in range(3)]
    assert found == [False, True, True]


def refuse(_: int) -> PendingGet:
    """Fail to send."""
    raise ValueError("no way")


@pytest.mark.parametrize("send", [lambda _: None, refuse], ids=["cannot", "fails"])
def test_what_cannot_be_sent_is_left_to_another_runner(send: Callable[[int], object]) -> None:
    """The call is untouched; what was wrong is met by the read."""
    limit = AdaptiveLimit()
    runner = sent_ahead(send, limit)
    call = call_of(5)
    assert not runner.start(call)
    assert (call.runner, call.pending, runner.is_possible) == (None, None, False)
    assert limit.is_probing


def test_a_large_object_is_not_sent_ahead() -> None:
    """The system would not keep its bytes."""
    runner = sent_ahead(lambda _: Request(), AdaptiveLimit())
    call = call_of(5)
    call.is_large = True
    assert not runner.start(call)


def test_a_thread_fetches_before_the_calls_turn() -> None:
    """The outcome waits for it, an error too."""
    fetched = threading.Event()

    def fetch(item: int) -> bytes:
        if item == 6:
            fetched.set()
            raise ValueError("no")
        return b"%d" % item

    limit = AdaptiveLimit(Concurrency(fixed=1))
    runner = InThread(fetch, len, limit, ByteBudget(1 << 20))
    try:
        calls = [call_of(5), call_of(6)]
        for call in calls:
            assert runner.start(call)
        assert fetched.wait(30)
        assert runner.finish(calls[0]) == b"5"
        with pytest.raises(ValueError, match="no"):
            runner.finish(calls[1])
    finally:
        runner.close()


def test_calls_that_no_thread_has_begun_are_forgotten() -> None:
    """The one that runs is waited for."""
    began, may_end, seen = threading.Event(), threading.Event(), []

    def fetch(item: int) -> bytes:
        seen.append(item)
        began.set()
        may_end.wait(30)
        return b"%d" % item

    runner = InThread(fetch, len, AdaptiveLimit(Concurrency(fixed=1)), ByteBudget(1 << 20))
    for item in (5, 6):
        runner.start(call_of(item))
    assert began.wait(30)
    threading.Timer(0.05, may_end.set).start()
    runner.close()
    assert seen == [5]
