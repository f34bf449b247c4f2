"""Append: an object that grows by one request after the other and appears when it is flushed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web

from aisio.gateway.http.exchange import Exchange, answer_early, reply
from aisio.gateway.http.replies import new_id
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder, Present
from aisio.gateway.storage.uploads import Upload

_COPY_BYTES = 1 << 20
_MOST_FLUSHED = 1000
_log = logging.getLogger(__name__)


@dataclass
class Growing:
    """An object on its way in.

    Attributes:
        upload: What has come so far.
        bucket: Where it goes.
        name: What it will be called.
        began_with: What was there at its beginning.
        turn: Requests with the same handle wait for each other.
    """

    upload: Upload
    bucket: BucketName
    name: str
    began_with: Present
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
            return await self._append_first(exchange)
        async with self._find(exchange, handle).turn:
            # It may have been flushed while this one waited.
            await self._take_in(exchange, handle, self._find(exchange, handle).upload)
        return reply(headers=[("Ais-Append-Handle", handle)])

    async def _append_first(self, exchange: Exchange) -> web.StreamResponse:
        handle = f"{self._target_id}|{new_id()}|xxhash2|"
        growing = await asyncio.to_thread(self._begin, exchange)
        self._growing[handle] = growing
        try:
            await self._take_in(exchange, handle, growing.upload)
        except BaseException:
            # Nobody knows the handle.
            self._growing.pop(handle, None)
            growing.upload.discard()
            raise
        return reply(headers=[("Ais-Append-Handle", handle)])

    async def _take_in(self, exchange: Exchange, handle: str, upload: Upload) -> None:
        """Append the whole body, or nothing of it: a client that got no answer sends it again."""
        before = upload.mark()
        try:
            last = await exchange.receive(upload)
            await asyncio.to_thread(_write, upload, last)
        except asyncio.CancelledError:
            # A thread may still be writing to it.
            self._growing.pop(handle, None)
            raise
        except BaseException:
            try:
                upload.go_back(before)
            except OSError:
                self._growing.pop(handle, None)
                raise
            raise

    async def _flush(self, exchange: Exchange, handle: str) -> web.StreamResponse:
        if not handle:
            raise Refusal(400, "failed to finalize append-file operation: empty handle")
        if handle not in self._flushed:
            async with self._find(exchange, handle).turn:
                if handle not in self._flushed:
                    await asyncio.to_thread(self._finish, self._find(exchange, handle))
                    del self._growing[handle]
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
            return Growing(upload, bucket, name, Present())
        try:
            with opened.file as file:
                while piece := file.read(_COPY_BYTES):
                    upload.write([piece])
        except BaseException:
            upload.discard()
            raise
        return Growing(upload, bucket, name, Present.of(opened.status))

    def _finish(self, growing: Growing) -> None:
        """Give the bytes their name; where that fails, they stay for another flush."""
        bucket, name = growing.bucket, growing.name
        replaced = self._folder.present(bucket, name)
        self._folder.finish_upload(growing.upload, [], bucket, name)
        if replaced != growing.began_with:
            # As on a cluster, the last flush stays.
            _log.warning(
                "%s/%s: an append replaced what others stored since it began", bucket.url, name
            )


def _write(upload: Upload, last: list[bytes]) -> None:
    """Write, and let go of the file: a client may take its time, and files are few."""
    upload.write(last)
    upload.pause()
