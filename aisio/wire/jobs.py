"""Jobs of an AIStore cluster: how a bucket or object is named in them, and what they report.

Source: AIStore 5.0, checked against a live cluster of that release: GET /v1/cluster with
what=qryxstats.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from aisio.urls import ObjectUrl
from aisio.wire.decoding import decoding
from aisio.wire.messages import namespace_text

__all__ = ["JobReport", "parse_job_reports", "uname"]

_NEVER = "0001-"
"""How Go's zero time begins, which stands for "not yet"."""


def uname(url: ObjectUrl) -> str:
    """Return the unique name by which a query parameter names another bucket or object."""
    return f"{url.provider}/{namespace_text(url.namespace)}/{url.bucket}/{url.name}"


class JobReport(NamedTuple):
    """What the nodes of a cluster report of one job.

    Attributes:
        is_finished: No node works on it.
        objects: How many objects the nodes have processed.
        is_aborted: A node stopped before its work was done.
        errors: The last error of each node that has one.
    """

    is_finished: bool
    objects: int
    is_aborted: bool
    errors: tuple[str, ...]


class _Stats(msgspec.Struct):
    objects: int = msgspec.field(name="loc-objs", default=0)


class _Snapshot(msgspec.Struct):
    stats: _Stats = msgspec.field(default_factory=_Stats)
    end_time: str = msgspec.field(name="end-time", default=_NEVER)
    err: str = ""
    abort_err: str = msgspec.field(name="abort-err", default="")
    aborted: bool = False
    is_idle: bool = False

    @property
    def is_finished(self) -> bool:
        return self.aborted or self.is_idle or not self.end_time.startswith(_NEVER)


def parse_job_reports(body: bytes, about: str) -> JobReport:
    """Parse what the nodes report of a job.

    Args:
        body: The body of the response.
        about: What the job is for, for errors.

    Raises:
        IntegrityError: The body is not such a response.
    """
    with decoding(f"{about}: the reply does not describe a job"):
        nodes = msgspec.json.decode(body, type=dict[str, list[_Snapshot] | None], strict=False)
    snapshots = [one for reports in nodes.values() for one in reports or ()]
    errors = (one.err or one.abort_err for one in snapshots)
    return JobReport(
        is_finished=all(one.is_finished for one in snapshots),
        objects=sum(one.stats.objects for one in snapshots),
        is_aborted=any(one.aborted for one in snapshots),
        errors=tuple(dict.fromkeys(filter(None, errors))),
    )
