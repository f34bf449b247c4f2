"""Multipart upload: an object in parts, in any order, that appears when it is completed."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from aisio.gateway.http.exchange import ActionMessage, Exchange, reply
from aisio.gateway.http.replies import TEXT, new_id
from aisio.gateway.protocol.messages import decode_json
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.metadata import Parted
from aisio.gateway.storage.uploads import Upload

_COPY_BYTES = 1 << 20


class FinishedPart(msgspec.Struct):
    """A part as the client lists it when it completes the upload."""

    number: int = msgspec.field(name="part-number")
    etag: str = ""


@dataclass
class Parts:
    """An upload that is under way.

    Attributes:
        bucket: Where the object goes.
        name: What it will be called.
        files: The parts that are here whole, by number.
    """

    bucket: BucketName
    name: str
    files: dict[int, Upload] = field(default_factory=dict)


class Multipart:
    """The multipart uploads of a gateway, over HTTP. What is not completed ends with the gateway.

    Args:
        folder: The served folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._under_way: dict[str, Parts] = {}

    async def begin(self, exchange: Exchange) -> web.StreamResponse:
        """Begin an upload, and send its id."""
        self._folder.require_writable()
        bucket, name = exchange.target.bucket, exchange.target.name
        self._folder.bucket_path(bucket)
        self._folder.require_access(bucket)
        upload_id = new_id()
        self._under_way[upload_id] = Parts(bucket, name)
        return reply(upload_id.encode(), kind=TEXT)

    async def put_part(self, exchange: Exchange, upload: Upload) -> web.StreamResponse:
        """Take a part in; a second one of the same number replaces the first."""
        parts = self._find(exchange)
        number = _part_number(exchange)
        last = await exchange.receive(upload)
        if not await asyncio.to_thread(_finish_part, upload, last, exchange.target.name):
            message = f"{parts.bucket.url}/{parts.name}: put-part invalid size (0)"
            raise Refusal(400, message)
        # Completed or aborted meanwhile: the part comes too late.
        parts = self._find(exchange)
        if before := parts.files.get(number):
            before.remove()
        parts.files[number] = upload
        upload.is_kept = True
        return reply()

    async def complete(self, exchange: Exchange, message: ActionMessage) -> web.StreamResponse:
        """Make the object of its parts, which must be all there are."""
        self._folder.require_access(exchange.target.bucket)
        parts = self._find(exchange)
        upload_id = exchange.target.query["uploadId"]
        _check_complete(parts.files, message)
        del self._under_way[upload_id]
        try:
            await asyncio.to_thread(self._join, parts)
        except BaseException:
            self._under_way[upload_id] = parts
            raise
        for part in parts.files.values():
            part.remove()
        return reply()

    async def abort(self, exchange: Exchange) -> web.StreamResponse:
        """Drop an upload and its parts."""
        parts = self._find(exchange)
        del self._under_way[exchange.target.query["uploadId"]]
        for part in parts.files.values():
            part.remove()
        return reply()

    def _find(self, exchange: Exchange) -> Parts:
        upload_id = exchange.target.query.get("uploadId", "")
        bucket, name = exchange.target.bucket, exchange.target.name
        parts = self._under_way.get(upload_id)
        if parts is None or (parts.bucket, parts.name) != (bucket, name):
            message = f"{bucket.url}/{name}: upload {upload_id} does not exist"
            raise Refusal(404, message, tcode="ErrNotFound")
        return parts

    def _join(self, parts: Parts) -> None:
        upload = self._folder.begin_upload(None)
        sizes: list[int] = []
        try:
            for number in sorted(parts.files):
                with parts.files[number].read() as file:
                    sizes.append(os.fstat(file.fileno()).st_size)
                    while piece := file.read(_COPY_BYTES):
                        upload.write([piece])
            came_in = Parted(len(sizes), max(sizes))
            self._folder.finish_upload(upload, [], parts.bucket, parts.name, came_in)
        finally:
            upload.discard()


def _finish_part(upload: Upload, last: list[bytes], name: str) -> int:
    upload.write(last)
    return upload.finish(name)[0].st_size


def _part_number(exchange: Exchange) -> int:
    text = exchange.target.query.get("partNumber", "")
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        upload_id = exchange.target.query["uploadId"]
        raise Refusal(400, f'invalid part number "{text}" for uploadID "{upload_id}"')
    return int(text)


def _check_complete(files: Mapping[int, Upload], message: ActionMessage) -> None:
    """Refuse to complete unless the client and the gateway both have parts 1 to N.

    Raises:
        Refusal: They have not.
    """
    listed = decode_json(message.value, list[FinishedPart] | None, what="mpt-complete")
    numbers, count = sorted(files), len(files)
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
