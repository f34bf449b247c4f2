"""OssStore: Alibaba Cloud OSS, without a cluster.

What is verified:

    whole object           length, and the CRC-64 of x-oss-hash-crc64ecma; a body that is cut is
                           continued, on the same ETag
    range                  length and Content-Range; a large one is read by parallel ranges
    put by one request     OSS compares Content-MD5 before it takes the object, aisio the CRC-64
                           of what OSS has taken
    put in parts           the CRC-64 of each part before they become the object, then size and
                           CRC-64 of the object

Stores that speak OSS's protocol, but send no CRC-64, are verified by the lengths alone.

Endpoint, region and credentials: `DirectSettings`.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from aisio.client.resume import Resume, replaced_error
from aisio.errors import ConfigError, IntegrityError, NotFoundError, RangeError, StorageError
from aisio.escapes import one_line
from aisio.records import ByteRange, ObjectInfo, RetryPolicy, UnfinishedUpload
from aisio.stores.base import Store
from aisio.stores.direct.settings import DirectSettings
from aisio.stores.oss.bucket import OssBucket
from aisio.stores.oss.settings import open_access
from aisio.stores.oss.upload import MIN_PART_BYTES, OssUpload, abort_upload, crc64_of
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import GetKey, PendingGet, SentRequest, claim
from aisio.transport.http.response_body import (
    OpenResponse,
    ResponseBody,
    body_of,
    checked_length,
    drain_and_release,
    require_whole,
)
from aisio.transport.parallel import read_bytes
from aisio.transport.parallel_upload import ParallelUpload
from aisio.transport.payload import Payload, PutData
from aisio.transport.retries import Attempts, retry
from aisio.transport.writer import PART_BYTES, ObjectWriter, WriteOptions
from aisio.urls import OSS, ObjectUrl
from aisio.wire.oss import parse_object_headers, parse_page, parse_uploads_page
from aisio.wire.uploads import UploadsPage, follow_pages

__all__ = ["OssStore"]

WHOLE_PUT_BYTES = PART_BYTES
"""Larger data is uploaded in parts."""

_MAX_EMPTY_PAGES = 1000
"""Of a listing, in succession: more of them have no end."""

_RANGE_AS_HTTP = {"x-oss-range-behavior": "standard"}
"""Without it OSS sends the whole object where a range reaches beyond its end.

