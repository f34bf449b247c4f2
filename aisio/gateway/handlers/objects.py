"""Requests about one object: GET, HEAD, PUT, POST, PATCH, DELETE."""

from __future__ import annotations

import asyncio
import os

import msgspec
from aiohttp import web

from aisio.formats.checksums import HASHERS
from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.handlers.appends import Appends
from aisio.gateway.handlers.archive_reads import ArchiveReads, parse_archive_query
from aisio.gateway.handlers.archive_writes import ArchiveWrites
from aisio.gateway.handlers.multipart import Multipart
from aisio.gateway.handlers.object_records import ObjectRecords
from aisio.gateway.http.cluster import Cluster
from aisio.gateway.http.exchange import ActionMessage, Exchange, decode_message
from aisio.gateway.http.object_headers import (
    head_headers,
    head_props_headers,
    object_headers,
    one_line,
)
from aisio.gateway.http.responses import (
    INLINE_BYTES,
    OCTET_STREAM,
    make_response,
    respond_early,
    send_file,
)
from aisio.gateway.jobs.promotions import Promotions
from aisio.gateway.protocol.custom_metadata import check_custom
from aisio.gateway.protocol.range_header import parse_range
from aisio.gateway.protocol.refusals import Refusal, not_a_remote_bucket
from aisio.gateway.protocol.targets import BucketName, check_name, parse_uname
from aisio.gateway.storage.file_refusals import being_written
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.moves import copy_object, rename_object
from aisio.gateway.storage.multipart_uploads import MultipartUploads
from aisio.gateway.storage.records import FileState
from aisio.gateway.storage.uploads import Upload
from aisio.records import Checksum
from aisio.wire.messages import CHECKSUM_TYPE, CHECKSUM_VALUE


class CustomMessage(msgspec.Struct):
    """The body of a request that sets custom metadata."""

    value: dict[str, str | None] | None = None


