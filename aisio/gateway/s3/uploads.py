"""Multipart uploads: create, list, upload and copy parts, complete, abort."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from aisio.gateway.http.cluster import new_id
from aisio.gateway.http.object_headers import ETAG, etag
from aisio.gateway.http.responses import make_response
from aisio.gateway.protocol.range_header import parse_range
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.checksums import PREFIX
from aisio.gateway.s3.completion import check_completion, check_of_whole
from aisio.gateway.s3.documents import XML, document, element, group
from aisio.gateway.s3.object_headers import http_date, xml_date
from aisio.gateway.s3.objects import COPY_SOURCE, S3Objects, changes_refused
from aisio.gateway.s3.payload import Payload
from aisio.gateway.s3.requests import S3Request
from aisio.gateway.s3.selection import MAX_PART_NUMBER, parse_part_number
from aisio.gateway.s3.unsupported import refuse_headers
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.keyed_lock import KeyedLock
from aisio.gateway.storage.moves import append_object
from aisio.gateway.storage.multipart_uploads import MultipartUpload, MultipartUploads, Part
from aisio.gateway.storage.records import FileIdentity, Record
from aisio.gateway.storage.uploads import Upload

_MAX_LISTED = 1000
_MAX_REMEMBERED = 1000
_JOIN_THREADS = 4


class S3Uploads:
    """The multipart uploads of a gateway, over S3's protocol.

    Args:
        folder: The served folder.
        objects: Its objects.
        uploads: Its uploads.
    """

    def __init__(self, folder: Folder, objects: S3Objects, uploads: MultipartUploads) -> None:
        self._folder = folder
        self._objects = objects
        self._uploads = uploads
        self._completing = KeyedLock()
        # Not the event loop's own threads: other requests must not wait until objects are joined.
        self._join_threads = ThreadPoolExecutor(_JOIN_THREADS, "s3-multipart")
        self._completed: dict[str, str] = {}
        """The ETags of the last objects that were made, by the ids of their uploads."""

    async def create(self, request: S3Request) -> web.StreamResponse:
        """Begin an upload, and send its id."""
        refuse_headers(request.headers)
        self._require_writable(request)
        custom = self._objects.checked_metadata(request)
        await request.read_body()
        upload = MultipartUpload(new_id(), request.bucket, request.key, custom)
        self._uploads.begin(upload)
        return make_response(_document("InitiateMultipartUploadResult", upload), content_type=XML)

    async def put_part(self, request: S3Request) -> web.StreamResponse:
        """Receive a part, or copy it from an object; it replaces one of the same number."""
        refuse_headers(request.headers)
        self._require_writable(request)
        self._find(request)
        number = parse_part_number(request.query.get("partNumber", ""))
        file = self._folder.begin_upload(None)
        try:
            is_copy = COPY_SOURCE in request.headers
            part = await (self._copy if is_copy else self._receive)(request, file)
            # Another request may have completed or aborted the upload meanwhile.
            self._find(request).add(number, part)
        finally:
            file.discard()
        tag = f'"{part.md5().hex()}"'
        if not is_copy:
            return make_response(headers=[("ETag", tag)])
        modified = element("LastModified", xml_date(part.modified_s))
        body = document("CopyPartResult", element("ETag", tag), modified)
        return make_response(body, content_type=XML)

    async def list_parts(self, request: S3Request) -> web.StreamResponse:
        """Send the parts of an upload."""
        upload = self._find(request)
        after = request.number("part-number-marker", 0, maximum=MAX_PART_NUMBER)
        limit = request.number("max-parts", _MAX_LISTED, maximum=_MAX_LISTED)
        numbers = sorted(number for number in upload.parts if number > after)
        listed = numbers[:limit]
        parts = await asyncio.to_thread(
            lambda: [_part_element(number, upload.parts[number]) for number in listed]
        )
        about = [
            element("PartNumberMarker", after),
            element("NextPartNumberMarker", listed[-1] if listed else after),
            element("MaxParts", limit),
            element("IsTruncated", str(len(numbers) > len(listed)).lower()),
        ]
        return make_response(_document("ListPartsResult", upload, *about, *parts), content_type=XML)

    async def list_uploads(self, request: S3Request) -> web.StreamResponse:
        """Send the uploads to a bucket."""
        self._folder.bucket_path(request.bucket)
        query = request.query
        prefix, key_marker = query.get("prefix", ""), query.get("key-marker", "")
        id_marker = query.get("upload-id-marker", "")
        limit = request.number("max-uploads", _MAX_LISTED, maximum=_MAX_LISTED)
        uploads = self._uploads.in_bucket(request.bucket)
        uploads = [upload for upload in uploads if upload.name.startswith(prefix)]
        uploads = _after(uploads, key_marker, id_marker)
        listed = uploads[:limit]
        about = [
            element("Bucket", request.bucket.name),
            element("Prefix", prefix),
            element("KeyMarker", key_marker),
            element("UploadIdMarker", id_marker),
            element("MaxUploads", limit),
            element("IsTruncated", str(len(uploads) > len(listed)).lower()),
        ]
        if len(uploads) > len(listed) and listed:
            about.append(element("NextKeyMarker", listed[-1].name))
            about.append(element("NextUploadIdMarker", listed[-1].upload_id))
        body = document("ListMultipartUploadsResult", *about, *map(_upload_element, listed))
        return make_response(body, content_type=XML)

    async def complete(self, request: S3Request) -> web.StreamResponse:
        """Make the object from its parts; the request must list all of them, as on a cluster.

        A client that has lost the response, or does not wait for it, may send the request again. It
        waits for the same work, and gets the same response if the object is still the one made.
        """
        self._require_writable(request)
        upload_id = request.query.get("uploadId", "")
        async with self._completing.acquire(upload_id):
            if upload_id in self._completed:
                tag, (record, status) = self._completed[upload_id], await self._describe(request)
                if etag(record, status) != tag:  # replaced since
                    raise _not_found(upload_id)
            else:
                record, status = await self._complete(request)
                while len(self._completed) >= _MAX_REMEMBERED:
                    del self._completed[next(iter(self._completed))]
                self._completed[upload_id] = etag(record, status)
        tag = f'"{etag(record, status)}"'
        body = document(
            "CompleteMultipartUploadResult",
            element("Location", request.request.path),
            element("Bucket", request.bucket.name),
            element("Key", request.key),
            element("ETag", tag),
        )
        headers = [("ETag", tag), ("Last-Modified", http_date(status.st_mtime))]
        return make_response(body, headers=headers, content_type=XML)

    async def _describe(self, request: S3Request) -> tuple[Record, os.stat_result]:
        try:
            return await self._objects.describe(request.bucket, request.key)
        except Refusal as error:
            upload_id = request.query["uploadId"]
            raise _not_found(upload_id) if error.status == 404 else error from None

    async def _complete(self, request: S3Request) -> tuple[Record, os.stat_result]:
        upload = self._find(request)
        check = check_of_whole(request.headers)
        # The checksums in the headers are those of the object, not of the document.
        others = {k: v for k, v in request.headers.items() if not k.startswith(PREFIX)}
        tree = await request.read_document("CompleteMultipartUpload", others)
        target = (request.bucket, request.key)
        if_match = await self._objects.replaceable(*target, request.headers)
        self._find(request)  # another request may have completed it meanwhile
        # From here on no part is added or replaced.
        self._uploads.remove(upload)
        try:
            with changes_refused():
                make = functools.partial(self._make, upload, tree, request.headers)
                loop = asyncio.get_running_loop()
                made = await loop.run_in_executor(self._join_threads, make, if_match, check)
        except BaseException as error:
            self._uploads.put_back(upload, error)
            raise
        await asyncio.to_thread(self._uploads.drop, upload)
        return made

    def close(self) -> None:
        """Wait until the objects that are being made are complete."""
        self._join_threads.shutdown(wait=True, cancel_futures=True)

    def _make(
        self,
        upload: MultipartUpload,
        tree: ElementTree.Element,
        headers: Mapping[str, str],
        if_match: FileIdentity | None,
        check: Payload,
    ) -> tuple[Record, os.stat_result]:
        check_completion(upload, tree.findall("Part"), headers)
        custom = {**upload.custom, ETAG: upload.etag()}
        return self._uploads.join(upload, custom, if_match=if_match, check=check)

    async def abort(self, request: S3Request) -> web.StreamResponse:
        """Drop an upload and its parts."""
        refuse_headers(request.headers)
        self._require_writable(request)
        upload = self._find(request)
        self._uploads.remove(upload)
        await asyncio.to_thread(self._uploads.drop, upload)
        return make_response(status=204)

    def _require_writable(self, request: S3Request) -> None:
        self._folder.require_writable()
        self._folder.bucket_path(request.bucket)
        self._folder.require_access(request.bucket)

    def _find(self, request: S3Request) -> MultipartUpload:
        upload_id = request.query.get("uploadId", "")
        upload = self._uploads.find(request.bucket, request.key, upload_id)
        if upload is None:
            raise _not_found(upload_id)
        return upload

    async def _receive(self, request: S3Request, file: Upload) -> Part:
        await request.receive(file)
        return await asyncio.to_thread(_finish, file)

    async def _copy(self, request: S3Request, file: Upload) -> Part:
        (bucket, key), opened = await self._objects.open_source(request)
        url = f"{bucket.url}/{key}"
        with opened.file:
            start, stop = 0, opened.status.st_size
            if wanted := request.headers.get(f"{COPY_SOURCE}-range"):
                start, stop = _parse_part_range(wanted, stop, url)
            await asyncio.to_thread(append_object, file, opened, start, stop, url)
        return await asyncio.to_thread(_finish, file)


def _parse_part_range(header: str, size_bytes: int, url: str) -> tuple[int, int]:
    """Return the start and stop of the bytes that become a part: all that the header names.

    Raises:
        Refusal: It does not name its first and last byte, or the object ends before the last.
    """
    match = re.fullmatch("bytes=[0-9]{1,19}-([0-9]{1,19})", header)
    if match is None:
        message = f"{COPY_SOURCE}-range: {header!r} is not of the form bytes=FIRST-LAST"
        raise Refusal(400, message, tcode="InvalidArgument")
    start, stop = parse_range(header, size_bytes, url)
    if int(match[1]) >= size_bytes:
        message = f"{COPY_SOURCE}-range: {header} is not within the {size_bytes} bytes of {url}"
        raise Refusal(416, message, tcode="InvalidRange")
    return start, stop


def _not_found(upload_id: str) -> Refusal:
    return Refusal(404, f'upload "{upload_id}" not found', tcode="NoSuchUpload")


def _finish(file: Upload) -> Part:
    status, _ = file.finish("")
    part = Part(file, status.st_size)
    part.md5()
    return part


def _after(uploads: list[MultipartUpload], key: str, upload_id: str) -> list[MultipartUpload]:
    """Return the uploads behind the markers of a listing."""
    if not key:
        return uploads
    if upload_id and all(upload.upload_id != upload_id for upload in uploads):
        # It has ended meanwhile: to list others of its key again is better than to miss some.
        return [upload for upload in uploads if upload.name >= key]
    for position, upload in enumerate(uploads):
        if upload_id and (upload.name, upload.upload_id) == (key, upload_id):
            return uploads[position + 1 :]
    return [upload for upload in uploads if upload.name > key]


def _document(root: str, upload: MultipartUpload, *children: str) -> bytes:
    return document(
        root,
        element("Bucket", upload.bucket.name),
        element("Key", upload.name),
        element("UploadId", upload.upload_id),
        *children,
    )


def _part_element(number: int, part: Part) -> str:
    return group(
        "Part",
        element("PartNumber", number),
        element("LastModified", xml_date(part.modified_s)),
        element("ETag", f'"{part.md5().hex()}"'),
        element("Size", part.size_bytes),
    )


def _upload_element(upload: MultipartUpload) -> str:
    return group(
        "Upload",
        element("Key", upload.name),
        element("UploadId", upload.upload_id),
        element("StorageClass", "STANDARD"),
        element("Initiated", xml_date(upload.started_s)),
    )
