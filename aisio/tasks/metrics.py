"""Metrics of a task: reported by its processes, read by others while it runs and afterwards.

A process finds its task in the environment: `task_id`, `secret_key`, and where the metrics go:
AISIO_TASK_METRICS is a folder, or the URL of a server of tasks; else BACKEND_NAMESPACE names
Anylearn's server.

In a folder, all processes append to one file, `metrics.jsonl`: one JSON object a line.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from aisio.config import first_item, first_set
from aisio.errors import AccessError, ConfigError, StorageError, UnavailableError

__all__ = [
    "METRICS_VARIABLE",
    "Metric",
    "MetricSink",
    "MetricsFolder",
    "MetricsServer",
    "read_metrics",
    "report_final_metric",
    "report_intermediate_metric",
    "sink_of_this_task",
]

METRICS_VARIABLE = "AISIO_TASK_METRICS"
"""Where a task's processes send their metrics: a folder, or the URL of a server."""

_FILE_NAME = "metrics.jsonl"
_DEFAULT_NAME = "metric"
_TIMEOUT_S = (3.0, 20.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """A number that a task reported.

    Attributes:
        value: The number; it may be NaN or infinite.
        time: When it was reported, in seconds since 1970 (UTC).
        final: Whether it is the task's result, and not one on the way.
        name: Its name: a task may report several kinds.
        step: The step of the training that it belongs to, if the task said so.
        rank: The rank of the process that reported it; 0 where there are no ranks.
    """

    value: float
    time: float
    final: bool = False
    name: str = _DEFAULT_NAME
    step: int | None = None
    rank: int = 0


class MetricSink(ABC):
    """Where metrics of a task go."""

    @abstractmethod
    def write(self, metric: Metric) -> None:
        """Store a metric.

        Raises:
            StorageError: It cannot be stored.
        """


class MetricsFolder(MetricSink):
    """The folder of a task: processes on all machines that share it may append at once.

    Args:
        folder: The task's folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / _FILE_NAME

    def write(self, metric: Metric) -> None:
        """Append a line; what a killed process left of its own line stays a line of its own."""
        line = json.dumps(asdict(metric)).encode() + b"\n"
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
            try:
                with suppress(OSError):  # some shared file systems have no locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                _append(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"metric of a task: {self.path}: {error.strerror}") from error

    def read(self) -> Iterator[Metric]:
        """Yield the metrics in the order in which they were reported."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        damaged = 0
        for line in data.split(b"\n"):
            try:
                metric = Metric(**json.loads(line)) if line else None
            except (ValueError, TypeError):
                damaged += 1
                continue
            if metric:
                yield metric
        if damaged:
            _log.warning("%s: left out %d lines that are cut or damaged", self.path, damaged)


class MetricsServer(MetricSink):
    """A server of tasks: Anylearn's, or `aisio tasks serve`.

    Source: the requests are those of anylearn 0.15.5; `name`, `step` and `rank` are sent in
    addition where they are not the default.

    Args:
        url: Base URL of the server.
        task_id: The task's ID.
        secret: The task's secret, which permits to report for it.
        connect_retries: How often a connection that cannot be made is tried again.
    """

    def __init__(self, url: str, task_id: str, secret: str, *, connect_retries: int = 3) -> None:
        self.url = url.rstrip("/")
        self.task_id = task_id
        self._secret = secret
        self._retries = connect_retries

    def write(self, metric: Metric) -> None:
        """Send a metric. Only a connection that cannot be made is tried again."""
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3 import Retry

        kind = "final_metric" if metric.final else "intermediate_metric"
        form = {"id": self.task_id, "metric": repr(metric.value), **_additions(metric)}
        retries = Retry(self._retries, read=0, status=0, other=0, redirect=0, backoff_factor=0.5)
        with requests.Session() as session:
            session.mount(self.url, HTTPAdapter(max_retries=retries))
            try:
                response = session.post(
                    f"{self.url}/api/train_task/{kind}",
                    data=form,
                    headers={"Secret-Key": self._secret},
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                raise UnavailableError(
                    f"metric of task {self.task_id}: {self.url} cannot be reached "
                    f"({type(error).__name__})"
                ) from error
        if response.status_code in (401, 403):
            raise AccessError(
                f"metric of task {self.task_id}: {self.url} refuses the task's secret",
                status=response.status_code,
            )
        if not response.ok or response.is_redirect:
            raise StorageError(
                f"metric of task {self.task_id}: {self.url} answered {response.status_code}",
                status=response.status_code,
            )


def report_intermediate_metric(
    metric: float, *, name: str = _DEFAULT_NAME, step: int | None = None
) -> None:
    """Report a number of this task on the way, as the loss of an epoch.

    Each process that calls this reports a number: call it in rank 0 alone, or give names.

    Args:
        metric: The number.
        name: What it is, if the task reports several.
        step: The step or epoch that it belongs to.

    Raises:
        ConfigError: The process is not one of a task, or the metric is no number.
        StorageError: The number cannot be stored or sent.
    """
    _report(metric, name=name, step=step, final=False)


def report_final_metric(metric: float, *, name: str = _DEFAULT_NAME) -> None:
    """Report the result of this task; a later call replaces it.

    Raises:
        ConfigError: The process is not one of a task, or the metric is no number.
        StorageError: The number cannot be stored or sent.
    """
    _report(metric, name=name, step=None, final=True)


def read_metrics(
    folder: str | os.PathLike[str],
    *,
    since: datetime | float | None = None,
    final: bool | None = None,
) -> list[Metric]:
    """Return what a task has reported to its folder, in that order.

    Args:
        folder: The task's folder.
        since: Only what was reported after this time, in seconds since 1970 or as a datetime; one
            without a time zone is local time.
        final: Only final metrics, or only intermediate ones; None for both.
    """
    after = since.timestamp() if isinstance(since, datetime) else since
    return [
        metric
        for metric in MetricsFolder(folder).read()
        if (after is None or metric.time > after) and (final is None or metric.final == final)
    ]


def sink_of_this_task() -> MetricSink:
    """Return where the metrics of the task go that this process belongs to.

    Raises:
        ConfigError: The process is not one of a task.
    """
    task_id, secret = first_set("task_id"), first_set("secret_key")
    place = first_set(METRICS_VARIABLE)
    namespace = first_set("BACKEND_NAMESPACE")
    if not place and namespace:
        # Source: the host that anylearn 0.15.5 sends to.
        place = f"http://anylearn-backend.{namespace}"
    if not (task_id and secret and place):
        raise ConfigError(
            "only the processes of a task report metrics: the variables task_id, secret_key and "
            f"{METRICS_VARIABLE} (or BACKEND_NAMESPACE) are not all set"
        )
    if place.startswith(("http://", "https://")):
        return MetricsServer(place, task_id, secret)
    return MetricsFolder(place)


def _report(metric: float, *, name: str, step: int | None, final: bool) -> None:
    try:
        value = float(metric)
    except (TypeError, ValueError):
        raise ConfigError(f"metric {metric!r} is a {type(metric).__name__}, not a number") from None
    rank = first_item("RANK")
    sink_of_this_task().write(
        Metric(value, time.time(), final, name, step, int(rank[1]) if rank else 0)
    )


def _append(descriptor: int, line: bytes) -> None:
    end = os.fstat(descriptor).st_size
    if end and os.pread(descriptor, 1, end - 1) != b"\n":
        line = b"\n" + line
    while line:
        line = line[os.write(descriptor, line) :]


def _additions(metric: Metric) -> dict[str, str]:
    given = {"name": metric.name, "step": metric.step, "rank": metric.rank}
    default = Metric(0, 0)
    return {key: str(value) for key, value in given.items() if value != getattr(default, key)}