class Objects:
    """The objects of a folder, over HTTP.

    Args:
        folder: The served folder.
        cluster: The ids that the gateway presents.
        archives: The indexes of its archives.
        promotions: Makes objects from files.
        records: Finds the records of its objects; closed with this.
        uploads: Its multipart uploads.
    """

    def __init__(
        self,
        folder: Folder,
        cluster: Cluster,
        archives: IndexCache,
        promotions: Promotions,
        records: ObjectRecords,
        uploads: MultipartUploads,
    ) -> None:
        self._folder = folder
        self._cluster = cluster
        self._promotions = promotions
        self._records = records
        self._archive_reads = ArchiveReads(folder, archives)
        self._archive_writes = ArchiveWrites(folder, archives)
        self._appends = Appends(folder, cluster.target_id)
        self._multipart = Multipart(folder, uploads)
        self._location = one_line(f"t[{cluster.target_id}]:mp[{folder.root}]")

    async def get(self, exchange: Exchange) -> web.StreamResponse:
        """Send an object, a range of it, or members of an archive."""
        exchange.refuse_parameters("etl_name", "etl_pipeline")
        if query := parse_archive_query(exchange.target.query):
            return await self._archive_reads.get(exchange, query)
        bucket, name = exchange.target.bucket, exchange.target.name
        opened = self._folder.open_object(bucket, name)
        with opened.file as file:
            headers = object_headers(await self._records.get(bucket, name, opened), opened.status)
            size = opened.status.st_size
            start, stop, status = 0, size, 200
            if byte_range := exchange.request.headers.get("Range"):
                start, stop = parse_range(byte_range, size, f"{bucket.url}/{name}")
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
            raise being_written(f"{bucket.url}/{name}")
        return make_response(body, status=status, headers=headers, content_type=OCTET_STREAM)

    async def head(self, exchange: Exchange) -> web.StreamResponse:
        """Send the metadata of an object, in the form that the query selects."""
        bucket, name = exchange.target.bucket, exchange.target.name
        opened = self._folder.open_object(bucket, name)
        with opened.file:
            record = await self._records.get(bucket, name, opened)
        if props := exchange.target.query.get("props"):
            headers = head_props_headers(props, self._location, record, opened.status)
        else:
            headers = head_headers(bucket, name, self._location, record, opened.status)
        return make_response(headers=headers)

    async def put(self, exchange: Exchange) -> web.StreamResponse:
        """Store bytes; the first request gets a redirect to the address that stores them."""
        query = exchange.target.query
        exchange.refuse_parameters("etl_name", "etl_pipeline")
        self._folder.require_writable()
        bucket, _ = exchange.target.bucket, exchange.target.name  # refuses a bad name, too
        self._folder.bucket_path(bucket)
        self._folder.require_access(bucket, "APPEND" if query.get("append_type") else "PUT")
        if not exchange.is_redirected:
            return await exchange.redirect_to_target(self._cluster.proxy_id)
        if query.get("object_to"):
            return await self._copy(exchange)
        # In AIStore's order: the official client sets append_type for parts of uploads as well.
        if query.get("append_type") and not (query.get("uploadId") or query.get("archpath")):
            return await self._appends.put(exchange)
        claimed = _claimed_checksum(exchange.request)
        upload = self._folder.begin_upload(claimed)
        try:
            if query.get("uploadId"):
                return await self._multipart.put_part(exchange, upload)
            if query.get("archpath"):
                return await self._archive_writes.put(exchange, upload)
            return await self._put_object(exchange, upload)
        finally:
            upload.discard()

    async def _put_object(self, exchange: Exchange, upload: Upload) -> web.StreamResponse:
        bucket, name = exchange.target.bucket, exchange.target.name
        if upload.expected is not None and self._has_checksum(bucket, name, upload.expected):
            return await respond_early(exchange.request, make_response())
        last = await exchange.receive(upload)
        record, status = await asyncio.to_thread(
            self._folder.finish_upload, upload, last, bucket, name
        )
        return make_response(headers=object_headers(record, status))

    async def _copy(self, exchange: Exchange) -> web.StreamResponse:
        bucket, name = parse_uname(exchange.target.query["object_to"])
        source = (exchange.target.bucket, exchange.target.name)
        if not name:
            raise Refusal(400, f"object_to={bucket.url}: the name of the copy is missing")
        destination = (bucket, check_name(name))
        if destination != source:
            await asyncio.to_thread(copy_object, self._folder, source, destination)
        return await respond_early(exchange.request, make_response())

    async def patch(self, exchange: Exchange) -> web.StreamResponse:
        """Add custom metadata to the existing one, or replace it."""
        self._folder.require_writable()
        bucket, name = exchange.target.bucket, exchange.target.name
        self._folder.require_access(bucket, "UPDATE-OBJECT")
        message = decode_message(await exchange.read_body(), CustomMessage)
        opened = self._folder.open_object(bucket, name)
        with opened.file:
            record = await self._records.get(bucket, name, opened)
        replace = exchange.target.query.get("set-new-custom") == "true"
        new = {key: value or "" for key, value in (message.value or {}).items()}
        custom = new if replace else {**record.custom, **new}
        check_custom(custom, f"{bucket.url}/{name}")
        self._folder.metadata.set_custom(bucket, name, record, custom)
        return make_response()

    async def delete(self, exchange: Exchange) -> web.StreamResponse:
        """Delete an object, or abort a multipart upload."""
        self._folder.require_writable()
        self._folder.require_access(exchange.target.bucket, "DELETE-OBJECT")
        if exchange.target.query.get("uploadId"):
            return await self._multipart.abort(exchange)
        bucket, name = exchange.target.bucket, exchange.target.name
        await asyncio.to_thread(self._folder.delete_object, bucket, name)
        return make_response()

    async def act(self, exchange: Exchange) -> web.StreamResponse:
        """Run the action that the message in the body names."""
        message = await exchange.read_action()
        bucket = exchange.target.bucket
        if message.action == "mpt-upload":
            return await self._multipart.begin(exchange)
        if message.action == "mpt-complete":
            return await self._multipart.complete(exchange, message)
        if message.action == "promote":
            return await self._promotions.promote(exchange, message)
        if message.action == "rename-obj":
            return await self._rename(exchange, message)
        if message.action == "check-lock":
            # Only cold reads from clouds hold locks for longer than a request.
            self._folder.bucket_path(bucket)
            return make_response()
        if message.action == "blob-download":
            raise not_a_remote_bucket("blob-download", bucket.url)
        raise Refusal(400, f'invalid action "{message.action}"')

    def close(self) -> None:
        """Wait for the threads of checksums, archives and multipart uploads to end."""
        self._archive_reads.close()
        self._multipart.close()
        self._records.close()

    async def _rename(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        bucket, name = exchange.target.bucket, exchange.target.name
        self._folder.require_access(bucket, "MOVE-OBJECT")
        await asyncio.to_thread(rename_object, self._folder, bucket, name, check_name(message.name))
        return make_response()

    def _has_checksum(self, bucket: BucketName, name: str, claimed: Checksum) -> bool:
        """Say whether the stored object's recorded checksum is the one of the new bytes."""
        try:
            opened = self._folder.open_object(bucket, name)
        except Refusal:
            return False
        opened.file.close()
        record = self._folder.metadata.get(bucket, name, FileState.of(opened.status))
        return record is not None and record.full_checksum == claimed


def _claimed_checksum(request: web.BaseRequest) -> Checksum | None:
    """Return the checksum of the body that the client claims; None if it claims none.

    Raises:
        Refusal: AIStore has no checksum of that kind.
    """
    kind, value = request.headers.get(CHECKSUM_TYPE, ""), request.headers.get(CHECKSUM_VALUE, "")
    if not kind or not value or kind == "none":
        return None
    if kind not in HASHERS:
        known = ", ".join(("none", *HASHERS))
        raise Refusal(400, f'invalid checksum type "{kind}" (expecting one of {known})')
    return Checksum(kind, value)
