"""Requests about buckets: those that are answered at once, and where the others are dealt with."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from aisio.gateway.archives.index import Archives
from aisio.gateway.http.exchange import (
    ActionMessage,
    Exchange,
    decode_message,
    reply,
)
from aisio.gateway.http.listing import ListMessage, list_page
from aisio.gateway.http.replies import (
    JSON,
    Cluster,
    bucket_entry,
    bucket_props,
    json_body,
    json_list,
    packed_list,
)
from aisio.gateway.jobs.bucket_jobs import BucketJobs
from aisio.gateway.jobs.groups import Groups
from aisio.gateway.jobs.jobs import Jobs
from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.refusals import Refusal, not_remote, unsupported
from aisio.gateway.protocol.targets import namespace_of, provider_of
from aisio.gateway.storage.bucket_folders import create_bucket, destroy_bucket, list_buckets
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.walk import Directories
from aisio.wire.messages import MSGPACK

_EMPTY_LIST = msgspec.Raw(b"{}")

LATER_ACTIONS = frozenset(
    {
        "create-inventory",
        "destroy-inventory",
        "ec-encode",
        "etl-bck",
        "etl-listrange",
        "index-shard",
        "rechunk",
        "show-inventory",
    }
)
"""What AIStore 5.0 does with buckets and this gateway does not."""

REMOTE_ACTIONS = frozenset({"evict-listrange", "evict-remote-bck", "prefetch-listrange"})
"""What AIStore 5.0 does with buckets of clouds only."""

Act = Callable[[Exchange, ActionMessage], Awaitable[web.StreamResponse]]


class Buckets:
    """The buckets of a folder, over HTTP.

    Args:
        folder: The served folder.
        cluster: The names that the gateway goes by.
        archives: What is known of its archives.
        jobs: Where work in the background is done.
    """

    def __init__(self, folder: Folder, cluster: Cluster, archives: Archives, jobs: Jobs) -> None:
        self._folder = folder
        self._directories = Directories(folder.beneath, folder.left_out)
        self._archives = archives
        self._location = f"t[{cluster.target_id}]:mp[{folder.root}]"
        self._jobs = BucketJobs(folder, self._directories, jobs)
        groups = Groups(folder, self._directories, archives, jobs)
        list_buckets(folder)  # tells at the start what is in none of them
        self.actions: dict[tuple[str, str], Act] = {
            ("POST", "create-bck"): self._create,
            ("DELETE", "destroy-bck"): self._destroy,
            ("PATCH", "reset-bprops"): self._reset,
            ("PATCH", "set-bprops"): self._change,
            ("GET", "list"): self._list,
            ("GET", "summary-bck"): self._jobs.summary,
            ("POST", "copy-bck"): self._jobs.copy,
            ("POST", "move-bck"): self._jobs.rename,
            ("POST", "make-n-copies"): self._jobs.make_copies,
            ("DELETE", "delete-listrange"): groups.delete,
            ("POST", "copy-listrange"): groups.copy,
            ("PUT", "archive"): groups.archive,
        }

    async def act(self, exchange: Exchange) -> web.StreamResponse:
        """Do what the body's action message says."""
        request = exchange.request
        body = await exchange.read_body()
        if not body and request.method == "GET":
            message = ActionMessage("list", value=_EMPTY_LIST)
        else:
            message = decode_message(body, ActionMessage)
        if request.method != "GET":
            _refuse_longer_path(exchange)
        action = self.actions.get((request.method or "", message.action))
        if action is not None:
            return await action(exchange, message)
        if message.action in REMOTE_ACTIONS:
            told = message.action.replace("evict-listrange", "evict-remote-bck")
            raise not_remote(told, exchange.target.bucket.url)
        if message.action in LATER_ACTIONS:
            raise unsupported(f'action "{message.action}"')
        raise Refusal(400, f'invalid action "{message.action}"')

    async def head(self, exchange: Exchange) -> web.StreamResponse:
        """Send a bucket's properties, and what is in it if that is asked for."""
        if "bsumm_remote" in exchange.target.query:
            return await self._jobs.info(exchange)
        _refuse_longer_path(exchange)
        bucket = exchange.target.bucket
        status = self._folder.bucket_status(bucket)
        props = bucket_props(self._folder.metadata.props(bucket), status)
        return reply(headers=[("Ais-Bucket-Props", props)])

    async def _create(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        if provider_of(exchange.target.query.get("provider", "")) != "ais":
            raise unsupported("create a cloud bucket")
        create_bucket(self._folder, exchange.target.bucket)
        return reply()

    async def _destroy(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        self._folder.require_access(exchange.target.bucket, "DESTROY-BUCKET")
        await asyncio.to_thread(destroy_bucket, self._folder, exchange.target.bucket)
        return reply()

    async def _reset(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        return self._set(exchange, BucketProps())

    async def _change(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        bucket = exchange.target.bucket
        before = self._folder.metadata.props(bucket)
        return self._set(exchange, before.changed(message.value, bucket.url))

    def _set(self, exchange: Exchange, props: BucketProps) -> web.StreamResponse:
        self._folder.require_writable()
        self._folder.bucket_path(exchange.target.bucket)
        self._folder.metadata.set_props(exchange.target.bucket, props)
        return reply()

    async def _list(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        if len(exchange.target.parts) < 2 or not exchange.target.parts[1]:
            return self._list_buckets(exchange)
        bucket = exchange.target.bucket
        if not message.has_value:
            raise Refusal(
                400,
                f'bad list-buckets request: "{bucket.name}" vs "" (action [list] without a value)',
            )
        wanted = decode_message(message.value, ListMessage)
        page = await asyncio.to_thread(
            list_page,
            self._folder,
            self._directories,
            self._archives,
            bucket,
            wanted,
            self._location,
        )
        uuid = secrets.token_urlsafe(7)
        if MSGPACK in exchange.request.headers.get("Accept", ""):
            return reply(packed_list(page, wanted, uuid), kind=MSGPACK)
        return reply(json_list(page, wanted, uuid), kind=JSON)

    def _list_buckets(self, exchange: Exchange) -> web.StreamResponse:
        query = exchange.target.query
        provider, namespace = (
            provider_of(query.get("provider", "")),
            namespace_of(query.get("namespace", "")),
        )
        if provider != "ais" or namespace.cluster:
            message = f"{provider.upper()} backend is missing in the cluster configuration"
            raise Refusal(400, message, tcode="ErrMissingBackend")
        buckets = sorted(list_buckets(self._folder))
        wanted = [b for b in buckets if not namespace.name or b.namespace == namespace.name]
        return reply(json_body([bucket_entry(bucket) for bucket in wanted]), kind=JSON)


def _refuse_longer_path(exchange: Exchange) -> None:
    if exchange.target.parts[2:] not in ((), ("",)):
        raise Refusal(400, f'invalid request URI "/v1/{"/".join(exchange.target.parts)}"')
