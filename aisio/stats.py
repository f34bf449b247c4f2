"""Where the time goes: counters by stage, kept by each thread and summed on request.

Each thread counts on an object of its own, so that a read takes no lock; `totals` adds them up. A
forked child begins at zero.

The stages of a read, in seconds of a thread's time:

    list      waiting for listings, and for every other answer that is no object
    connect   opening connections, TLS included
    wait      from the request to the head of its response; for a request that was sent ahead, from
              the moment when its turn comes
    read      reading the body off the socket
    verify    hashing it
    parse     finding members and samples in it
    decode    making items of samples, where fields are decoded
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from aisio import forks, publishing
from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.summary import StatsTable

FIELDS = (
    "list_s",
    "connect_s",
    "wait_s",
    "read_s",
    "verify_s",
    "parse_s",
    "decode_s",
    "requests",
    "retries",
    "resumes",
    "bytes_read",
)
"""Names of all counters. Those that end in _s are seconds; the others are whole numbers."""

_JOIN_S = 2.0
"""Maximum wait for the watchdog thread to end. stop() may run in a signal handler whose thread
holds the lock that the watchdog needs."""

_log = logging.getLogger(__name__)


class Counters:
    """The counters of one thread.

    Attributes:
        blocked_on: The URL whose bytes the thread waits for; "" while it does something else.
        blocked_since: When that wait began, by time.perf_counter.
        warned_since: The `blocked_since` of the last wait that the watchdog has warned about.
        thread: The thread.

    The others are FIELDS. More than 10 attributes: each read adds to several of them, and a nested
    object would cost a lookup.
    """

    __slots__ = (*FIELDS, "blocked_on", "blocked_since", "thread", "warned_since")

    def __init__(self) -> None:
        self.list_s = self.connect_s = self.wait_s = 0.0
        self.read_s = self.verify_s = self.parse_s = self.decode_s = 0.0
        self.requests = self.retries = self.resumes = self.bytes_read = 0
        self.blocked_on = ""
        self.blocked_since = 0.0
        self.warned_since = -1.0
        self.thread = threading.current_thread()


class ProcessCounters:
    """All counters of one process, and the watches over them.

    Args:
        inherited_s: The seconds that the parent process watches for; None for no watch.
    """

    def __init__(self, inherited_s: float | None = None) -> None:
        self.local = threading.local()
        # A signal handler, or what the garbage collector closes, may come back here in the same
        # thread: whatever the lock guards is replaced in one step, never left half done.
        self.lock = threading.RLock()
        self.living: list[Counters] = []
        self.ended_sums: dict[str, float] = dict.fromkeys(FIELDS, 0)
        self.watches: list[Watch] = []
        self.changed = threading.Event()
        self.watchdog: threading.Thread | None = None
        self.inherited_s = inherited_s

    @property
    def after_s(self) -> float | None:
        """How long a thread may wait before a warning, in seconds; None for no watch."""
        try:  # without the lock: another thread may end the last watch
            return self.watches[-1].after_s
        except IndexError:
            return self.inherited_s

    def add_thread(self) -> Counters:
        """Return counters for the calling thread, which has none yet."""
        _export_once()
        publishing.current()
        counters = self.local.counters = Counters()
        with self.lock:
            self._sum_ended_threads()
            self.living.append(counters)
            if self.inherited_s is not None:
                self.start_watchdog()
        return counters

    def start_watchdog(self) -> None:
        """Start the watchdog thread unless there is one; the caller holds the lock."""
        if self.watchdog is None:
            self.watchdog = threading.Thread(
                target=_watch, args=(self,), name="aisio-watchdog", daemon=True
            )
            self.watchdog.start()

    def _sum_ended_threads(self) -> None:
        """Keep one sum of the threads that have ended, instead of an object for each."""
        living, sums = [], dict(self.ended_sums)
        for counters in self.living:
            if counters.thread.is_alive():
                living.append(counters)
            else:
                _add(sums, counters)
        self.living, self.ended_sums = living, sums

    def totals(self) -> dict[str, float]:
        """Return the sums over all threads."""
        with self.lock:
            sums = dict(self.ended_sums)
            for counters in self.living:
                _add(sums, counters)
        return sums


def _add(sums: dict[str, float], counters: Counters) -> None:
    for name in FIELDS:
        sums[name] += getattr(counters, name)


_process = ProcessCounters()
_exported = False


def _export_once() -> None:
    """Export if OpenTelemetry is installed; a forked child keeps its parent's instruments."""
    global _exported
    if not _exported:
        _exported = True
        # The name alone says nothing: several packages share it.
        with suppress(ImportError):
            export_to_opentelemetry()


@forks.in_child
def _start_from_zero() -> None:
    global _process
    _process = ProcessCounters(_process.after_s)


def thread_counters() -> Counters:
    """Return this thread's counters."""
    try:
        counters: Counters = _process.local.counters
    except AttributeError:
        return _process.add_thread()
    return counters


