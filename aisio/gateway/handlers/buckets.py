"""Requests about buckets: routes each action to its function, and does the short ones."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.http.bodies import (
    bucket_entry,
    bucket_props,
    json_body,
    json_list,
    packed_list,
)
from aisio.gateway.http.cluster import Cluster
from aisio.gateway.http.exchange import ActionMessage, Exchange, decode_message
from aisio.gateway.http.listing import BucketListing, ListMessage
from aisio.gateway.http.responses import JSON, make_response
from aisio.gateway.jobs.bucket_jobs import BucketJobs
from aisio.gateway.jobs.groups import GroupJobs
from aisio.gateway.jobs.jobs import Jobs
from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.refusals import Refusal, not_a_remote_bucket, unsupported
from aisio.gateway.protocol.targets import parse_namespace, parse_provider
from aisio.gateway.storage.bucket_folders import create_bucket, destroy_bucket, list_buckets
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.multipart_uploads import MultipartUploads
from aisio.gateway.storage.walk import DirectoryReader
from aisio.wire.messages import MSGPACK

_EMPTY_LIST = msgspec.Raw(b"{}")

UNSUPPORTED_ACTIONS = frozenset(
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
"""Actions on buckets that AIStore 5.0 has and this gateway does not."""

REMOTE_ACTIONS = frozenset({"evict-listrange", "evict-remote-bck", "prefetch-listrange"})
"""Actions that AIStore 5.0 has for buckets in clouds only."""

Action = Callable[[Exchange, ActionMessage], Awaitable[web.StreamResponse]]


class Buckets:
    """The buckets of a folder, over HTTP.

    Args:
        folder: The served folder.
        cluster: The ids that the gateway presents.
        archives: The indexes of its archives.
        jobs: Runs work in the background.
        uploads: The multipart uploads to the buckets.
    """

    def __init__(
        self,
        folder: Folder,
        cluster: Cluster,
        archives: IndexCache,
        jobs: Jobs,
        uploads: MultipartUploads,
    ) -> None:
        self._folder = folder
        self._uploads = uploads
        directories = DirectoryReader(folder.opener, folder.skipped)
        location = f"t[{cluster.target_id}]:mp[{folder.root}]"
        self._listing = BucketListing(folder, directories, archives, location)
        self._jobs = BucketJobs(folder, directories, jobs, uploads)
        groups = GroupJobs(folder, directories, archives, jobs)
        list_buckets(folder)  # logs at the start which files are in no bucket
        self.actions: dict[tuple[str, str], Action] = {
            ("POST", "create-bck"): self._create,
            ("DELETE", "destroy-bck"): self._destroy,
            ("PATCH", "reset-bprops"): self._reset_props,
            ("PATCH", "set-bprops"): self._set_props,
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
        """Run the action that the message in the body names."""
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
            name = message.action.replace("evict-listrange", "evict-remote-bck")
            raise not_a_remote_bucket(name, exchange.target.bucket.url)
        if message.action in UNSUPPORTED_ACTIONS:
            raise unsupported(f'action "{message.action}"')
        raise Refusal(400, f'invalid action "{message.action}"')

    async def head(self, exchange: Exchange) -> web.StreamResponse:
        """Send a bucket's properties, and the summary of its contents if requested."""
        if "bsumm_remote" in exchange.target.query:
            return await self._jobs.info(exchange)
        _refuse_longer_path(exchange)
        bucket = exchange.target.bucket
        status = self._folder.bucket_status(bucket)
        props = bucket_props(self._folder.metadata.props(bucket), status)
        return make_response(headers=[("Ais-Bucket-Props", props)])

    async def _create(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        if parse_provider(exchange.target.query.get("provider", "")) != "ais":
            raise unsupported("create a cloud bucket")
        await asyncio.to_thread(create_bucket, self._folder, exchange.target.bucket)
        return make_response()

    async def _destroy(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        self._folder.require_access(exchange.target.bucket, "DESTROY-BUCKET")
        await asyncio.to_thread(destroy_bucket, self._folder, exchange.target.bucket)
        await asyncio.to_thread(self._uploads.drop_bucket, exchange.target.bucket)
        return make_response()

    async def _reset_props(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        return self._store_props(exchange, BucketProps())

    async def _set_props(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        bucket = exchange.target.bucket
        before = self._folder.metadata.props(bucket)
        return self._store_props(exchange, before.updated(message.value, bucket.url))

    def _store_props(self, exchange: Exchange, props: BucketProps) -> web.StreamResponse:
        self._folder.require_writable()
        self._folder.bucket_path(exchange.target.bucket)
        self._folder.metadata.set_props(exchange.target.bucket, props)
        return make_response()

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
        page = await asyncio.to_thread(self._listing.page, bucket, wanted)
        uuid = secrets.token_urlsafe(7)
        if MSGPACK in exchange.request.headers.get("Accept", ""):
            return make_response(packed_list(page, wanted, uuid), content_type=MSGPACK)
        return make_response(json_list(page, wanted, uuid), content_type=JSON)

    def _list_buckets(self, exchange: Exchange) -> web.StreamResponse:
        query = exchange.target.query
        provider = parse_provider(query.get("provider", ""))
        namespace = parse_namespace(query.get("namespace", ""))
        if provider != "ais" or namespace.cluster:
            message = f"{provider.upper()} backend is missing in the cluster configuration"
            raise Refusal(400, message, tcode="ErrMissingBackend")
        entries = [
            bucket_entry(bucket)
            for bucket in sorted(list_buckets(self._folder))
            if not namespace.name or bucket.namespace == namespace.name
        ]
        return make_response(json_body(entries), content_type=JSON)


def _refuse_longer_path(exchange: Exchange) -> None:
    if exchange.target.parts[2:] not in ((), ("",)):
        raise Refusal(400, f'invalid request URI "/v1/{"/".join(exchange.target.parts)}"')
