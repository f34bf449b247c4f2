"""Where the time goes: counters by stage, kept by each thread, added up when somebody asks.

Each thread counts on its own object, so that no lock stands in the way of a read; a sum over all of
them is taken only when it is asked for. A forked child begins at zero.

The stages of a read, in seconds of a thread's time:

    list      waiting for listings, and for all else that is no object
    connect   opening connections, TLS included
    wait      from the request to the first byte of its answer; what was asked for ahead is waited
              for from its turn on
    read      taking the answer off the socket
    verify    hashing it
    parse     finding members and samples in it
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from aisio import forks
from aisio.errors import ConfigError
from aisio.escapes import one_line

FIELDS = (
    "list_s",
    "connect_s",
    "wait_s",
    "read_s",
    "verify_s",
    "parse_s",
    "requests",
    "retries",
    "resumes",
    "bytes_read",
)
"""Names of all counters; those that end in _s are seconds, the others whole numbers."""

_JOIN_S = 2.0
"""How long the end of the last watch waits for the watchdog; a signal handler may hold its lock."""

_log = logging.getLogger(__name__)


class Counters:
    """What one thread has done.

    Attributes are FIELDS, and what it is blocked on:
        blocked_on: URL whose bytes it waits for; "" while it does something else.
        blocked_since: When that began, by time.perf_counter.
        told_since: The `blocked_since` that the watchdog has told of last.
    """

    __slots__ = (*FIELDS, "blocked_on", "blocked_since", "thread", "told_since")

    def __init__(self) -> None:
        self.list_s = self.connect_s = self.wait_s = 0.0
        self.read_s = self.verify_s = self.parse_s = 0.0
        self.requests = self.retries = self.resumes = self.bytes_read = 0
        self.blocked_on = ""
        self.blocked_since = 0.0
        self.told_since = -1.0
        self.thread = threading.current_thread()


class _Process:
    """All counters of this process, and who watches them.

    Args:
        inherited_s: What the process that this one came from watches for; None for nothing.
    """

    def __init__(self, inherited_s: float | None = None) -> None:
        self.local = threading.local()
        # A signal handler, or whatever the garbage collector closes, may come back here in the same
        # thread: so nothing that the lock guards is left half done where one of them can run.
        self.lock = threading.RLock()
        self.living: list[Counters] = []
        self.of_ended: dict[str, float] = dict.fromkeys(FIELDS, 0)
        self.watches: list[Watch] = []
        self.changed = threading.Event()
        self.watchdog: threading.Thread | None = None
        self.inherited_s = inherited_s

    @property
    def after_s(self) -> float | None:
        """What is watched for; None for nothing."""
        try:
            return self.watches[-1].after_s
        except IndexError:
            return self.inherited_s

    def enter(self) -> Counters:
        _export_once()
        counters = self.local.counters = Counters()
        with self.lock:
            self._fold()
            self.living.append(counters)
            if self.inherited_s is not None:
                self.start_watchdog()
        return counters

    def start_watchdog(self) -> None:
        """Start the thread that watches, unless there is one; the lock is held."""
        if self.watchdog is None:
            self.watchdog = threading.Thread(
                target=_watch, args=(self,), name="aisio-watchdog", daemon=True
            )
            self.watchdog.start()

    def _fold(self) -> None:
        """Keep the sums of threads that have ended, and not one object for each."""
        living, sums = [], dict(self.of_ended)
        for counters in self.living:
            if counters.thread.is_alive():
                living.append(counters)
            else:
                _add(sums, counters)
        self.living, self.of_ended = living, sums

    def totals(self) -> dict[str, float]:
        with self.lock:
            sums = dict(self.of_ended)
            for counters in self.living:
                _add(sums, counters)
        return sums


def _add(sums: dict[str, float], counters: Counters) -> None:
    for name in FIELDS:
        sums[name] += getattr(counters, name)


_process = _Process()
_exported = False


def _export_once() -> None:
    """Export where OpenTelemetry is installed; a forked child keeps its parent's instruments."""
    global _exported
    if not _exported:
        _exported = True
        # Its name alone says nothing: other packages of OpenTelemetry share it.
        with suppress(ImportError):
            export_to_opentelemetry()


