"""Call and Feed: one outcome for each item, and errors at their place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aisio.transport.concurrency.calls import Call, Feed


def feed_of(items: Iterator[int]) -> Feed[int, str]:
    """Return a feed of numbers, each of which is its own size."""
    return Feed(items, lambda number: number)


def test_a_result_is_kept_until_its_turn() -> None:
    """A thread runs the call, another one wants the outcome."""
    call: Call[int, str] = Call(7, None)
    assert call.run(str) == "7"
    assert call.outcome() == "7"


def test_an_error_is_kept_until_its_turn_and_no_longer() -> None:
    """Its traceback holds whatever the fetch had in hand."""

    def fail(_: int) -> str:
        raise error

    error = ValueError("no")
    call: Call[int, str] = Call(7, None)
    assert call.run(fail) is None
    assert call.has_failed
    with pytest.raises(ValueError, match="no"):
        call.outcome()
    assert not call.has_failed


def test_a_call_that_failed_before_it_ran_is_not_fetched() -> None:
    """As the items' own error."""
    call: Call[int, str] = Call(7, 0, ValueError("page 2"))
    with pytest.raises(ValueError, match="page 2"):
        call.run_now(str)
    assert Call[int, str](7, None).run_now(str) == "7"


def test_a_feed_makes_a_call_of_each_item() -> None:
    """The next one can be looked at before it is taken."""
    feed = feed_of(iter([5, 6]))
    first = feed.peek()
    assert first is not None
    assert (first.item, first.size_bytes) == (5, 5)
    assert feed.next() is first
    second = feed.next()
    assert second is not None
    assert second.item == 6
    assert (feed.peek(), feed.next(), feed.next()) == (None, None, None)


def test_a_feed_is_lazy() -> None:
    """No item is pulled before it is wanted."""
    pulled: list[int] = []

    def items() -> Iterator[int]:
        for number in range(3):
            pulled.append(number)
            yield number

    feed = feed_of(items())
    feed.next()
    assert pulled == [0]


@pytest.mark.parametrize(("count", "expected"), [(0, True), (1, True), (2, False), (9, False)])
def test_whether_there_is_a_second_item(count: int, expected: bool) -> None:
    """Nothing is lost by the look."""
    feed = feed_of(iter(range(count)))
    assert feed.has_at_most_one() == expected
    assert sum(1 for _ in iter(feed.next, None)) == count


def test_an_error_of_the_items_is_the_last_call() -> None:
    """It is raised in its turn, and nothing follows."""

    def items() -> Iterator[int]:
        yield 1
        raise ValueError("page 2")

    feed = feed_of(items())
    feed.next()
    failed = feed.next()
    assert failed is not None
    assert failed.has_failed
    with pytest.raises(ValueError, match="page 2"):
        failed.outcome()
    assert feed.next() is None