Source: OSS API reference, GetObject."""


class OssStore(Store):
    """Buckets of Alibaba Cloud OSS.

    Args:
        settings: Endpoint, region and credentials; one store serves any bucket with them.
    """

    def __init__(self, settings: DirectSettings | None = None) -> None:
        self.settings = settings or DirectSettings()
        self._buckets: dict[str, OssBucket] = {}

    def __repr__(self) -> str:
        return f"OssStore({self.settings!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "_buckets": {}}

    @property
    def retry_policy(self) -> RetryPolicy:
        """The retry policy of the settings."""
        return self.settings.retry

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; pages have up to 1,000 objects.

        Raises:
            IntegrityError: An answer is no listing of OSS, is out of order, or does not end.
        """
        query = {"list-type": "2", "max-keys": "1000", "encoding-type": "url"}
        if prefix.name:
            query["prefix"] = prefix.name
        if start_after:
            query["start-after"] = start_after
        root, last, empty = prefix.with_name(""), start_after, 0
        token = None
        while token != "":
            _, body = self._bucket(prefix).call("GET", root, query)
            objects, token = parse_page(body, prefix.root)
            for info in objects:
                if info.name <= last or not info.name.startswith(prefix.name):
                    raise _no_listing(prefix, f"{info.name!r} came after {last!r}")
                last = info.name
                yield info
            empty = 0 if objects else empty + 1
            if empty > _MAX_EMPTY_PAGES:
                raise _no_listing(prefix, f"{empty:,} pages in succession were empty")
            query["continuation-token"] = token

    def head(self, url: ObjectUrl) -> ObjectInfo:
        """See `Store.head`."""
        bucket = self._bucket(url.require_object())

        def attempt() -> ObjectInfo:
            response = bucket.open("HEAD", url)
            drain_and_release(response)
            return _info(response, url, "HEAD")

        return retry(attempt, bucket.attempts())

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """See `Store.get`; the text at the top of this file says what is verified."""
        if etl_name:
            raise ConfigError(f"get {url}: only a cluster can transform it by ETL {etl_name!r}")
        attempts = self._bucket(url).attempts()
        return retry(partial(self._open, url, byte_range, attempts), attempts)

    def send_ahead(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> PendingGet | None:
        """See `Store.send_ahead`; an error is not raised: the read of the object will meet it."""
        if etl_name:
            return None
        headers = _range_headers(byte_range)
        try:
            request = self._bucket(url.require_object()).send_ahead(url, headers)
        except (ConfigError, StorageError):
            return None
        if request is None:
            return None
        return PendingGet(GetKey(self, url, {}, headers), SentRequest(None, request))

    def _read(self, url: ObjectUrl, etl_name: str | None) -> tuple[ObjectInfo, bytes]:
        if etl_name:
            return super()._read(url, etl_name)
        attempts = self._bucket(url).attempts()

        def attempt() -> tuple[ObjectInfo, bytes]:
            with self._open(url, None, attempts) as body:
                return body.info, read_bytes(body)

        return retry(attempt, attempts)

    def _open(self, url: ObjectUrl, byte_range: ByteRange | None, attempts: Attempts) -> Body:
        bucket, headers = self._bucket(url.require_object()), _range_headers(byte_range)
        sent = claim(GetKey(self, url, {}, headers))
        try:
            response = bucket.open(
                "GET", url, headers=headers, sent=sent.request if sent is not None else None
            )
        except RangeError:
            # No range begins in an empty object.
            if byte_range is None or byte_range.start or self.head(url).size_bytes:
                raise
            return self._open(url, None, attempts)
        if byte_range is None:
            require_whole(response, "GET", url)
        info = _info(response, url, "GET")
        size, span = info.size_bytes or 0, ByteRange(0)
        if byte_range is not None:
            size = checked_length(response, byte_range, info)
            span = ByteRange(byte_range.start, byte_range.start + size)
        resume = Resume(bucket, self._reopen, info, span, attempts)
        return Body(
            body_of(response, str(url)),
            info,
            size,
            checksum=info.checksum if size == info.size_bytes else None,
            resume=resume,
            parts=resume.parts,
            low_speed=bucket.low_speed_limit(),
        )

    def _reopen(self, info: ObjectInfo, byte_range: ByteRange) -> ResponseBody:
        """Open a range of the version of an object that an earlier response was about.

        Raises:
            IntegrityError: The object was replaced since.
        """
        url = ObjectUrl.parse(info.url)
        try:
            response = self._bucket(url).open("GET", url, headers=_range_headers(byte_range))
        except RangeError as error:
            raise replaced_error(info) from error
        now = _info(response, url, "GET")
        if not self.is_same(url, info, now):
            response.close()
            raise replaced_error(info)
        checked_length(response, byte_range, now)
        return body_of(response, str(url))

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        """See `Store.put`; large data is uploaded in parts."""
        bucket = self._bucket(url.require_object())
        with Payload(data) as payload:
            if payload.size_bytes > WHOLE_PUT_BYTES:
                with self.writer(url, _options_for(payload.size_bytes)) as file:
                    for chunk in payload.chunks():
                        file.write(chunk)
                assert file.info is not None
                return file.info
            body = b"".join(payload.chunks())
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        headers = {"Content-MD5": b64encode(digest).decode(), "Content-Length": str(len(body))}

        def attempt() -> ObjectInfo:
            response = bucket.open("PUT", url, headers=headers, body=body)
            drain_and_release(response)
            stored = parse_object_headers(response.headers, url)
            if stored.checksum is not None and stored.checksum != (sent := crc64_of(body)):
                raise IntegrityError(
                    f"PUT {url}: OSS has a CRC-64 of {stored.checksum.value}, what was sent has "
                    f"{sent.value}: the stored object is damaged; put it again",
                    url=str(url),
                )
            return msgspec.structs.replace(stored, size_bytes=len(body))

        return retry(attempt, bucket.attempts())

    def writer(self, url: ObjectUrl, options: WriteOptions | None = None) -> ObjectWriter:
        """See `Store.writer`.

        Raises:
            ConfigError: Parts that are smaller than OSS allows.
        """
        options = options or WriteOptions()
        if options.part_bytes < MIN_PART_BYTES:
            raise ConfigError(
                f"write {url}: part_bytes={options.part_bytes}: OSS takes parts of at least "
                f"{MIN_PART_BYTES:,} bytes"
            )
        bucket = self._bucket(url.require_object())
        upload = ParallelUpload(OssUpload(bucket, url, partial(self.head, url)), options)
        return ObjectWriter(str(url), partial(self.put, url), upload, options)

    def unfinished_uploads(self, prefix: ObjectUrl) -> Iterator[UnfinishedUpload]:
        """See `Store.unfinished_uploads`.

        Raises:
            IntegrityError: An answer is no list of OSS, or the list does not end.
        """
        query = {"uploads": "", "encoding-type": "url", "max-uploads": "1000"}
        if prefix.name:
            query["prefix"] = prefix.name
        root = prefix.with_name("")

        def fetch(markers: Mapping[str, str]) -> UploadsPage:
            _, body = self._bucket(prefix).call("GET", root, {**query, **markers})
            return parse_uploads_page(body, prefix.root)

        def endless(name: str) -> IntegrityError:
            return _no_listing(prefix, f"the list of uploads came to {name!r} again")

        for upload in follow_pages(fetch, endless):
            if not upload.url.startswith(f"{prefix.root}/{prefix.name}"):
                raise _no_listing(prefix, f"there came an upload of {upload.url}")
            yield upload

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """See `Store.abort_upload`."""
        url = ObjectUrl.parse(upload.url)
        abort_upload(self._bucket(url), url, upload.id)

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        """See `Store.delete`; it looks the object up first: OSS does not say whether it existed."""
        if not missing_ok:
            self.head(url)
        try:
            self._bucket(url.require_object()).call("DELETE", url)
        except NotFoundError:
            if not missing_ok:
                raise

    def _bucket(self, url: ObjectUrl) -> OssBucket:
        bucket = self._buckets.get(url.bucket)
        if bucket is None:
            if url.provider != OSS:
                raise ConfigError(f"{url} is not in OSS: its URLs begin with oss://")
            # Threads that come at the same time must all get the same one.
            access = open_access(self.settings, url.bucket)
            bucket = self._buckets.setdefault(url.bucket, OssBucket(access))
        return bucket


def _no_listing(prefix: ObjectUrl, why: str) -> IntegrityError:
    return IntegrityError(
        f"list {prefix}: {one_line(why)}: OSS lists the names of a prefix once, in bytewise order;"
        " is the endpoint one of OSS?",
        url=str(prefix),
    )


def _range_headers(byte_range: ByteRange | None) -> dict[str, str]:
    return {"Range": str(byte_range), **_RANGE_AS_HTTP} if byte_range else {}


def _info(response: OpenResponse, url: ObjectUrl, method: str) -> ObjectInfo:
    """Return what a response says of an object; close one that does not say its size."""
    info = parse_object_headers(response.headers, url)
    if info.size_bytes is None:
        response.close()
        raise IntegrityError(
            f"{method} {url}: the answer does not say how many bytes it has; is the endpoint one "
            f"of OSS?",
            url=str(url),
        )
    return info


def _options_for(size_bytes: int) -> WriteOptions:
    """Return parts that are large enough for data of a known size."""
    return WriteOptions(part_bytes=max(PART_BYTES, -(-size_bytes // 9_000)))
