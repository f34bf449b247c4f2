"""Durations: all in total, the last ones each; and what stats() says of them."""

from __future__ import annotations

from aisio import publishing
from aisio.training.step_times import Durations, StepTimes


def test_none() -> None:
    """There is no percentile of nothing."""
    assert (Durations().count, Durations().total_s, Durations().percentile(50)) == (0, 0.0, 0.0)


def test_percentiles() -> None:
    """Of the last 10,000."""
    durations = Durations()
    for number in range(20_000):
        durations.add(float(number))
    assert durations.count == 20_000
    assert durations.total_s == sum(range(20_000))
    assert [durations.percentile(percent) for percent in (0, 50, 100)] == [10_000, 14_999, 19_999]


def test_stats() -> None:
    """Of waiting in total and in percentiles, of replayed steps the median."""
    times = StepTimes()
    for number in range(5):
        times.waits.add(number)
        times.replayed.add(10.0 * number)
    assert times.stats() == {
        "batches": 5,
        "wait_s": 10,
        "step_s": 0.0,
        "wait_p50_s": 2,
        "wait_p95_s": 3,
        "wait_p99_s": 3,
        "replay_step_s": 20,
    }


def test_steps_are_from_each_batch_to_the_next_request() -> None:
    """That of the last batch too, but nothing before an epoch or after a failure."""
    times = StepTimes()
    times.begin()
    times.give(times.ask())
    assert times.steps_s == 0.0
    times.give(times.ask())
    one_s = times.steps_s
    assert one_s > 0
    times.end_epoch(times.ask())
    two_s = times.steps_s
    assert two_s > one_s
    times.ask()
    times.begin()
    times.give(times.ask())
    assert times.steps_s == two_s
    times.fail()
    times.give(times.ask())
    assert times.steps_s == two_s
    assert times.waits.count == 4


def test_batches_are_published() -> None:
    """While the trainer waits for one as well."""
    live, times = publishing.current(), StepTimes()
    before = live.batches
    asked = times.ask()
    assert live.waits_for_batch_s() is not None
    times.give(asked)
    assert live.waits_for_batch_s() is None
    assert live.batches == before + 1
    times.end_epoch(times.ask())
    assert live.waits_for_batch_s() is None