class waiting:
    """A `with` block in which this thread waits for bytes of a URL; it returns the counters.

    The watchdog sees the thread wait. What the block takes counts as a stage, except the time to
    open a connection, which counts as `connect`.

    Args:
        url: The URL.
        stage: One of FIELDS, as in "read_s"; None counts as no stage.
        now: A clock that never goes back, in seconds.

    Attributes:
        waited_s: How long the block took in all, once it has ended.
    """

    __slots__ = (
        "_before",
        "_connect_s",
        "_counters",
        "_now",
        "_stage",
        "_started",
        "_url",
        "waited_s",
    )

    def __init__(
        self, url: str, stage: str | None, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self._url = url
        self._stage = stage
        self._now = now

    def __enter__(self) -> Counters:
        self._counters = counters = thread_counters()
        self._before = counters.blocked_on, counters.blocked_since
        self._connect_s = counters.connect_s
        counters.blocked_since = self._started = self._now()
        counters.blocked_on = self._url
        return counters

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        counters = self._counters
        # A wait may begin within another: a failed read has other requests sent again.
        counters.blocked_on, counters.blocked_since = self._before
        self.waited_s = waited_s = self._now() - self._started
        stage = self._stage
        if stage is not None:
            connecting_s = counters.connect_s - self._connect_s
            setattr(counters, stage, getattr(counters, stage) + waited_s - connecting_s)


def totals() -> dict[str, float]:
    """Return the sums over all threads of this process, by the names in FIELDS."""
    return StatsTable(_process.totals())


def since(before: Mapping[str, float]) -> dict[str, float]:
    """Return what the sums have grown by since an earlier `totals()`."""
    return StatsTable((name, value - before.get(name, 0)) for name, value in totals().items())


class Watch:
    """A watch that `watch` has begun; as a context manager it ends with the block.

    Attributes:
        after_s: How long a thread may wait for bytes before a warning, in seconds.
    """

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self._process = _process

    def stop(self) -> None:
        """End this watch in this process; to end it twice is no error."""
        process = self._process
        with process.lock:
            if process is not _process or self not in process.watches:
                return
            process.watches.remove(self)
            watchdog = process.watchdog
        process.changed.set()
        if process.after_s is None and watchdog not in (None, threading.current_thread()):
            watchdog.join(_JOIN_S)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def watch(after_s: float) -> Watch:
    """Log a warning for every thread that waits longer than this for bytes, until it is stopped.

    The warning names the URL, how long the thread has waited, and where in the program. One
    background thread does this for the process; of several watches the one begun last counts. The
    workers that a DataLoader starts meanwhile watch themselves in the same way until they end.

    Args:
        after_s: How long a thread may wait, in seconds.

    Raises:
        ConfigError: Not a number of seconds above 0.
    """
    if not after_s > 0:
        raise ConfigError(f"after_s={after_s}: a number of seconds above 0 is needed")
    started = Watch(after_s)
    with _process.lock:
        _process.watches.append(started)
        _process.start_watchdog()
    _process.changed.set()
    return started


def watched_after_s() -> float | None:
    """Return how long a thread of this process may wait before a warning; None for no watch."""
    return _process.after_s


def inherit_watch(after_s: float) -> None:
    """In a spawned child, watch from the first read on, as the parent process does."""
    _process.inherited_s = after_s


def _watch(process: ProcessCounters) -> None:
    while True:
        process.changed.clear()
        with process.lock:
            after_s = process.after_s
            if after_s is None:
                process.watchdog = None
                return
        process.changed.wait(after_s / 4)
        for counters in stalled(after_s):
            if counters.warned_since != counters.blocked_since:
                counters.warned_since = counters.blocked_since
                warn_about(counters)


def stalled(after_s: float, now: float | None = None) -> list[Counters]:
    """Return the threads of this process that have waited longer than this for bytes."""
    now = time.perf_counter() if now is None else now
    with _process.lock:
        return [
            counters
            for counters in _process.living
            if counters.blocked_on and now - counters.blocked_since > after_s
        ]


def longest_wait() -> tuple[str, float]:
    """Return the URL that a thread of this process waits for the longest, and for how long.

    Without a thread that waits it is "", and 0.0 seconds.
    """
    waits = [(counters.blocked_since, counters.blocked_on) for counters in stalled(0.0)]
    since, url = min(waits, default=(0.0, ""))
    return url, time.perf_counter() - since if url else 0.0


def warn_about(counters: Counters) -> None:
    """Log what a thread is waiting for, for how long, and where in the program."""
    frame = sys._current_frames().get(counters.thread.ident or 0)
    stack = "".join(traceback.format_stack(frame)) if frame else ""
    age_s = time.perf_counter() - counters.blocked_since
    _log.warning(
        "thread %s has waited %.1f s for bytes of %s\n%s",
        counters.thread.name,
        age_s,
        one_line(counters.blocked_on),
        stack,
    )


publishing.count_by(totals, longest_wait)


def export_to_opentelemetry() -> None:
    """Export the sums as OpenTelemetry counters: aisio.requests, aisio.read_s and so on.

    Raises:
        ImportError: OpenTelemetry's API is not installed.
    """
    from opentelemetry import metrics

    meter = metrics.get_meter("aisio")
    for name in FIELDS:
        unit = "s" if name.endswith("_s") else "By" if name.startswith("bytes") else "1"
        callback = partial(_observe, metrics.Observation, name)
        meter.create_observable_counter(f"aisio.{name}", callbacks=[callback], unit=unit)


def _observe(observation: Any, name: str, _options: Any) -> list[Any]:
    return [observation(totals()[name])]
