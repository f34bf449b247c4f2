"""ByteBudget: no more bytes than allowed, and a guess where sizes are not known."""

from __future__ import annotations

from aisio.transport.concurrency.byte_budget import ByteBudget
from aisio.transport.concurrency.calls import Call


def call_of(size_bytes: int | None) -> Call[int, bytes]:
    """Return a call whose result has this size, as far as is known."""
    return Call(0, size_bytes)


def test_no_more_is_reserved_than_allowed() -> None:
    """What is released can be reserved again."""
    budget = ByteBudget(30)
    calls = [call_of(10) for _ in range(4)]
    assert [budget.reserve(call, is_only=False) for call in calls] == [True, True, True, False]
    budget.release(calls[0])
    assert budget.reserve(calls[3], is_only=False)


def test_a_larger_result_is_alone() -> None:
    """It is not refused, but nothing starts beside it."""
    budget = ByteBudget(30)
    large = call_of(100)
    assert not budget.reserve(large, is_only=False)
    assert budget.reserve(large, is_only=True)
    assert not budget.reserve(call_of(1), is_only=False)
    budget.release(large)
    assert budget.reserve(call_of(30), is_only=False)


def test_the_first_of_unknown_size_is_alone() -> None:
    """It tells what to expect of the others."""
    budget = ByteBudget(30)
    first = call_of(None)
    assert (budget.knows_sizes, budget.expected_bytes(first)) == (False, 0)
    assert budget.reserve(first, is_only=True)
    assert not budget.reserve(call_of(None), is_only=False)
    budget.record_result(first, 10)
    assert budget.knows_sizes
    assert [budget.reserve(call_of(None), is_only=False) for _ in range(3)] == [True, True, False]


def test_what_to_expect_follows_the_results() -> None:
    """By an eighth of the difference each; a known size is taken as it is."""
    budget = ByteBudget(1000)
    for size in (80, 160):
        call = call_of(None)
        budget.reserve(call, is_only=True)
        budget.record_result(call, size)
        budget.release(call)
    assert budget.expected_bytes(call_of(None)) == 90
    assert budget.expected_bytes(call_of(7)) == 7


def test_a_result_of_another_size_than_expected_counts_as_it_is() -> None:
    """Else the budget would drift with each of them."""
    budget = ByteBudget(100)
    call = call_of(10)
    budget.reserve(call, is_only=False)
    budget.record_result(call, 90)
    assert not budget.reserve(call_of(11), is_only=False)
    budget.release(call)
    assert budget.reserve(call_of(100), is_only=False)
