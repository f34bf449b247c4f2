"""Requests about buckets: create, list, HEAD, destroy, and listing what is in one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from aisio.gateway.exchange import ActionMessage, Exchange, decode_message, reply
from aisio.gateway.folder import Folder
from aisio.gateway.listing import ListMessage, list_page
from aisio.gateway.names import namespace_of, provider_of
from aisio.gateway.refusals import Refusal, unsupported
from aisio.gateway.replies import (
    Cluster,
    bucket_entry,
    bucket_props,
    json_body,
    json_list,
    packed_list,
)
from aisio.gateway.walk import Directories
from aisio.wire.messages import MSGPACK

JSON = "application/json; charset=utf-8"
_EMPTY_LIST = msgspec.Raw(b"{}")

KNOWN_ACTIONS = frozenset(
    {
        "archive",
        "copy-bck",
        "copy-listrange",
        "create-inventory",
        "delete-listrange",
        "destroy-inventory",
        "ec-encode",
        "etl-bck",
        "etl-listrange",
        "evict-listrange",
        "evict-remote-bck",
        "index-shard",
        "make-n-copies",
        "move-bck",
        "prefetch-listrange",
        "rechunk",
        "reset-bprops",
        "set-bprops",
        "show-inventory",
        "summary-bck",
    }
)
"""What AIStore 5.0 does with buckets; those without an entry in Buckets.actions are answered
501."""


class Buckets:
    """The buckets of a folder, over HTTP.

    Args:
        folder: The served folder.
        cluster: The names that the gateway goes by.
    """

    def __init__(self, folder: Folder, cluster: Cluster) -> None:
        self._folder = folder
        self._directories = Directories(folder.root)
        self._location = f"t[{cluster.target_id}]:mp[{folder.root}]"
        self.actions: dict[
            tuple[str, str], Callable[[Exchange, ActionMessage], Awaitable[web.StreamResponse]]
        ] = {
            ("POST", "create-bck"): self._create,
            ("DELETE", "destroy-bck"): self._destroy,
            ("GET", "list"): self._list,
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
        if message.action in KNOWN_ACTIONS:
            raise unsupported(f'action "{message.action}"')
        raise Refusal(400, f'invalid action "{message.action}"')

    async def head(self, exchange: Exchange) -> web.StreamResponse:
        """Send a bucket's properties."""
        _refuse_longer_path(exchange)
        status = self._folder.bucket_status(exchange.target.bucket)
        return reply(headers=[("Ais-Bucket-Props", bucket_props(status))])

    async def _create(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        if provider_of(exchange.target.query.get("provider", "")) != "ais":
            raise unsupported("create a cloud bucket")
        self._folder.create_bucket(exchange.target.bucket)
        return reply()

    async def _destroy(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        await asyncio.to_thread(self._folder.destroy_bucket, exchange.target.bucket)
        return reply()

    async def _list(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        if len(exchange.target.parts) < 2 or not exchange.target.parts[1]:
            return self._list_buckets(exchange)
        bucket = exchange.target.bucket
        if message.value == b"null":
            raise Refusal(
                400,
                f'bad list-buckets request: "{bucket.name}" vs "" (action [list] without a value)',
            )
        wanted = decode_message(message.value, ListMessage)
        page = await asyncio.to_thread(
            list_page, self._folder, self._directories, bucket, wanted, self._location
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
        buckets = sorted(self._folder.buckets())
        wanted = [b for b in buckets if not namespace.name or b.namespace == namespace.name]
        return reply(json_body([bucket_entry(bucket) for bucket in wanted]), kind=JSON)


def _refuse_longer_path(exchange: Exchange) -> None:
    if exchange.target.parts[2:] not in ((), ("",)):
        raise Refusal(400, f'invalid request URI "/v1/{"/".join(exchange.target.parts)}"')
