"""EpochStats: what epochs cost, by worker, in the process that has the dataset."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
from typing import Any

import pytest
import torch  # noqa: F401 - EpochStats asks it for the worker

from aisio import publishing, stats
from aisio.training.epoch_stats import EpochStats


def test_epochs_add_up_by_worker() -> None:
    """Items, seconds and counters; of the first item the last epoch's wait."""
    epoch_stats = EpochStats("AISShardReader", "sample")
    for worker in (0, 1, 0):
        assert list(epoch_stats.count_epoch(iter("abc"), worker)) == ["a", "b", "c"]
    sums = epoch_stats.totals()
    assert (sums["items"], sums["epochs"], sorted(sums["workers"])) == (9, 2, [0, 1])
    assert (sums["workers"][0]["items"], sums["workers"][1]["epochs"]) == (6, 1)
    assert sums["seconds"] >= sums["first_item_s"] > 0


def test_what_was_counted_meanwhile_is_the_epochs() -> None:
    """The counters of this process between its start and its end."""

    def work():
        for _ in range(3):
            stats.thread_counters().bytes_read += 100
            yield 1

    stats.thread_counters().bytes_read += 7
    epoch_stats = EpochStats("X", "sample")
    assert len(list(epoch_stats.count_epoch(work(), 0))) == 3
    assert epoch_stats.totals()["bytes_read"] == 300


def test_an_epoch_that_was_cut_short_counts() -> None:
    """So far as it came."""
    epoch_stats = EpochStats("X", "sample")
    epoch = epoch_stats.count_epoch(iter(range(10)), 0)
    next(epoch)
    epoch.close()
    assert epoch_stats.totals()["items"] == 1


def test_a_worker_reports_to_the_dataset_it_came_from() -> None:
    """A copy that was pickled for a worker adds to the same count."""
    epoch_stats = EpochStats("X", "sample")
    list(pickle.loads(pickle.dumps(epoch_stats)).count_epoch(iter("ab"), 3))
    assert epoch_stats.totals()["workers"][3]["items"] == 2


def test_nothing_read_is_all_zero() -> None:
    """All names are there from the first day."""
    sums = EpochStats("X", "sample").totals()
    assert set(stats.FIELDS) <= set(sums)
    assert (sums["items"], sums["workers"]) == (0, {})


def test_an_epoch_is_one_line_at_info(caplog: pytest.LogCaptureFixture) -> None:
    """It names class and worker, and says how long the first item took."""
    with caplog.at_level(logging.INFO):
        list(EpochStats("AISShardReader", "sample").count_epoch(iter("abc"), 2))
    [line] = caplog.messages
    assert line.startswith("AISShardReader (Worker 2): 3 samples in ")
    assert "the first after" in line
    assert "0 requests" in line


def _is_watched(epoch_stats: EpochStats, answer: Any) -> None:
    answer.put((stats.watched_after_s(), epoch_stats.totals()["items"]))


def test_a_worker_that_is_not_forked_watches_as_the_sender_does() -> None:
    """The dataset carries the wish; a copy in the same process changes nothing."""
    context = multiprocessing.get_context("forkserver")
    answer = context.SimpleQueue()
    with stats.watch(7.0):
        epoch_stats = EpochStats("X", "sample")
        process = context.Process(target=_is_watched, args=(epoch_stats, answer))
        process.start()
        copy = pickle.dumps(epoch_stats)
    assert answer.get() == (7.0, 0)
    process.join()
    pickle.loads(copy)
    assert stats.watched_after_s() is None


def test_what_is_skipped_is_no_item() -> None:
    """Of an epoch, and of a call."""
    epoch_stats = EpochStats("X", "object")
    list(epoch_stats.count_epoch(iter("abc"), 0, lambda: 2))
    with epoch_stats.count_call(5, 0, lambda: 1):
        pass
    sums = epoch_stats.totals()
    assert (sums["items"], sums["skipped"]) == (7, 3)


def test_what_is_read_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """An iteration as it goes on, calls at once; what fails is an error."""
    live, epoch_stats = publishing.current(), EpochStats("X", "sample")
    monkeypatch.setattr(live, "worker", None)  # tests before may have been workers
    before = live.totals()

    def grown() -> tuple[float, float, float]:
        now = live.totals()
        samples, skipped, errors = (now[n] - before[n] for n in ("samples", "skipped", "errors"))
        return samples, skipped, errors

    items = epoch_stats.count_epoch(iter("abc"), 0, lambda: 1)
    assert [next(items), next(items)] == ["a", "b"]
    assert grown() == (2, 1, 0)
    items.close()
    with epoch_stats.count_call(4, 0, lambda: 2):
        pass
    assert grown() == (4, 3, 0)
    with pytest.raises(KeyError), epoch_stats.count_call(4, 0):
        raise KeyError
    with pytest.raises(ZeroDivisionError):
        list(epoch_stats.count_epoch((1 // n for n in (1, 0)), 0))
    assert grown()[2] == 2
    assert live.worker is None
