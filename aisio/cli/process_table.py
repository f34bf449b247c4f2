"""What `aisio top` shows of the processes of a job, as rows of text and as JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aisio.cli.output import printable, time_text
from aisio.publishing.processes import PublishedProcess

__all__ = ["COLUMNS", "ProcessTable", "table_of"]

SILENT_AFTER_S = 5.0
"""A process that writes each second and has not for so long is stopped, or very busy."""

_SHOW_WAIT_AFTER_S = 1.0
_WAITING = ("list_s", "connect_s", "wait_s", "read_s")
"""What the threads that read spend with waiting for the store and the network."""

COLUMNS = (
    "rank",
    "worker",
    "pid",
    "samples/s",
    "batches/s",
    "MB/s",
    "requests/s",
    "waiting",
    "retries",
    "errors",
    "skipped",
    "now",
)


class _Rates(NamedTuple):
    """Growth in a second; None where it is not known yet, or counted elsewhere."""

    samples: float | None
    batches: float | None
    megabytes: float | None
    requests: float | None
    waiting: float | None


@dataclass(frozen=True)
class ProcessTable:
    """The processes of a job at one moment.

    Attributes:
        processes: What they have last written.
        now: When they were read, in seconds since 1970.
    """

    processes: Sequence[PublishedProcess]
    now: float

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of each process, and of their sums."""
        return [*map(self._row, self.processes), self._sum_row()]

    def head(self) -> str:
        """Return what is shown, and what is not to be seen from here."""
        ranks = self._ranks_seen()
        workers = sum(process.worker is not None for process in self.processes)
        hosts = ", ".join(sorted({process.host for process in self.processes}))
        count = len(self.processes) - workers
        text = (
            f"{time_text(round(self.now))}: {_counted(count, 'process', 'es')},"
            f" {_counted(workers, 'worker')} on {hosts}"
        )
        expected = max((process.ranks or 0 for process in self.processes), default=0)
        if expected > len(ranks):
            seen = ", ".join(map(str, ranks)) or "none"
            text += (
                f"; {len(ranks)} of {expected} ranks are seen ({seen}): others are on other hosts,"
                " or do not publish"
            )
        return printable(text)

    def as_dict(self) -> dict[str, Any]:
        """Return the same as JSON types."""
        return {
            "time": self.now,
            "ranks_seen": self._ranks_seen(),
            "ranks": max((process.ranks or 1 for process in self.processes), default=1),
            "total": _as_dict(self._sum_rates()) | self._sums(),
            "processes": [self._process_dict(process) for process in self.processes],
        }

    def _ranks_seen(self) -> list[int]:
        return sorted({process.rank for process in self.processes if process.rank is not None})

    def _row(self, process: PublishedProcess) -> tuple[str, ...]:
        return (
            "-" if process.rank is None else str(process.rank),
            "-" if process.worker is None else str(process.worker),
            str(process.pid),
            *_rate_cells(_rates(process)),
            *(f"{process.total(name):,.0f}" for name in ("retries", "errors", "skipped")),
            self._now_text(process),
        )

    def _sum_row(self) -> tuple[str, ...]:
        sums = self._sums()
        counts = (f"{sums[name]:,.0f}" for name in ("retries", "errors", "skipped"))
        return ("all", "", "", *_rate_cells(self._sum_rates()), *counts, "")

    def _sums(self) -> dict[str, float]:
        names = ("samples", "bytes_read", "requests", "retries", "resumes", "errors", "skipped")
        return {name: sum(one.total(name) for one in self.processes) for name in names}

    def _sum_rates(self) -> _Rates:
        """Return the sums; of waiting the mean of the trainers, as theirs is what counts."""
        rates = [_rates(process) for process in self.processes]
        trainers = [rate.waiting for rate in rates if rate.batches and rate.waiting is not None]
        waiting = sum(trainers) / len(trainers) if trainers else None
        return _Rates(
            _sum([rate.samples for rate in rates]),
            _sum([rate.batches for rate in rates]),
            _sum([rate.megabytes for rate in rates]),
            _sum([rate.requests for rate in rates]),
            waiting,
        )

    def _now_text(self, process: PublishedProcess) -> str:
        silent_s = self.now - process.time
        if silent_s > SILENT_AFTER_S:
            return f"has written nothing for {silent_s:,.0f} s"
        if (process.waits_for_batch_s or 0.0) > _SHOW_WAIT_AFTER_S:
            return f"{process.waits_for_batch_s:,.1f} s for a batch"
        if process.blocked_on and process.blocked_s > _SHOW_WAIT_AFTER_S:
            return printable(f"{process.blocked_s:,.1f} s for {process.blocked_on}")
        return ""

    def _process_dict(self, process: PublishedProcess) -> dict[str, Any]:
        return {
            "host": process.host,
            "pid": process.pid,
            "parent": process.parent,
            "command": process.command,
            "rank": process.rank,
            "ranks": process.ranks,
            "worker": process.worker,
            "started": process.started,
            "written_s_ago": self.now - process.time,
            **_as_dict(_rates(process)),
            "waits_for_batch_s": process.waits_for_batch_s,
            "blocked_on": process.blocked_on,
            "blocked_s": process.blocked_s,
            "totals": process.totals,
        }


def table_of(processes: Sequence[PublishedProcess]) -> ProcessTable:
    """Return the table of processes as they are now."""
    return ProcessTable(processes, time.time())


def _rates(process: PublishedProcess) -> _Rates:
    """Return what a process does in a second.

    A trainer waits for batches. Without a Loader, and in workers, what waits are the threads that
    read: several of them together may wait for more than a second in each.
    """
    is_trainer = process.total("batches") > 0 or process.waits_for_batch_s is not None
    megabytes = process.rate("bytes_read")
    return _Rates(
        process.rate("samples") if process.total("samples") or not is_trainer else None,
        process.rate("batches") if is_trainer else None,
        None if megabytes is None else megabytes / 1e6,
        process.rate("requests"),
        process.rate("batch_wait_s") if is_trainer else process.rate(*_WAITING),
    )


def _as_dict(rates: _Rates) -> dict[str, float | None]:
    return {
        "samples_per_s": rates.samples,
        "batches_per_s": rates.batches,
        "mb_per_s": rates.megabytes,
        "requests_per_s": rates.requests,
        "waiting": rates.waiting,
    }


def _rate_cells(rates: _Rates) -> tuple[str, ...]:
    return (
        _number(rates.samples, "{:,.0f}"),
        _number(rates.batches, "{:,.1f}"),
        _number(rates.megabytes, "{:,.1f}"),
        _number(rates.requests, "{:,.0f}"),
        _number(rates.waiting, "{:.0%}"),
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _counted(count: int, noun: str, plural: str = "s") -> str:
    return f"{count:,} {noun}{plural if count != 1 else ''}"
