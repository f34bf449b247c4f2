"""Requests about one object: GET, HEAD, PUT, copy, DELETE."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from aiohttp import web

from aisio.gateway.handlers.object_records import ObjectRecords
from aisio.gateway.http.object_headers import ETAG, etag
from aisio.gateway.http.responses import INLINE_BYTES, make_response, send_file
from aisio.gateway.protocol.custom_metadata import check_custom
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, check_name
from aisio.gateway.s3.attributes import attributes_document
from aisio.gateway.s3.conditions import (
    check_read,
    check_write,
    failed,
    is_conditional_write,
)
from aisio.gateway.s3.documents import XML, document, element, group
from aisio.gateway.s3.object_headers import (
    checksum_headers,
    custom_metadata,
    http_date,
    response_headers,
    xml_date,
)
from aisio.gateway.s3.requests import S3Request, existing_name, normal_key
from aisio.gateway.s3.selection import Selection, select
from aisio.gateway.s3.unsupported import refuse_headers
from aisio.gateway.storage.file_refusals import ChangedRefusal, being_written
from aisio.gateway.storage.folder import Folder, OpenObject
from aisio.gateway.storage.moves import copy_object
from aisio.gateway.storage.records import NO_FILE, FileIdentity, Record
from aisio.gateway.storage.uploads import Upload

COPY_SOURCE = "x-amz-copy-source"


class S3Objects:
    """The objects of a folder, over S3's protocol.

    Args:
        folder: The served folder.
        records: Finds the records of its objects.
    """

    def __init__(self, folder: Folder, records: ObjectRecords) -> None:
        self._folder = folder
        self._records = records

    async def get(self, request: S3Request) -> web.StreamResponse:
        """Send an object, or a range of it."""
        bucket, key = request.bucket, request.key
        opened = self._folder.open_object(bucket, key)
        with opened.file as file:
            record = await self._records.get(bucket, key, opened)
            headers = response_headers(record, opened.status, request.query)
            if not _is_wanted(request, record, opened.status):
                return _not_modified(headers)
            start, stop, status, about = _select(request, record, opened.status)
            headers += about
            if stop - start > INLINE_BYTES:
                response = web.StreamResponse(status=status, headers=headers)
                return await send_file(request.request, file, start, stop, response)
            body = os.pread(file.fileno(), stop - start, start)
        if len(body) != stop - start:
            raise being_written(f"{bucket.url}/{key}")
        return make_response(body, status=status, headers=headers)

    async def head(self, request: S3Request) -> web.StreamResponse:
        """Send the headers of an object."""
        record, status = await self.describe(request.bucket, request.key)
        headers = response_headers(record, status, request.query)
        if not _is_wanted(request, record, status):
            return _not_modified(headers)
        start, stop, code, about = _select(request, record, status)
        headers += [*about, *checksum_headers(record), ("Content-Length", str(stop - start))]
        return make_response(status=code, headers=headers)

    async def attributes(self, request: S3Request) -> web.StreamResponse:
        """Send what is known of an object, without its bytes."""
        record, status = await self.describe(request.bucket, request.key)
        body = attributes_document(request.headers, record, status)
        headers = [("Last-Modified", http_date(status.st_mtime))]
        return make_response(body, headers=headers, content_type=XML)

    async def tagging(self, request: S3Request) -> web.StreamResponse:
        """Send the tags of an object, of which there are none.

        The second version of `aws s3 cp` asks for them before it copies an object in parts.
        """
        await self.describe(request.bucket, request.key)
        return make_response(document("Tagging", group("TagSet")), content_type=XML)

    async def put(self, request: S3Request) -> web.StreamResponse:
        """Store an object, or copy another one to its name."""
        self._folder.require_writable()
        refuse_headers(request.headers)
        if "partNumber" in request.query:
            raise Refusal(400, "partNumber without uploadId", tcode="InvalidRequest")
        bucket = request.bucket
        self._folder.bucket_path(bucket)
        self._folder.require_access(bucket, "PUT")
        key = request.key
        if COPY_SOURCE in request.headers:
            return await self._copy(request)
        custom = self.checked_metadata(request)
        if_match = await self.replaceable(bucket, key, request.headers)
        upload = self._folder.begin_upload(None)
        try:
            await request.receive(upload)
            record, status = await asyncio.to_thread(
                self._store, upload, (bucket, key), custom, if_match
            )
        finally:
            upload.discard()
        return make_response(headers=_stored_headers(record, status))

    async def delete(self, request: S3Request) -> web.StreamResponse:
        """Delete an object; one that does not exist is a 404, as on a cluster."""
        self._folder.require_writable()
        self._folder.require_access(request.bucket, "DELETE-OBJECT")
        refuse_headers(request.headers)
        bucket, key = request.bucket, request.key
        if_match = await self.replaceable(bucket, key, request.headers)
        with changes_refused():
            await asyncio.to_thread(self._folder.delete_object, bucket, key, if_match=if_match)
        return make_response()

    def checked_metadata(self, request: S3Request) -> dict[str, str]:
        """Return what of a request's headers is kept with the object.

        Raises:
            Refusal: It is more than AIStore's limit.
        """
        custom = custom_metadata(request.headers)
        try:
            check_custom(custom, f"{request.bucket.url}/{request.key}")
        except Refusal as error:
            raise Refusal(400, error.message, tcode="MetadataTooLarge") from None
        return custom

    async def replaceable(
        self, bucket: BucketName, key: str, headers: Mapping[str, str]
    ) -> FileIdentity | None:
        """Return which file a request may replace or remove; None for any.

        Args:
            bucket: The bucket of the object.
            key: The object's key.
            headers: The headers of the request.

        Raises:
            Refusal: Its conditions do not hold.
        """
        if not is_conditional_write(headers):
            return None
        try:
            record, status = await self.describe(bucket, key)
        except Refusal as error:
            if error.status != 404:
                raise
            check_write(headers, None)
            return NO_FILE
        check_write(headers, etag(record, status))
        return FileIdentity.of(status)

    async def open_source(self, request: S3Request) -> tuple[tuple[BucketName, str], OpenObject]:
        """Open the object that a request copies; the caller closes it.

        Raises:
            Refusal: It does not exist, or is not as the request's conditions require.
        """
        text, _, version = request.headers[COPY_SOURCE].partition("?")
        bucket_text, _, key = unquote(text).lstrip("/").partition("/")
        if not bucket_text or not key:
            raise Refusal(400, f"{COPY_SOURCE} is not BUCKET/KEY", tcode="InvalidArgument")
        if version and version != "versionId=null":
            message = f"{COPY_SOURCE}: former versions are not kept"
            raise Refusal(501, message, tcode="NotImplemented")
        bucket, key = existing_name(bucket_text), check_name(normal_key(key))
        opened = self._folder.open_object(bucket, key)
        try:
            record = await self._records.get(bucket, key, opened)
            tag, modified_s = etag(record, opened.status), int(opened.status.st_mtime)
            if not check_read(request.headers, tag, modified_s, prefix=f"{COPY_SOURCE}-"):
                raise failed(f"{COPY_SOURCE}-if-none-match or -if-modified-since")
        except BaseException:
            opened.file.close()
            raise
        return (bucket, key), opened

    async def _copy(self, request: S3Request) -> web.StreamResponse:
        directive = request.headers.get("x-amz-metadata-directive", "COPY").upper()
        if directive not in ("COPY", "REPLACE"):
            message = f"x-amz-metadata-directive is {directive}, expected COPY or REPLACE"
            raise Refusal(400, message, tcode="InvalidArgument")
        custom = self.checked_metadata(request) if directive == "REPLACE" else None
        target = (request.bucket, request.key)
        if_match = await self.replaceable(*target, request.headers)
        source, opened = await self.open_source(request)
        with opened.file, changes_refused():
            if source != target:
                # The object that the conditions held for is copied, whatever has its name by now.
                copy = functools.partial(copy_object, self._folder, source, target, opened=opened)
                await asyncio.to_thread(copy, custom=custom, if_match=if_match)
            elif custom is not None:
                await self._replace_metadata(target, custom)
        record, status = await self.describe(*target)
        body = document(
            "CopyObjectResult",
            element("ETag", f'"{etag(record, status)}"'),
            element("LastModified", xml_date(status.st_mtime)),
        )
        return make_response(body, content_type=XML)

    async def _replace_metadata(
        self, target: tuple[BucketName, str], custom: Mapping[str, str]
    ) -> None:
        record, _ = await self.describe(*target)
        kept = {ETAG: record.custom[ETAG]} if ETAG in record.custom else {}
        self._folder.metadata.set_custom(*target, record, {**custom, **kept})

    async def describe(self, bucket: BucketName, key: str) -> tuple[Record, os.stat_result]:
        """Return the record of an object, and the status of its file.

        Raises:
            Refusal: It does not exist.
        """
        opened = self._folder.open_object(bucket, key)
        with opened.file:
            return await self._records.get(bucket, key, opened), opened.status

    def _store(
        self,
        upload: Upload,
        target: tuple[BucketName, str],
        custom: Mapping[str, str],
        if_match: FileIdentity | None,
    ) -> tuple[Record, os.stat_result]:
        folder = self._folder
        with folder.lock, changes_refused():
            record, status = folder.finish_upload(upload, [], *target, if_match=if_match)
            if custom:
                record = folder.metadata.set_custom(*target, record, custom)
            return record, status


@contextlib.contextmanager
def changes_refused() -> Iterator[None]:
    """Refuse as S3 does what a change of the object since its conditions were checked forbids."""
    try:
        yield
    except ChangedRefusal:
        raise failed("If-Match or If-None-Match") from None


def _is_wanted(request: S3Request, record: Record, status: os.stat_result) -> bool:
    return check_read(request.headers, etag(record, status), int(status.st_mtime))


def _select(request: S3Request, record: Record, status: os.stat_result) -> Selection:
    url = f"{request.bucket.url}/{request.key}"
    return select(request.headers, request.query, record, status, url)


def _not_modified(headers: list[tuple[str, str]]) -> web.StreamResponse:
    kept = [header for header in headers if header[0] in ("ETag", "Last-Modified")]
    return make_response(status=304, headers=kept)


def _stored_headers(record: Record, status: os.stat_result) -> list[tuple[str, str]]:
    return [
        ("ETag", f'"{etag(record, status)}"'),
        ("Last-Modified", http_date(status.st_mtime)),
    ]
