"""Requests about keys that end with "/", by which S3 clients make and find folders."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

from aiohttp import web

from aisio.gateway.http.responses import make_response
from aisio.gateway.protocol.refusals import Refusal, object_not_found
from aisio.gateway.protocol.targets import check_name
from aisio.gateway.s3.conditions import check_write, is_conditional_write
from aisio.gateway.s3.object_headers import http_date
from aisio.gateway.s3.requests import S3Request
from aisio.gateway.s3.unsupported import refuse_headers
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.safe_opener import OpenPath, PathEscapesError

_CONTENT_TYPE = "application/x-directory"


class S3Folders:
    """Folders below buckets. Listings do not contain them: they hold no data.

    Args:
        folder: The served folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    async def get(self, request: S3Request) -> web.StreamResponse:
        """Send no bytes, if the folder exists."""
        with self._open(request) as opened:
            status = os.fstat(opened.fd)
        headers = [
            ("ETag", f'"{_etag(status)}"'),
            ("Last-Modified", http_date(status.st_mtime)),
            ("Content-Length", "0"),
        ]
        return make_response(headers=headers, content_type=_CONTENT_TYPE)

    async def make(self, request: S3Request) -> web.StreamResponse:
        """Make the folder.

        Raises:
            Refusal: The request has a body, which a folder cannot keep, or a condition does not
                hold.
        """
        self._folder.require_writable()
        refuse_headers(request.headers)
        self._folder.require_access(request.bucket, "PUT")
        if await request.read_body():
            message = f'{request.key_text!r}: a key that ends with "/" is a folder, without data'
            raise Refusal(400, message, tcode="InvalidArgument")
        tag = await asyncio.to_thread(self._make, request)
        return make_response(headers=[("ETag", f'"{tag}"')])

    async def remove(self, request: S3Request) -> web.StreamResponse:
        """Remove the folder, and those above it, as far as they are empty."""
        self._folder.require_writable()
        self._folder.require_access(request.bucket, "DELETE-OBJECT")
        await asyncio.to_thread(self._remove, request)
        return make_response()

    def _make(self, request: S3Request) -> str:
        child = f"{check_name(request.key_text.rstrip('/'))}/."
        with self._folder.lock:
            self._check(request)
            with self._folder.open_parent(request.bucket, child) as (parent, _):
                return _etag(os.fstat(parent.fd))

    def _check(self, request: S3Request) -> None:
        """Check the conditions of a request that makes or removes the folder."""
        if not is_conditional_write(request.headers):
            return
        existing = None
        with contextlib.suppress(Refusal), self._open(request) as opened:
            existing = _etag(os.fstat(opened.fd))
        check_write(request.headers, existing)

    def _remove(self, request: S3Request) -> None:
        with self._folder.lock:
            self._check(request)
            with self._open(request) as opened:
                path = opened.path
            self._folder.remove_empty_folders(self._folder.bucket_path(request.bucket), path)

    @contextlib.contextmanager
    def _open(self, request: S3Request) -> Iterator[OpenPath]:
        """Keep the folder open for the `with` block.

        Raises:
            Refusal: It does not exist.
        """
        bucket, key = request.bucket, request.key_text
        self._folder.bucket_path(bucket)
        try:
            name = check_name(key.rstrip("/"))
            with self._folder.opener.open_folder(f"{bucket.folder}/{name}") as opened:
                yield opened
        except (OSError, PathEscapesError):
            raise object_not_found(f"{bucket.url}/{key}") from None


def _etag(status: os.stat_result) -> str:
    return f"folder-{status.st_ino:x}"
