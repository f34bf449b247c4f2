"""Counters: each thread its own, sums on request, and a warning for whoever waits too long."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import opentelemetry.sdk  # noqa: F401 - the tests prove what is exported
import pytest

from aisio import stats
from aisio.errors import ConfigError
from aisio.stats import ProcessCounters


def test_threads_count_on_their_own_and_sums_hold_after_they_end() -> None:
    """No increment is lost, and ended threads leave their sum, not an object each."""
    before = stats.totals()
    ended: set[threading.Thread] = set()

    def work() -> None:
        ended.add(threading.current_thread())
        for _ in range(1000):
            stats.thread_counters().requests += 1

    for _ in range(3):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert stats.since(before)["requests"] == 12_000
    stats._process.add_thread()
    assert not ended & {counters.thread for counters in stats._process.living}


class Interrupted(list[stats.Counters]):
    """A list during whose first iteration a signal arrives."""

    def __iter__(self) -> Iterator[stats.Counters]:
        for number, counters in enumerate([*self[:]]):
            if number == 1:
                signal.raise_signal(signal.SIGUSR1)
            yield counters


@pytest.mark.parametrize("act", [ProcessCounters.totals, ProcessCounters.add_thread])
def test_a_signal_handler_may_add_the_sums_up(act: Callable[[ProcessCounters], object]) -> None:
    """Also where it interrupts a thread that adds them up: its own sums are right."""
    process, sums = ProcessCounters(), []
    process.add_thread()
    other = threading.Thread(target=lambda: setattr(process.add_thread(), "requests", 7))
    other.start()
    other.join()

    def handle(*_: object) -> None:
        process.living = [*process.living[:]]
        sums.append(process.totals()["requests"])

    previous = signal.signal(signal.SIGUSR1, handle)
    try:
        process.living = Interrupted(process.living)
        act(process)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert (sums, process.totals()["requests"]) == ([7], 7)


def test_a_wait_counts_without_the_time_to_connect() -> None:
    """Which is a stage of its own; the whole time is there for who asks."""
    seconds = iter([10.0, 17.0])
    before = stats.totals()
    wait = stats.waiting("ais://b/a", "wait_s", lambda: next(seconds))
    with wait as counters:
        assert (counters.blocked_on, counters.blocked_since) == ("ais://b/a", 10.0)
        counters.connect_s += 2.0
    assert (counters.blocked_on, wait.waited_s) == ("", 7.0)
    assert stats.since(before)["wait_s"] == pytest.approx(5.0)


def test_a_wait_within_a_wait_goes_back_to_the_outer_one() -> None:
    """As where a failed read has other requests sent again; without a stage nothing is counted."""
    before = stats.totals()
    with stats.waiting("ais://b/a", None, lambda: 1.0) as counters:
        with stats.waiting("ais://b/b", None, lambda: 2.0):
            assert counters.blocked_on == "ais://b/b"
        assert (counters.blocked_on, counters.blocked_since) == ("ais://b/a", 1.0)
    assert not any(stats.since(before).values())


def test_a_forked_child_begins_at_zero() -> None:
    """What the parent did is the parent's; its counters would be counted twice."""
    stats.thread_counters().requests += 5
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        os.write(sender, str(stats.totals()["requests"]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(sender)
    with os.fdopen(receiver) as answer:
        assert answer.read() == "0"


def test_whoever_waits_too_long_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """URL, age and stack."""
    counters = stats.thread_counters()
    counters.blocked_on, counters.blocked_since = "ais://b/slow", 0.0
    try:
        assert stats.stalled(5.0, now=4.0) == []
        [found] = stats.stalled(5.0, now=6.0)
        with caplog.at_level(logging.WARNING):
            stats.warn_about(found)
    finally:
        counters.blocked_on = ""
    assert "s for bytes of ais://b/slow" in caplog.text
    assert "test_whoever_waits_too_long_is_named" in caplog.text


class Warned(logging.Handler):
    """Counts the watchdog's warnings, and sets an event with each."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        self.event.set()


@pytest.fixture
def warned() -> Iterator[Warned]:
    """Listen to the watchdog, while this thread waits for bytes."""
    handler = Warned()
    logging.getLogger("aisio.stats").addHandler(handler)
    counters = stats.thread_counters()
    counters.blocked_on, counters.blocked_since, counters.warned_since = "ais://b/slow", 0.0, -1.0
    yield handler
    counters.blocked_on = ""
    logging.getLogger("aisio.stats").removeHandler(handler)


def test_watching_starts_one_thread_and_stopping_ends_it(warned: Warned) -> None:
    """However often it is started; of several watches the last one counts."""
    assert watchdogs() == 0
    with stats.watch(0.01):
        inner = stats.watch(0.02)
        assert (watchdogs(), stats.watched_after_s()) == (1, 0.02)
        inner.stop()
        inner.stop()
        assert (watchdogs(), stats.watched_after_s()) == (1, 0.01)
        assert warned.event.wait(30)
    assert (watchdogs(), stats.watched_after_s()) == (0, None)


def watchdogs() -> int:
    """Count the threads that watch; an earlier test's other threads may end meanwhile."""
    return sum(thread.name == "aisio-watchdog" for thread in threading.enumerate())


def test_a_stall_is_warned_about_once_whatever_the_number_of_watches(warned: Warned) -> None:
    """A second watch does not say again what the first one said."""
    with stats.watch(0.001):
        assert warned.event.wait(30)
    with stats.watch(0.001) as again:
        stalled = stats.stalled(again.after_s)
        assert [counters.warned_since for counters in stalled] == [0.0]
    assert warned.count == 1


def test_a_watch_of_no_time_is_refused() -> None:
    """It would tell of every read."""
    for after_s in (0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="above 0"):
            stats.watch(after_s)


def test_a_forked_child_watches_as_its_parent_does() -> None:
    """From its first read on; what the parent ends, the child goes on with."""
    receiver, sender = os.pipe()
    with stats.watch(7.0):
        child = os.fork()
        if not child:
            stats.thread_counters()
            told = f"{stats.watched_after_s()} {threading.enumerate()[-1].name}"
            os.write(sender, told.encode())
            os._exit(0)
        os.waitpid(child, 0)
    os.close(sender)
    with os.fdopen(receiver) as answer:
        assert answer.read() == "7.0 aisio-watchdog"


def test_ten_thousand_threads_leave_their_sums_and_no_memory() -> None:
    """Also where a watchdog looks at each of them."""

    def read() -> None:
        with stats.waiting("ais://b/a", "wait_s") as counters:
            counters.requests += 1

    def burst(count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=read)
            thread.start()
            thread.join()

    before, living = stats.totals()["requests"], len(stats._process.living)
    with stats.watch(1e-9):
        burst(1000)
        gc.collect()
        objects = len(gc.get_objects())
        burst(9000)
        gc.collect()
        assert len(gc.get_objects()) - objects < 500
    assert stats.totals()["requests"] - before == 10_000
    assert len(stats._process.living) < living + 8


_METERED = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
from aisio import stats

stats.thread_counters().requests += 3
stats.thread_counters().bytes_read += 1000
[resource] = reader.get_metrics_data().resource_metrics
found = {m.name: (m.unit, m.data.data_points[0].value) for m in resource.scope_metrics[0].metrics}
print(found["aisio.requests"], found["aisio.bytes_read"], len(found) == len(stats.FIELDS))
"""


def test_opentelemetry_gets_the_sums() -> None:
    """Where its API is installed, nothing need be switched on."""
    done = subprocess.run([sys.executable, "-c", _METERED], capture_output=True, text=True)
    assert done.stdout.strip() == "('1', 3) ('By', 1000) True", done.stderr


def test_other_packages_of_opentelemetry_are_not_its_api() -> None:
    """They share the name: reading goes on without metrics."""
    program = (
        "import sys; sys.meta_path.insert(0, type('No', (), {'find_spec': staticmethod("
        "lambda name, *_: (_ for _ in ()).throw(ImportError(name)) "
        "if name == 'opentelemetry.metrics' else None)}))\n"
        "from aisio import stats; stats.thread_counters(); print('read')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("read\n", 0), done.stderr


def test_the_longest_wait_is_that_of_any_thread() -> None:
    """With its URL; none while nobody waits."""
    waits, goes_on = threading.Event(), threading.Event()

    def wait() -> None:
        with stats.waiting("ais://b/first", None):
            waits.set()
            goes_on.wait(60)

    thread = threading.Thread(target=wait)
    thread.start()
    waits.wait(60)
    with stats.waiting("ais://b/second", None):
        url, waited_s = stats.longest_wait()
    assert (url, waited_s > 0) == ("ais://b/first", True)
    goes_on.set()
    thread.join()
    assert stats.longest_wait() == ("", 0.0)
