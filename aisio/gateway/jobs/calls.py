"""Requests to the cluster as a whole: what its jobs do; start and stop them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from aisio.gateway.http.exchange import Exchange, decode_message, reply
from aisio.gateway.http.replies import (
    JSON,
    TEXT,
    Cluster,
    json_body,
)
from aisio.gateway.jobs.groups import BucketMessage
from aisio.gateway.jobs.jobs import (
    IDLE_KINDS,
    Job,
    Jobs,
    job_snap,
    job_status,
)
from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal, unsupported

HOUSEKEEPING = frozenset({"lru", "cleanup-store", "resilver", "load-lom-cache"})
"""Kinds of jobs that a client may start and that find nothing to do in a folder."""

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
    """Which jobs a client means, or what to start."""

    job_id: str = msgspec.field(name="id", default="")
    kind: str = ""
    bucket: BucketMessage | None = msgspec.field(name="bck", default=None)
    buckets: list[BucketMessage] | None = None
    only_running: bool | None = msgspec.field(name="show_active", default=None)

    @property
    def known_kind(self) -> str:
        """The kind, of its two names the one that jobs have."""
        return _ALIASES.get(self.kind, self.kind)


class JobCalls:
    """The jobs of a gateway, over HTTP.

    Args:
        jobs: These.
        cluster: The names that the gateway goes by.
    """

    def __init__(self, jobs: Jobs, cluster: Cluster) -> None:
        self._jobs = jobs
        self._cluster = cluster
        self._answers: dict[str, Callable[[JobMessage], web.Response]] = {
            "status": self._status,
            "status_all": self._status_all,
            "running_all": self._running_all,
            "qryxstats": self._snapshots,
        }

    async def get(self, exchange: Exchange) -> web.StreamResponse:
        """Tell of jobs, or of the cluster."""
        what = exchange.target.query.get("what", "")
        if what == "smap":
            return reply(json_body(self._cluster.map(exchange.origin)), kind=JSON)
        answer = self._answers.get(what)
        if answer is None:
            raise Refusal(400, f"unexpected query [what={what}]")
        body = await exchange.read_body()
        return answer(_read(body) if body else JobMessage())

    async def put(self, exchange: Exchange) -> web.StreamResponse:
        """Start or stop jobs."""
        message = await exchange.read_action()
        act: dict[str, Callable[[JobMessage], Awaitable[web.Response]]] = {
            "start": self._start,
            "stop": self._stop,
        }
        if message.action not in act:
            raise Refusal(400, f'invalid action "{message.action}"')
        return await act[message.action](_read(message.value))

    def _status(self, message: JobMessage) -> web.Response:
        if not message.job_id and not message.kind:
            raise Refusal(400, "invalid x-")
        if message.job_id:
            found = [job for job in (self._jobs.find(message.job_id),) if job]
        else:
            found = list(self._jobs.select(message.known_kind))
        found = [job for job in found if job.kind not in IDLE_KINDS]
        if not found:
            raise _no_job(message)
        return reply(msgspec.json.encode(job_status(found[-1])), kind=TEXT)

    def _status_all(self, message: JobMessage) -> web.Response:
        found = self._select(message, only_running=bool(message.only_running))
        rows = [job_status(job) for job in found if job.kind not in IDLE_KINDS]
        return reply(msgspec.json.encode(rows or None), kind=TEXT)

    def _running_all(self, message: JobMessage) -> web.Response:
        found = self._select(message, only_running=True)
        return reply(json_body([f"{job.kind}[{job.id}]" for job in found]), kind=JSON)

    def _snapshots(self, message: JobMessage) -> web.Response:
        found = self._select(message, only_running=bool(message.only_running))
        if message.job_id and not found:
            raise _no_job(message)
        rows = [job_snap(job) for job in found]
        return reply(json_body({self._cluster.target_id: rows}), kind=JSON)

    def _select(self, message: JobMessage, *, only_running: bool) -> list[Job]:
        kind = message.known_kind
        if not message.job_id:
            return list(self._jobs.select(kind, only_running=only_running))
        job = self._jobs.find(message.job_id)
        return [job] if job and kind in ("", job.kind) else []

    async def _start(self, message: JobMessage) -> web.Response:
        kind = message.known_kind
        if kind == "rebalance":
            raise Refusal(400, "not enough targets: need 2, have 1", tcode="errNotEnoughTargets")
        if kind not in HOUSEKEEPING:
            raise unsupported(f'start of jobs of the kind "{message.kind}"')
        named = message.buckets or ([message.bucket] if message.bucket else [])
        told = ", ".join(row.bucket.url for row in named if row.name)
        job = self._jobs.start(kind, _nothing, message=told and f"buckets: {told}")
        return reply(job.id.encode(), kind=TEXT)

    async def _stop(self, message: JobMessage) -> web.Response:
        if not message.job_id and not message.kind:
            raise Refusal(
                400, "cannot stop xaction given 'xa-[]' - expecting a valid kind and/or UUID"
            )
        if message.job_id and self._jobs.find(message.job_id) is None:
            raise Refusal(400, f'invalid xaction (job) UUID "{message.job_id}"')
        for job in self._select(message, only_running=True):
            job.stop()
        return reply()


def _read(body: bytes | msgspec.Raw) -> JobMessage:
    """Read a message; its keys come as "ID" or "id", which is the same to a server in Go.

    Raises:
        Refusal: It is not JSON, or not of that shape.
    """
    found = decode_json(body, dict[str, msgspec.Raw], what="JobMessage")
    lowered = msgspec.json.encode({key.lower(): value for key, value in found.items()})
    return decode_message(lowered, JobMessage)


def _nothing(job: Job) -> None:
    """Do what is to do in a folder that others look after."""


def _no_job(message: JobMessage) -> Refusal:
    name = f"x-{message.kind}[{message.job_id}]" if message.job_id else f"x-{message.kind}"
    return Refusal(404, f"{name} does not exist", tcode="ErrNotFound")
