"""Requests about one object: GET, HEAD, PUT, PATCH, DELETE."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
from aiohttp import web

from aisio.checksums import HASHERS
from aisio.gateway.exchange import Exchange, answer_early, decode_message, reply, send_file
from aisio.gateway.folder import Folder, OpenObject
from aisio.gateway.metadata import FileState, Record
from aisio.gateway.names import BucketName
from aisio.gateway.ranges import parse_range
from aisio.gateway.refusals import Refusal, unsupported
from aisio.gateway.replies import Cluster, head_headers, head_props_headers, object_headers
from aisio.records import Checksum
from aisio.wire.messages import CHECKSUM_TYPE, CHECKSUM_VALUE

INLINE_BYTES = 64 << 10
"""Up to this size an object is read and sent with its headers in one write, which beats sendfile's
two system calls and four event-loop rounds; above it the kernel moves the bytes."""

KNOWN_ACTIONS = frozenset(
    {
        "blob-download",
        "check-lock",
        "mpt-abort",
        "mpt-complete",
        "mpt-upload",
        "promote",
        "rename-obj",
    }
)
"""What AIStore 5.0 does with objects on POST."""

_HASH_INLINE_BYTES = 256 << 10
_OCTETS = "application/octet-stream"


class CustomMessage(msgspec.Struct):
    """The body that sets custom metadata."""

    value: dict[str, str] = msgspec.field(default_factory=dict)


class Objects:
    """The objects of a folder, over HTTP.

    Args:
        folder: The served folder.
        cluster: The names that the gateway goes by.
    """

    def __init__(self, folder: Folder, cluster: Cluster) -> None:
        self._folder = folder
        self._cluster = cluster
        self._location = f"t[{cluster.target_id}]:mp[{folder.root}]"
        self._learning: dict[tuple[BucketName, str, FileState], asyncio.Future[Record]] = {}
        # Of their own, so that checksums of many large files leave threads for listings and writes.
        self._checksum_threads = ThreadPoolExecutor(2, "checksum")

    async def get(self, exchange: Exchange) -> web.StreamResponse:
        """Send an object or a range of it."""
        exchange.refuse_parameters("archpath", "archregx", "etl_name", "etl_pipeline")
        bucket, name = exchange.target.bucket, exchange.target.name
        opened = self._folder.open_object(bucket, name)
        with opened.file as file:
            headers = object_headers(await self._record(bucket, name, opened), opened.status)
            size, start, status = opened.status.st_size, 0, 200
            stop = size
            if wanted := exchange.request.headers.get("Range"):
                start, stop = parse_range(wanted, size, f"{bucket.url}/{name}")
                status = 206
                headers += [
                    ("Accept-Ranges", "bytes"),
                    ("Content-Range", f"bytes {start}-{stop - 1}/{size}"),
                ]
            if stop - start > INLINE_BYTES:
                response = web.StreamResponse(status=status, headers=headers)
                return await send_file(exchange.request, file, start, stop, response)
            body = os.pread(file.fileno(), stop - start, start)
        if len(body) != stop - start:
            raise Refusal(
                409, f"{bucket.url}/{name} is being written by another program, try again"
            )
        return reply(body, status=status, headers=headers, kind=_OCTETS)

    async def head(self, exchange: Exchange) -> web.StreamResponse:
        """Send what is known of an object, in the form that the query asks for."""
        bucket, name = exchange.target.bucket, exchange.target.name
        opened = self._folder.open_object(bucket, name)
        with opened.file:
            record = await self._record(bucket, name, opened)
        if props := exchange.target.query.get("props"):
            headers = head_props_headers(props, self._location, record, opened.status)
        else:
            headers = head_headers(bucket, name, self._location, record, opened.status)
        return reply(headers=headers)

    async def put(self, exchange: Exchange) -> web.StreamResponse:
        """Store an object; the first request gets the address to send the bytes to."""
        exchange.refuse_parameters(
            "append_type", "append_handle", "uploadId", "archpath", "object_to", "etl_name"
        )
        self._folder.require_writable()
        bucket, name = exchange.target.bucket, exchange.target.name
        self._folder.bucket_path(bucket)
        if not exchange.target.query.keys() >= {"pid", "utm"}:
            return await answer_early(exchange.request, self._hand_over(exchange))
        claimed = _claimed_checksum(exchange.request)
        if claimed is not None and self._has(bucket, name, claimed):
            return await answer_early(exchange.request, reply())
        upload = self._folder.begin_upload(claimed)
        try:
            last: list[bytes] = []
            async for pieces in exchange.uploaded():
                if last:
                    await asyncio.to_thread(upload.write, last)
                last = pieces
            record, status = await asyncio.to_thread(
                self._folder.finish_upload, upload, last, bucket, name
            )
        finally:
            upload.discard()
        return reply(headers=object_headers(record, status))

    async def patch(self, exchange: Exchange) -> web.StreamResponse:
        """Set custom metadata: add to what there is, or replace it."""
        self._folder.require_writable()
        bucket, name = exchange.target.bucket, exchange.target.name
        message = decode_message(await exchange.read_body(), CustomMessage)
        opened = self._folder.open_object(bucket, name)
        with opened.file:
            record = await self._record(bucket, name, opened)
        replace = exchange.target.query.get("set-new-custom") == "true"
        custom = message.value if replace else {**record.custom, **message.value}
        self._folder.metadata.set_custom(bucket, name, record, custom)
        return reply()

    async def delete(self, exchange: Exchange) -> web.StreamResponse:
        """Remove an object."""
        exchange.refuse_parameters("uploadId")
        self._folder.delete_object(exchange.target.bucket, exchange.target.name)
        return reply()

    async def act(self, exchange: Exchange) -> web.StreamResponse:
        """Say what of AIStore's actions on objects the gateway cannot do: so far, all."""
        message = await exchange.read_action()
        if message.action in KNOWN_ACTIONS:
            raise unsupported(f'action "{message.action}"')
        raise Refusal(400, f'invalid action "{message.action}"')

    def close(self) -> None:
        """Let the checksum threads end."""
        self._checksum_threads.shutdown(wait=True, cancel_futures=True)

    async def _record(self, bucket: BucketName, name: str, opened: OpenObject) -> Record:
        """Return the record of an open object; that of a found file is computed now, and once."""
        state = FileState.of(opened.status)
        record = self._folder.metadata.get(bucket, name, state)
        if record is not None:
            return record
        key = (bucket, name, state)
        if key not in self._learning:
            handle = os.dup(opened.file.fileno())
            if state.size_bytes <= _HASH_INLINE_BYTES:
                return self._folder.learn_checksum(bucket, name, handle, state)
            learning = asyncio.get_running_loop().run_in_executor(
                self._checksum_threads, self._folder.learn_checksum, bucket, name, handle, state
            )
            self._learning[key] = learning
            learning.add_done_callback(lambda _: self._learning.pop(key))
        return await asyncio.shield(self._learning[key])

    def _has(self, bucket: BucketName, name: str, claimed: Checksum) -> bool:
        """Say whether the stored object is known to have the checksum of the coming bytes."""
        try:
            opened = self._folder.open_object(bucket, name)
        except Refusal:
            return False
        opened.file.close()
        record = self._folder.metadata.get(bucket, name, FileState.of(opened.status))
        return record is not None and record.full_checksum == claimed

    def _hand_over(self, exchange: Exchange) -> web.Response:
        path = exchange.request.raw_path
        mark = "&" if "?" in path else "?"
        address = f"{exchange.origin}{path}{mark}pid={self._cluster.proxy_id}&utm={time.time_ns()}"
        return reply(status=307, headers=[("Location", address)])


def _claimed_checksum(request: web.BaseRequest) -> Checksum | None:
    """Return what the client says the bytes' checksum is.

    Raises:
        Refusal: AIStore has no such checksum.
    """
    kind, value = request.headers.get(CHECKSUM_TYPE, ""), request.headers.get(CHECKSUM_VALUE, "")
    if not kind or not value or kind == "none":
        return None
    if kind not in HASHERS:
        known = ", ".join(("none", *HASHERS))
        raise Refusal(400, f'invalid checksum type "{kind}" (expecting one of {known})')
    return Checksum(kind, value)
