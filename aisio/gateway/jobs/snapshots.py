"""What clients see of a job, as AIStore 5.0 writes it."""

from __future__ import annotations

import time
from typing import Any

from aisio.gateway.jobs.job import Job, JobState
from aisio.gateway.protocol.targets import BucketName

_NEVER = "0001-01-01T00:00:00Z"


def job_status(job: Job) -> dict[str, Any]:
    """Return what AIStore says of a job under what=status."""
    return {
        "kind": job.spec.kind,
        "uuid": job.id,
        "err": job.error,
        "end_time": job.ended_ns,
        "aborted": job.is_aborted,
    }


def job_snapshot(job: Job) -> dict[str, Any]:
    """Return what AIStore says of a job on one target, under what=qryxstats."""
    spec, stats = job.spec, job.stats
    to_and_from_targets = dict.fromkeys(("out-objs", "out-bytes", "in-objs", "in-bytes"), "0")
    return {
        "ext": None,
        "start-time": go_time(job.started_ns),
        "end-time": go_time(job.ended_ns),
        "bck": _bucket(spec.bucket),
        "src-bck": _bucket(spec.bucket if spec.destination else None),
        "dst-bck": _bucket(spec.destination),
        "id": job.id,
        "kind": spec.kind,
        "ctlmsg": spec.message,
        "abort-err": job.error if job.is_aborted else "",
        "err": job.error,
        "glob.id": "0",
        "stats": {
            "loc-objs": str(stats.objects),
            "loc-bytes": str(stats.size_bytes),
            **to_and_from_targets,
        },
        "aborted": job.is_aborted,
        "is_idle": job.state is not JobState.RUNNING,
    }


def go_time(time_ns: int) -> str:
    """Return a time as Go writes it in JSON; 0 becomes Go's zero time, which means never."""
    if not time_ns:
        return _NEVER
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def _bucket(bucket: BucketName | None) -> dict[str, Any]:
    name, namespace = bucket or ("", "")
    provider = "ais" if bucket else ""
    return {"name": name, "provider": provider, "namespace": {"uuid": "", "name": namespace}}