@forks.in_child
def _begin_anew() -> None:
    global _process
    _process = _Process(_process.after_s)


def thread_counters() -> Counters:
    """Return this thread's counters."""
    try:
        counters: Counters = _process.local.counters
    except AttributeError:
        return _process.enter()
    return counters


@contextmanager
def waiting(url: str, stage: str) -> Iterator[Counters]:
    """Count the time of a block, in which this thread waits for bytes of a URL, as a stage."""
    counters = thread_counters()
    counters.blocked_since = started = time.perf_counter()
    counters.blocked_on = url
    try:
        yield counters
    finally:
        counters.blocked_on = ""
        setattr(counters, stage, getattr(counters, stage) + time.perf_counter() - started)


def totals() -> dict[str, float]:
    """Return the sums over all threads of this process, by the names in FIELDS."""
    return _process.totals()


def since(before: Mapping[str, float]) -> dict[str, float]:
    """Return what has been added to the sums since an earlier `totals()`."""
    return {name: value - before.get(name, 0) for name, value in totals().items()}


class Watch:
    """A watch that was begun by `watch`; a context manager that ends it.

    Attributes:
        after_s: How long a thread may wait for bytes, in seconds, before it is told of.
    """

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self._process = _process

    def stop(self) -> None:
        """End this watch, in this process; that it was ended before is no error."""
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

    It names the URL, how long it has waited, and where in the program. One thread in the background
    does it for this process; of several watches the one begun last counts. The workers that a
    DataLoader starts meanwhile watch themselves in the same way, until they end.

    Args:
        after_s: How long a thread may wait, in seconds.

    Raises:
        ConfigError: Not a number of seconds above 0.
    """
    if not after_s > 0:
        raise ConfigError(f"after_s={after_s}: a number of seconds above 0 is needed")
    begun = Watch(after_s)
    with _process.lock:
        _process.watches.append(begun)
        _process.start_watchdog()
    _process.changed.set()
    return begun


def watched_after_s() -> float | None:
    """Return what is watched for in this process, in seconds; None for nothing."""
    return _process.after_s


def inherit_watch(after_s: float) -> None:
    """Watch from the first read on, as the process does that this spawned one came from."""
    _process.inherited_s = after_s


def _watch(process: _Process) -> None:
    while True:
        process.changed.clear()
        with process.lock:
            after_s = process.after_s
            if after_s is None:
                process.watchdog = None
                return
        process.changed.wait(after_s / 4)
        for counters in stalled(after_s):
            if counters.told_since != counters.blocked_since:
                counters.told_since = counters.blocked_since
                warn_of(counters)


def stalled(after_s: float, now: float | None = None) -> list[Counters]:
    """Return the threads of this process that have waited longer than this for bytes."""
    now = time.perf_counter() if now is None else now
    with _process.lock:
        return [
            one for one in _process.living if one.blocked_on and now - one.blocked_since > after_s
        ]


def warn_of(counters: Counters) -> None:
    """Log what a thread is waiting for, how long, and where."""
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


def export_to_opentelemetry() -> None:
    """Offer the sums as OpenTelemetry counters: aisio.requests, aisio.read_s and so on.

    Raises:
        ImportError: Its API is not installed.
    """
    from opentelemetry import metrics

    meter = metrics.get_meter("aisio")
    for name in FIELDS:
        unit = "s" if name.endswith("_s") else "By" if name.startswith("bytes") else "1"
        callback = partial(_observe, metrics.Observation, name)
        meter.create_observable_counter(f"aisio.{name}", callbacks=[callback], unit=unit)


def _observe(observation: Any, name: str, _options: Any) -> list[Any]:
    return [observation(totals()[name])]
