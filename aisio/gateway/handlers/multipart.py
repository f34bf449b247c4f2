"""Multipart upload: an object in parts, in any order, which appears when it is complete."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Mapping

import msgspec
from aiohttp import web

from aisio.gateway.handlers.single_flight import SingleFlight
from aisio.gateway.http.cluster import new_id
from aisio.gateway.http.exchange import ActionMessage, Exchange
from aisio.gateway.http.responses import TEXT, make_response
from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.multipart_uploads import MultipartUpload, MultipartUploads, Part
from aisio.gateway.storage.uploads import Upload

_THREADS = 4


class CompletedPart(msgspec.Struct):
    """A part in the list that a client sends to complete the upload."""

    number: int = msgspec.field(name="part-number")
    etag: str = ""


class Multipart:
    """The multipart uploads of a gateway, over HTTP.

    Args:
        folder: The served folder.
        uploads: The uploads.
    """

    def __init__(self, folder: Folder, uploads: MultipartUploads) -> None:
        self._folder = folder
        self._uploads = uploads
        self._joining = SingleFlight[tuple[BucketName, str, str], None](_THREADS, "multipart")

    async def begin(self, exchange: Exchange) -> web.StreamResponse:
        """Begin an upload, and send its id."""
        self._folder.require_writable()
        bucket, name = exchange.target.bucket, exchange.target.name
        self._folder.bucket_path(bucket)
        self._folder.require_access(bucket)
        upload_id = new_id()
        self._uploads.begin(MultipartUpload(upload_id, bucket, name))
        return make_response(upload_id.encode(), content_type=TEXT)

    async def put_part(self, exchange: Exchange, part: Upload) -> web.StreamResponse:
        """Receive a part; it replaces an earlier one of the same number."""
        upload = self._find(exchange)
        number = _part_number(exchange)
        last = await exchange.receive(part)
        size_bytes = await asyncio.to_thread(_finish_part, part, last, exchange.target.name)
        if not size_bytes:
            message = f"{upload.bucket.url}/{upload.name}: put-part invalid size (0)"
            raise Refusal(400, message)
        # Another request may have completed or aborted the upload meanwhile.
        self._find(exchange).add(number, Part(part, size_bytes))
        return make_response()

    async def complete(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Make the object from its parts; the message must list all of them.

        A client that does not wait for the response, and sends the request again, waits for the
        same work: the parts of a large object are copied for longer than clients wait.
        """
        target = exchange.target
        self._folder.require_access(target.bucket)
        key = target.bucket, target.name, target.query.get("uploadId", "")
        if key not in self._joining:
            upload = self._find(exchange)
            _check_complete(upload.parts, message)
            self._uploads.remove(upload)
            self._joining.start(key, functools.partial(self._join, upload))
        await self._joining.result(key)
        return make_response()

    def close(self) -> None:
        """Wait until the objects that are being made are complete."""
        self._joining.close()

    def _join(self, upload: MultipartUpload) -> None:
        try:
            self._uploads.join(upload, {})
        except BaseException as error:
            self._uploads.put_back(upload, error)
            raise
        self._uploads.drop(upload)

    async def abort(self, exchange: Exchange) -> web.StreamResponse:
        """Drop an upload and its parts."""
        self._uploads.drop(self._find(exchange))
        return make_response()

    def _find(self, exchange: Exchange) -> MultipartUpload:
        upload_id = exchange.target.query.get("uploadId", "")
        bucket, name = exchange.target.bucket, exchange.target.name
        upload = self._uploads.find(bucket, name, upload_id)
        if upload is None:
            message = f"{bucket.url}/{name}: upload {upload_id} does not exist"
            raise Refusal(404, message, tcode="ErrNotFound")
        return upload


def _finish_part(part: Upload, last: list[bytes], name: str) -> int:
    part.write(last)
    return part.finish(name)[0].st_size


def _part_number(exchange: Exchange) -> int:
    text = exchange.target.query.get("partNumber", "")
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        upload_id = exchange.target.query["uploadId"]
        raise Refusal(400, f'invalid part number "{text}" for uploadID "{upload_id}"')
    return int(text)


def _check_complete(parts: Mapping[int, Part], message: ActionMessage) -> None:
    """Check that both the gateway and the client's message have parts 1 to N.

    Raises:
        Refusal: One of them has not.
    """
    listed = decode_json(message.value, list[CompletedPart] | None, what="mpt-complete")
    numbers, count = sorted(parts), len(parts)
    if not numbers:
        raise Refusal(400, "no chunks")
    if not listed:
        raise Refusal(400, "nil parts list")
    for position, number in enumerate(numbers):
        if number != position + 1:
            raise Refusal(400, f"chunk at ({position}) has invalid number {number} (count={count})")
    if len(listed) != count:
        why = f"requested {len(listed)} parts, have {count}"
        raise Refusal(400, f"partial completion is not allowed: {why}")
    for position, number in enumerate(sorted(part.number for part in listed)):
        if number != position + 1:
            why = f"got {number} at position {position}"
            raise Refusal(400, f"parts must be exactly 1..{count}: {why}")
