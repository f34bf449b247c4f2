"""Requests about jobs and the cluster: query jobs, start and stop them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from aisio.gateway.http.bodies import json_body
from aisio.gateway.http.cluster import Cluster
from aisio.gateway.http.exchange import Exchange, decode_message
from aisio.gateway.http.responses import JSON, TEXT, make_response
from aisio.gateway.jobs.groups import BucketMessage
from aisio.gateway.jobs.job import IDLE_KINDS, Job, JobSpec
from aisio.gateway.jobs.jobs import Jobs
from aisio.gateway.jobs.snapshots import job_snapshot, job_status
from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal, unsupported

HOUSEKEEPING = frozenset({"lru", "cleanup-store", "resilver", "load-lom-cache"})
"""Kinds of jobs that clients may start and that have nothing to do in a folder."""

_ALIASES = {
    "lru-eviction": "lru",
    "cleanup": "cleanup-store",
    "warm-up-metadata": "load-lom-cache",
    "copy-objects": "copy-listrange",
    "copy-bucket": "copy-bck",
    "rename-bucket": "move-bck",
    "delete-objects": "delete-listrange",
    "summary": "summary-bck",
}


class JobMessage(msgspec.Struct):
    """Which jobs a request is about, or what to start."""

    job_id: str = msgspec.field(name="id", default="")
    kind: str = ""
    bucket: BucketMessage | None = msgspec.field(name="bck", default=None)
    buckets: list[BucketMessage] | None = None
    only_running: bool | None = msgspec.field(name="show_active", default=None)

    @property
    def canonical_kind(self) -> str:
        """The kind, without AIStore's aliases."""
        return _ALIASES.get(self.kind, self.kind)


class JobCalls:
    """The jobs of a gateway, over HTTP.

    Args:
        jobs: The jobs.
        cluster: The ids that the gateway presents.
    """

    def __init__(self, jobs: Jobs, cluster: Cluster) -> None:
        self._jobs = jobs
        self._cluster = cluster
        self._queries: dict[str, Callable[[JobMessage], web.Response]] = {
            "status": self._status,
            "status_all": self._status_all,
            "running_all": self._running_all,
            "qryxstats": self._snapshots,
        }
        self._actions: dict[str, Callable[[JobMessage], Awaitable[web.Response]]] = {
            "start": self._start,
            "stop": self._stop,
        }

    async def get(self, exchange: Exchange) -> web.StreamResponse:
        """Describe jobs, or the cluster."""
        what = exchange.target.query.get("what", "")
        if what == "smap":
            return make_response(json_body(self._cluster.map(exchange.origin)), content_type=JSON)
        query = self._queries.get(what)
        if query is None:
            raise Refusal(400, f"unexpected query [what={what}]")
        body = await exchange.read_body()
        return query(_decode(body) if body else JobMessage())

    async def put(self, exchange: Exchange) -> web.StreamResponse:
        """Start or stop jobs."""
        message = await exchange.read_action()
        action = self._actions.get(message.action)
        if action is None:
            raise Refusal(400, f'invalid action "{message.action}"')
        return await action(_decode(message.value))

    def _status(self, message: JobMessage) -> web.Response:
        if not message.job_id and not message.kind:
            raise Refusal(400, "invalid x-")
        if message.job_id:
            jobs = [job for job in (self._jobs.find(message.job_id),) if job]
        else:
            jobs = list(self._jobs.select(message.canonical_kind))
        jobs = [job for job in jobs if job.spec.kind not in IDLE_KINDS]
        if not jobs:
            raise _no_job(message)
        return make_response(msgspec.json.encode(job_status(jobs[-1])), content_type=TEXT)

    def _status_all(self, message: JobMessage) -> web.Response:
        jobs = self._select(message, only_running=bool(message.only_running))
        rows = [job_status(job) for job in jobs if job.spec.kind not in IDLE_KINDS]
        return make_response(msgspec.json.encode(rows or None), content_type=TEXT)

    def _running_all(self, message: JobMessage) -> web.Response:
        jobs = self._select(message, only_running=True)
        names = [f"{job.spec.kind}[{job.id}]" for job in jobs]
        return make_response(json_body(names), content_type=JSON)

    def _snapshots(self, message: JobMessage) -> web.Response:
        jobs = self._select(message, only_running=bool(message.only_running))
        if message.job_id and not jobs:
            raise _no_job(message)
        rows = [job_snapshot(job) for job in jobs]
        return make_response(json_body({self._cluster.target_id: rows}), content_type=JSON)

    def _select(self, message: JobMessage, *, only_running: bool) -> list[Job]:
        kind = message.canonical_kind
        if not message.job_id:
            return list(self._jobs.select(kind, only_running=only_running))
        job = self._jobs.find(message.job_id)
        return [job] if job and kind in ("", job.spec.kind) else []

    async def _start(self, message: JobMessage) -> web.Response:
        kind = message.canonical_kind
        if kind == "rebalance":
            raise Refusal(400, "not enough targets: need 2, have 1", tcode="errNotEnoughTargets")
        if kind not in HOUSEKEEPING:
            raise unsupported(f'start of jobs of the kind "{message.kind}"')
        rows = message.buckets or ([message.bucket] if message.bucket else [])
        buckets = ", ".join(row.bucket.url for row in rows if row.name)
        spec = JobSpec(kind, message=f"buckets: {buckets}" if buckets else "")
        job = self._jobs.start(spec, lambda job: None)
        return make_response(job.id.encode(), content_type=TEXT)

    async def _stop(self, message: JobMessage) -> web.Response:
        if not message.job_id and not message.kind:
            raise Refusal(
                400, "cannot stop xaction given 'xa-[]' - expecting a valid kind and/or UUID"
            )
        if message.job_id and self._jobs.find(message.job_id) is None:
            raise Refusal(400, f'invalid xaction (job) UUID "{message.job_id}"')
        for job in self._select(message, only_running=True):
            job.stop()
        return make_response()


def _decode(body: bytes | msgspec.Raw) -> JobMessage:
    """Decode a message; its keys may be "ID" or "id", which are equal for a server in Go.

    Raises:
        Refusal: It is not JSON, or does not have a JobMessage's fields.
    """
    fields = decode_json(body, dict[str, msgspec.Raw], what="JobMessage")
    lowercase = msgspec.json.encode({key.lower(): value for key, value in fields.items()})
    return decode_message(lowercase, JobMessage)


def _no_job(message: JobMessage) -> Refusal:
    name = f"x-{message.kind}[{message.job_id}]" if message.job_id else f"x-{message.kind}"
    return Refusal(404, f"{name} does not exist", tcode="ErrNotFound")
