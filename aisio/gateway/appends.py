"""Append: an object that grows by one request after the other and appears when it is flushed."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web

from aisio.gateway.exchange import Exchange, answer_early, reply
from aisio.gateway.folder import Folder
from aisio.gateway.names import BucketName
from aisio.gateway.refusals import Refusal
from aisio.gateway.replies import new_id
from aisio.gateway.uploads import Upload

_COPY_BYTES = 1 << 20
_MOST_FLUSHED = 1000


@dataclass
class Growing:
    """An object on its way in.

    Attributes:
        upload: What has come so far.
        bucket: Where it goes.
        name: What it will be called.
        turn: Requests with the same handle wait for each other.
    """

    upload: Upload
    bucket: BucketName
    name: str
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Appends:
    """The appends of a gateway, over HTTP. What is not flushed ends with the gateway.

    Args:
        folder: The served folder.
        target_id: Names the node in handles.
    """

    def __init__(self, folder: Folder, target_id: str) -> None:
        self._folder = folder
        self._target_id = target_id
        self._growing: dict[str, Growing] = {}
        self._flushed: deque[str] = deque(maxlen=_MOST_FLUSHED)

    async def put(self, exchange: Exchange) -> web.StreamResponse:
        """Append the body to what a handle stands for, or flush that."""
        kind = exchange.target.query.get("append_type", "")
        handle = exchange.target.query.get("append_handle", "")
        if kind == "flush":
            return await self._flush(exchange, handle)
        if kind != "append":
            expected = '(expecting either "append" or "flush") - check "append_type" query'
            raise Refusal(400, f'invalid operation "{kind}" {expected}')
        return await self._append(exchange, handle)

    async def _append(self, exchange: Exchange, handle: str) -> web.StreamResponse:
        if not handle:
            handle = f"{self._target_id}|{new_id()}|xxhash2|"
            growing = await asyncio.to_thread(self._begin, exchange)
            self._growing[handle] = growing
        growing = self._find(exchange, handle)
        async with growing.turn:
            last = await exchange.receive(growing.upload)
            await asyncio.to_thread(_write, growing.upload, last)
        return reply(headers=[("Ais-Append-Handle", handle)])

    async def _flush(self, exchange: Exchange, handle: str) -> web.StreamResponse:
        if not handle:
            raise Refusal(400, "failed to finalize append-file operation: empty handle")
        if handle not in self._flushed:
            growing = self._find(exchange, handle)
            async with growing.turn:
                await asyncio.to_thread(self._finish, growing)
            self._growing.pop(handle, None)
            self._flushed.append(handle)
        # As a cluster does: what comes with the flush is not part of the object.
        return await answer_early(exchange.request, reply())

    def _find(self, exchange: Exchange, handle: str) -> Growing:
        growing = self._growing.get(handle)
        asked = (exchange.target.bucket, exchange.target.name)
        if growing is None or (growing.bucket, growing.name) != asked:
            raise Refusal(400, f'invalid APPEND handle: "{handle}"')
        return growing

    def _begin(self, exchange: Exchange) -> Growing:
        """Begin with the bytes of the object that is there, if there is one."""
        bucket, name = exchange.target.bucket, exchange.target.name
        upload = self._folder.begin_upload(None)
        try:
            opened = self._folder.open_object(bucket, name)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            return Growing(upload, bucket, name)
        with opened.file as file:
            while piece := file.read(_COPY_BYTES):
                upload.write([piece])
        return Growing(upload, bucket, name)

    def _finish(self, growing: Growing) -> None:
        try:
            self._folder.finish_upload(growing.upload, [], growing.bucket, growing.name)
        finally:
            growing.upload.discard()


def _write(upload: Upload, last: list[bytes]) -> None:
    """Write, and let go of the file: a client may take its time, and files are few."""
    upload.write(last)
    upload.pause()
