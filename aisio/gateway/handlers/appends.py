"""Append: an object that grows with each request and appears when a client flushes it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web

from aisio.gateway.http.cluster import new_id
from aisio.gateway.http.exchange import Exchange
from aisio.gateway.http.responses import make_response, respond_early
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.records import NO_FILE, FileIdentity
from aisio.gateway.storage.uploads import Upload

_COPY_BYTES = 1 << 20
_MAX_FLUSHED = 1000
_log = logging.getLogger(__name__)


@dataclass
class PendingAppend:
    """An object that has not been flushed yet.

    Attributes:
        upload: Its bytes so far.
        bucket: The bucket of the object.
        name: The name of the object.
        existing: What had the name when the append began.
        lock: Held by the request that works on it.
    """

    upload: Upload
    bucket: BucketName
    name: str
    existing: FileIdentity
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Appends:
    """The appends of a gateway, over HTTP. What is not flushed is lost when the gateway ends.

    Args:
        folder: The served folder.
        target_id: The id of the node, which is part of the handles.
    """

    def __init__(self, folder: Folder, target_id: str) -> None:
        self._folder = folder
        self._target_id = target_id
        self._pending: dict[str, PendingAppend] = {}
        self._flushed: deque[str] = deque(maxlen=_MAX_FLUSHED)

    async def put(self, exchange: Exchange) -> web.StreamResponse:
        """Append the body to the object of a handle, or flush the object."""
        operation = exchange.target.query.get("append_type", "")
        handle = exchange.target.query.get("append_handle", "")
        if operation == "flush":
            return await self._flush(exchange, handle)
        if operation != "append":
            expected = '(expecting either "append" or "flush") - check "append_type" query'
            raise Refusal(400, f'invalid operation "{operation}" {expected}')
        return await self._append(exchange, handle)

    async def _append(self, exchange: Exchange, handle: str) -> web.StreamResponse:
        if not handle:
            return await self._append_first(exchange)
        async with self._find(exchange, handle).lock:
            # Another request may have flushed it while this one waited for the lock.
            await self._append_body(exchange, handle, self._find(exchange, handle).upload)
        return make_response(headers=[("Ais-Append-Handle", handle)])

    async def _append_first(self, exchange: Exchange) -> web.StreamResponse:
        handle = f"{self._target_id}|{new_id()}|xxhash2|"
        pending = await asyncio.to_thread(self._begin, exchange)
        self._pending[handle] = pending
        try:
            await self._append_body(exchange, handle, pending.upload)
        except BaseException:
            # The client does not get the handle, so that nobody can use it.
            self._pending.pop(handle, None)
            pending.upload.discard()
            raise
        return make_response(headers=[("Ais-Append-Handle", handle)])

    async def _append_body(self, exchange: Exchange, handle: str, upload: Upload) -> None:
        """Append the whole body or nothing: a client that gets no response sends it again."""
        before = upload.mark()
        try:
            last = await exchange.receive(upload)
            await asyncio.to_thread(_write, upload, last)
        except asyncio.CancelledError:
            # A thread may still be writing to the upload: it cannot be used any more.
            self._pending.pop(handle, None)
            raise
        except BaseException:
            try:
                upload.rewind(before)
            except OSError:
                self._pending.pop(handle, None)
                raise
            raise

    async def _flush(self, exchange: Exchange, handle: str) -> web.StreamResponse:
        if not handle:
            raise Refusal(400, "failed to finalize append-file operation: empty handle")
        if handle not in self._flushed:
            async with self._find(exchange, handle).lock:
                if handle not in self._flushed:
                    await asyncio.to_thread(self._finish, self._find(exchange, handle))
                    del self._pending[handle]
                    self._flushed.append(handle)
        # As on a cluster, the body of a flush is not part of the object.
        return await respond_early(exchange.request, make_response())

    def _find(self, exchange: Exchange, handle: str) -> PendingAppend:
        pending = self._pending.get(handle)
        requested = (exchange.target.bucket, exchange.target.name)
        if pending is None or (pending.bucket, pending.name) != requested:
            raise Refusal(400, f'invalid APPEND handle: "{handle}"')
        return pending

    def _begin(self, exchange: Exchange) -> PendingAppend:
        """Begin with the bytes of the existing object, if there is one."""
        bucket, name = exchange.target.bucket, exchange.target.name
        upload = self._folder.begin_upload(None)
        try:
            opened = self._folder.open_object(bucket, name)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            return PendingAppend(upload, bucket, name, NO_FILE)
        try:
            with opened.file as file:
                while piece := file.read(_COPY_BYTES):
                    upload.write([piece])
        except BaseException:
            upload.discard()
            raise
        return PendingAppend(upload, bucket, name, FileIdentity.of(opened.status))

    def _finish(self, pending: PendingAppend) -> None:
        """Store the object; if that fails, the bytes are kept for another flush."""
        bucket, name = pending.bucket, pending.name
        replaced = self._folder.identity(bucket, name)
        self._folder.finish_upload(pending.upload, [], bucket, name)
        if replaced != pending.existing:
            # As on a cluster, the last flush wins.
            _log.warning(
                "%s/%s: an append replaced what others stored since it began", bucket.url, name
            )


def _write(upload: Upload, last: list[bytes]) -> None:
    """Write, and close the file: the next request may come late, and open files are limited."""
    upload.write(last)
    upload.pause()
