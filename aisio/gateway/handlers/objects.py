"""Requests about one object: GET, HEAD, PUT, POST, PATCH, DELETE."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import msgspec
from aiohttp import web

from aisio.formats.checksums import HASHERS
from aisio.gateway.archives.index import Archives
from aisio.gateway.archives.writes import NEW, put_member
from aisio.gateway.handlers.appends import Appends
from aisio.gateway.handlers.archive_reads import ArchiveReads, parse_archive_query
from aisio.gateway.handlers.multipart import Multipart
from aisio.gateway.http.exchange import (
    INLINE_BYTES,
    OCTETS,
    Exchange,
    answer_early,
    decode_message,
    reply,
    send_file,
)
from aisio.gateway.http.replies import (
    Cluster,
    head_headers,
    head_props_headers,
    object_headers,
    one_line,
)
from aisio.gateway.jobs.promotions import Promotions
from aisio.gateway.protocol.custom_metadata import check_custom
from aisio.gateway.protocol.range_header import parse_range
from aisio.gateway.protocol.refusals import Refusal, not_remote
from aisio.gateway.protocol.targets import BucketName, check_name, parse_uname
from aisio.gateway.storage.folder import Folder, OpenObject
from aisio.gateway.storage.keyed_lock import Turns
from aisio.gateway.storage.metadata import FileState, Record
from aisio.gateway.storage.moves import copy_object, rename_object
from aisio.gateway.storage.uploads import Upload
from aisio.records import Checksum
from aisio.wire.messages import CHECKSUM_TYPE, CHECKSUM_VALUE

_HASH_INLINE_BYTES = 256 << 10


class CustomMessage(msgspec.Struct):
    """The body that sets custom metadata."""

    value: dict[str, str | None] | None = None


class Objects:
    """The objects of a folder, over HTTP.

    Args:
        folder: The served folder.
        cluster: The names that the gateway goes by.
        archives: What is known of its archives.
        promotions: Makes objects of files.
    """

    def __init__(
        self, folder: Folder, cluster: Cluster, archives: Archives, promotions: Promotions
    ) -> None:
        self._folder = folder
        self._cluster = cluster
        self._archives = archives
        self._promotions = promotions
        self._archive_reads = ArchiveReads(folder, archives)
        self._appends = Appends(folder, cluster.target_id)
        self._multipart = Multipart(folder)
        self._turns = Turns()
        self._location = one_line(f"t[{cluster.target_id}]:mp[{folder.root}]")
        self._learning: dict[tuple[BucketName, str, FileState], asyncio.Future[Record]] = {}
        # Of their own, so that checksums of many large files leave threads for listings and writes.
        self._checksum_threads = ThreadPoolExecutor(2, "checksum")

    async def get(self, exchange: Exchange) -> web.StreamResponse:
        """Send an object, a range of it, or what is inside it."""
        exchange.refuse_parameters("etl_name", "etl_pipeline")
        if query := parse_archive_query(exchange.target.query):
            return await self._archive_reads.get(exchange, query)
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
        return reply(body, status=status, headers=headers, kind=OCTETS)

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
        """Store bytes; the first request gets the address to send them to."""
        query = exchange.target.query
        exchange.refuse_parameters("etl_name", "etl_pipeline")
        self._folder.require_writable()
        bucket, _ = exchange.target.bucket, exchange.target.name
        self._folder.bucket_path(bucket)
        self._folder.require_access(bucket, "APPEND" if query.get("append_type") else "PUT")
        if not exchange.is_handed_over:
            return await exchange.hand_over(self._cluster.proxy_id)
        if query.get("object_to"):
            return await self._copy(exchange)
        # In AIStore's order: the official client "appends" to parts of multipart uploads, too.
        if query.get("append_type") and not (query.get("uploadId") or query.get("archpath")):
            return await self._appends.put(exchange)
        claimed = _claimed_checksum(exchange.request)
        upload = self._folder.begin_upload(claimed)
        try:
            if query.get("uploadId"):
                return await self._multipart.put_part(exchange, upload)
            if query.get("archpath"):
                return await self._put_member(exchange, upload)
            return await self._put_object(exchange, upload)
        finally:
            upload.discard()

    async def _put_object(self, exchange: Exchange, upload: Upload) -> web.StreamResponse:
        bucket, name = exchange.target.bucket, exchange.target.name
        if upload.claimed is not None and self._has(bucket, name, upload.claimed):
            return await answer_early(exchange.request, reply())
        last = await exchange.receive(upload)
        record, status = await asyncio.to_thread(
            self._folder.finish_upload, upload, last, bucket, name
        )
        return reply(headers=object_headers(record, status))

    async def _put_member(self, exchange: Exchange, upload: Upload) -> web.StreamResponse:
        last = await exchange.receive(upload)
        async with self._turns.of((exchange.target.bucket, exchange.target.name)):
            await asyncio.to_thread(self._store_member, exchange, upload, last)
        return reply()

    def _store_member(self, exchange: Exchange, upload: Upload, last: list[bytes]) -> None:
        target, query = exchange.target, exchange.target.query
        upload.write(last)
        upload.finish(f"{target.bucket.url}/{target.name}")
        pine = exchange.request.headers.get("Ais-Pine", "")
        put_member(
            self._folder,
            self._archives,
            (target.bucket, target.name),
            upload,
            path=query["archpath"],
            mime=query.get("archmime", ""),
            how=int(pine) if pine in ("0", "1", "2") else NEW,
        )

    async def _copy(self, exchange: Exchange) -> web.StreamResponse:
        bucket, name = parse_uname(exchange.target.query["object_to"])
        source = (exchange.target.bucket, exchange.target.name)
        target = (bucket, check_name(name or exchange.target.name))
        if target != source:
            await asyncio.to_thread(copy_object, self._folder, source, target)
        return await answer_early(exchange.request, reply())

    async def patch(self, exchange: Exchange) -> web.StreamResponse:
        """Set custom metadata: add to what there is, or replace it."""
        self._folder.require_writable()
        bucket, name = exchange.target.bucket, exchange.target.name
        self._folder.require_access(bucket, "UPDATE-OBJECT")
        message = decode_message(await exchange.read_body(), CustomMessage)
        opened = self._folder.open_object(bucket, name)
        with opened.file:
            record = await self._record(bucket, name, opened)
        replace = exchange.target.query.get("set-new-custom") == "true"
        given = {key: value or "" for key, value in (message.value or {}).items()}
        custom = given if replace else {**record.custom, **given}
        check_custom(custom, f"{bucket.url}/{name}")
        self._folder.metadata.set_custom(bucket, name, record, custom)
        return reply()

    async def delete(self, exchange: Exchange) -> web.StreamResponse:
        """Remove an object, or what there is of a multipart upload."""
        self._folder.require_writable()
        self._folder.require_access(exchange.target.bucket, "DELETE-OBJECT")
        if exchange.target.query.get("uploadId"):
            return await self._multipart.abort(exchange)
        bucket, name = exchange.target.bucket, exchange.target.name
        await asyncio.to_thread(self._folder.delete_object, bucket, name)
        return reply()

    async def act(self, exchange: Exchange) -> web.StreamResponse:
        """Do what the body's action message says."""
        message = await exchange.read_action()
        bucket = exchange.target.bucket
        if message.action == "mpt-upload":
            return await self._multipart.begin(exchange)
        if message.action == "mpt-complete":
            return await self._multipart.complete(exchange, message)
        if message.action == "check-lock":
            # Only cold reads of clouds hold locks that outlast a request.
            self._folder.bucket_path(bucket)
            return reply()
        if message.action == "rename-obj":
            self._folder.require_access(bucket, "MOVE-OBJECT")
            new_name = check_name(message.name)
            await asyncio.to_thread(
                rename_object, self._folder, bucket, exchange.target.name, new_name
            )
            return reply()
        if message.action == "blob-download":
            raise not_remote("blob-download", bucket.url)
        if message.action == "promote":
            return await self._promotions.promote(exchange, message)
        raise Refusal(400, f'invalid action "{message.action}"')

    def close(self) -> None:
        """Let the threads of checksums and archives end."""
        self._archive_reads.close()
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
