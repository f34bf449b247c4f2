"""EpochStats: what a dataset's epochs cost, by worker, added up in the process of the dataset."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import util
from multiprocessing.context import get_spawning_popen
from typing import Any, TypeVar

from aisio import publishing, stats
from aisio.extras import missing_extra
from aisio.summary import StatsTable
from aisio.training.shared_log import SharedLog

try:
    from torch.utils.data import get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error

T = TypeVar("T")

_log = logging.getLogger("aisio.tally")
_SUMMED = ("epochs", "items", "skipped", "seconds", *stats.FIELDS)


@dataclass
class _ProcessCalls:
    """All calls of one process; its record is written when the process ends."""

    worker: int
    pid: int = field(default_factory=os.getpid)
    before: dict[str, float] = field(default_factory=stats.totals)
    items: int = 0
    skipped: int = 0
    seconds: float = 0.0
    first_s: float = 0.0


class EpochStats:
    """Counts what a dataset reads, in iterations or calls, in all processes that have it.

    Args:
        owner: Name of the dataset's class, for the log.
        unit: What it yields, in the singular.
    """

    def __init__(self, owner: str, unit: str) -> None:
        self._owner = owner
        self._unit = unit
        self._records = SharedLog("stats")
        self._calls: _ProcessCalls | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker inherits the watch for slow reads; other copies do not.
        watched_after_s = stats.watched_after_s() if get_spawning_popen() else None
        return self.__dict__ | {"_calls": None, "_watched_after_s": watched_after_s}

    def __setstate__(self, state: dict[str, Any]) -> None:
        watched_after_s = state.pop("_watched_after_s", None)
        self.__dict__.update(state)
        if watched_after_s is not None:
            stats.inherit_watch(watched_after_s)

    def count_epoch(
        self, items: Iterator[T], worker: int, skipped: Callable[[], int] = lambda: 0
    ) -> Generator[T, None, None]:
        """Yield the items of one epoch; at its end record what it took, and log it at INFO.

        Args:
            items: The items.
            worker: Number of the worker.
            skipped: Returns how many were skipped.
        """
        before, started = stats.totals(), time.perf_counter()
        first_s = 0.0
        count = 0
        live = _live_as(worker)
        try:
            with live.iteration(lambda: (count, skipped())):
                for item in items:
                    if not count:
                        first_s = time.perf_counter() - started
                    count += 1
                    yield item
        finally:
            # At a program's end nobody reads the record, and a frozen thread may hold a lock.
            if not sys.is_finalizing():
                record: dict[str, Any] = {
                    "worker": worker,
                    "epochs": 1,
                    "items": count,
                    "skipped": skipped(),
                    "seconds": time.perf_counter() - started,
                    "first_item_s": first_s,
                    **stats.since(before),
                }
                self._records.add(record)
                _log.info("%s", self._describe(record))

    @contextmanager
    def count_call(
        self, items: int, worker: int, skipped: Callable[[], int] = lambda: 0
    ) -> Iterator[None]:
        """Count one call for so many items, those included that it is to skip.

        A worker records its calls when it ends.
        """
        calls = self._calls
        if calls is None or calls.pid != os.getpid():
            calls = self._calls = _ProcessCalls(worker)
            if calls.pid != self._records.owner_pid:
                # A DataLoader's worker ends without atexit, but runs multiprocessing's finalizers.
                util.Finalize(self, self._record_calls, exitpriority=100)
        live = _live_as(worker)
        started = time.perf_counter()
        try:
            yield
        except Exception:
            live.errors += 1
            raise
        finally:
            live.samples += items - skipped()
            live.skipped += skipped()
            seconds = time.perf_counter() - started
            calls.items += items - skipped()
            calls.skipped += skipped()
            calls.seconds += seconds
            calls.first_s = calls.first_s or seconds

    def _record_calls(self) -> None:
        for record in self._own_calls():
            self._records.add(record)

    def _own_calls(self) -> list[dict[str, Any]]:
        """Return the record of this process's calls, if there were any."""
        calls = self._calls
        if calls is None or calls.pid != os.getpid():
            return []
        record = {
            "worker": calls.worker,
            "epochs": 0,
            "items": calls.items,
            "skipped": calls.skipped,
            "seconds": calls.seconds,
            "first_item_s": calls.first_s,
            **stats.since(calls.before),
        }
        return [record]

    def _describe(self, record: dict[str, Any]) -> str:
        stages = ", ".join(
            f"{name[:-2]} {record[name]:.2f} s" for name in stats.FIELDS if name.endswith("_s")
        )
        return (
            f"{self._owner} (Worker {record['worker']}): {record['items']:,} {self._unit}s in "
            f"{record['seconds']:.2f} s, the first after {record['first_item_s']:.3f} s; {stages}; "
            f"{record['bytes_read']:,} bytes in {record['requests']:,} requests, "
            f"{record['retries']} retries, {record['resumes']} resumes"
        )

    def detach(self) -> None:
        """Make this process the owner, with an empty count, unless it already is the owner."""
        self._records.detach()

    def totals(self) -> dict[str, Any]:
        """Return the sums over all processes, and those of each worker under "workers".

        An iteration counts when it ends. The calls of a worker count when the worker ends; those of
        this process count at once.

        "first_item_s" of a worker is that of its last epoch; the one of all is the slowest
        worker's.
        """
        records = self._records.records() + self._own_calls()
        by_worker: dict[int, list[dict[str, Any]]] = {}
        for record in records:
            by_worker.setdefault(record["worker"], []).append(record)
        workers = {
            worker: {**_sum(own), "first_item_s": own[-1]["first_item_s"]}
            for worker, own in sorted(by_worker.items())
        }
        return StatsTable(
            {
                **_sum(records),
                "epochs": max((worker["epochs"] for worker in workers.values()), default=0),
                "first_item_s": max(
                    (worker["first_item_s"] for worker in workers.values()), default=0.0
                ),
                "workers": workers,
            }
        )


def _live_as(worker: int) -> publishing.Live:
    """Return what counts for this process, which says now if it is a DataLoader's worker."""
    live = publishing.current()
    if live.worker is None and get_worker_info() is not None:
        live.worker = worker
    return live


def _sum(records: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: sum(record[name] for record in records) for name in _SUMMED}
