"""DirectReads: listings and reads of clouds and web servers, by obstore; see `DirectStore`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from aisio.errors import ConfigError, RangeError, StorageError, UrlError
from aisio.records import ByteRange, Checksum, ObjectInfo, RetryPolicy
from aisio.stores.base import Store
from aisio.stores.direct.error_codes import RETRY_HEAD_AS_GET
from aisio.stores.direct.errors import translate_errors
from aisio.stores.direct.listing import DirectListing, Entry
from aisio.stores.direct.obstore_forks import current_obstore, never_free
from aisio.stores.direct.obstore_stream import ObstoreStream
from aisio.stores.direct.retry_after import RetryAfterProbe
from aisio.stores.direct.settings import DirectSettings, open_bucket
from aisio.stores.levels import one_level
from aisio.transport.body import Body
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.retries import Attempts, retry
from aisio.urls import WEB_SCHEMES, ObjectUrl

__all__ = ["MD5", "STREAM_CHUNK_BYTES", "DirectReads", "supported_name", "unquoted"]

T = TypeVar("T")

STREAM_CHUNK_BYTES = 16 * 1024
"""Minimum size of a chunk: obstore waits until it has so many bytes, however slowly they come. With
256 KiB, 100 KB took 8 us of CPU less and 2 MB 140 us more (loopback, 0.12.1)."""

_LIST_CHUNK_SIZE = 1000
_RENEWED_BY_BYTES = 1024 * 1024
_UNSUPPORTED_NAME = re.compile(r"[\x00-\x1f\x7f]|//|^/")

MD5 = re.compile(r"[0-9a-f]{32}")
"""What an entity tag of S3 is, or begins with, where it was computed of the data."""


class DirectReads(Store):
    """The base of `DirectStore`: all that changes nothing in the store.

    Args:
        settings: Endpoint, credentials and the rest.
    """

    def __init__(self, settings: DirectSettings | None = None) -> None:
        self.settings = settings or DirectSettings()
        self._pid = 0
        self._opened: dict[tuple[str, bool], Any] = {}
        self._retry_after = RetryAfterProbe(self.settings.tls)

    @property
    def retry_policy(self) -> RetryPolicy:
        """The retry policy of the settings."""
        return self.settings.retry

    def __getstate__(self) -> dict[str, Any]:
        probe = RetryAfterProbe(self.settings.tls)
        return {"settings": self.settings, "_pid": 0, "_opened": {}, "_retry_after": probe}

    def _with_retries(self, operation: str, url: ObjectUrl, call: Callable[[], T]) -> T:
        """Call obstore until it succeeds, fails for good, or the budget is spent."""

        def attempt() -> T:
            with translate_errors(operation, url, self._retry_after.wait_s):
                return call()

        return retry(attempt, Attempts(self.settings.retry))

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; a web server has no listings.

        obstore lists whole folders. For a prefix that ends within a name the folder is listed, from
        just before the prefix on, and other names are dropped: a few on S3 and Google, and the
        folder's earlier names as well on Azure.

        Raises:
            ConfigError: A web server.
            StorageError: The bucket has a name that obstore does not support, or the store lists
                out of order.
            IntegrityError: The endpoint of an S3 bucket does not speak S3, or its listing may not
                be complete; see `aisio.stores.direct.s3_listing`.
        """
        if prefix.provider in WEB_SCHEMES:
            raise ConfigError(f"list {prefix}: a web server has no listings; name each object")
        for text in (prefix.name, start_after):
            _check_supported(text, prefix)
        list_after = partial(self._list_after, prefix)
        listing = DirectListing(prefix, list_after, self.head, self.settings)
        return (self._info(prefix, entry) for entry in listing.entries(start_after))

    def list_level(self, prefix: ObjectUrl) -> Iterator[ObjectInfo]:
        """See `Store.list_level`; obstore cannot begin a listing of Azure behind a name."""
        return one_level(
            lambda name: self.list(prefix, start_after=name),
            prefix.name,
            begins_anywhere=prefix.provider != "azure",
        )

    def _list_after(self, prefix: ObjectUrl, after: str) -> Iterator[Entry]:
        folder = prefix.name.rpartition("/")[0] or None
        with translate_errors("list", prefix, self._retry_after.wait_s):
            store = self._bucket(prefix)
            api = current_obstore().api
            for chunk in api.list(store, folder, offset=after or None, chunk_size=_LIST_CHUNK_SIZE):
                yield from chunk

    def head(self, url: ObjectUrl) -> ObjectInfo:
        """See `Store.head`; an error that gives no reason is followed by a GET, which gives it."""
        name = supported_name(url)
        try:
            head = current_obstore().api.head
            return self._info(
                url, self._with_retries("head", url, lambda: head(self._bucket(url), name))
            )
        except StorageError as error:
            if error.status not in RETRY_HEAD_AS_GET:
                raise
        info, _, stream = self._open(url, None)
        stream.close()
        return info

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """See `Store.get`; `aisio.stores.direct.store` says what is verified."""
        if etl_name:
            raise ConfigError(f"get {url}: only a cluster can transform it by ETL {etl_name!r}")
        try:
            return self._get(url, byte_range)
        except StorageError as error:
            if byte_range is None or type(error) not in (StorageError, RangeError):
                raise
            size = self.head(url).size_bytes or 0
            if byte_range.start < size:
                raise
            if byte_range.start:
                raise RangeError(
                    f"get {url}: {byte_range} lies outside its {size:,} bytes", url=str(url)
                ) from None
            return self._get(url, None)

    def _get(self, url: ObjectUrl, byte_range: ByteRange | None) -> Body:
        info, (start, stop), stream = self._open(url, byte_range)
        attempts, renewed_at = Attempts(self.settings.retry), 0

        def resume(got: int, error: StorageError) -> ObstoreStream:
            nonlocal renewed_at
            # Without an ETag, or with a weak one, the rest may be of other bytes.
            if not info.etag or info.etag.startswith("W/"):
                raise error
            if got >= renewed_at + _RENEWED_BY_BYTES:
                attempts.renew()
                renewed_at = got
            attempts.failed(error)
            now, span, rest = self._open(url, ByteRange(start + got, stop))
            if now.etag != info.etag or span != (start + got, stop):
                rest.close()
                raise error
            return rest

        return Body(
            stream,
            info,
            stop - start,
            checksum=info.checksum if stop - start == info.size_bytes else None,
            resume=resume,
            low_speed=LowSpeedLimit.of(self.settings.timeouts),
        )

    def _open(
        self, url: ObjectUrl, byte_range: ByteRange | None
    ) -> tuple[ObjectInfo, tuple[int, int], ObstoreStream]:
        """Return what the store says of an object, the range that it sends, and the bytes."""
        name = supported_name(url)
        options: dict[str, Any] = {}
        if byte_range is not None and byte_range.stop is not None:
            options["range"] = (byte_range.start, byte_range.stop)
        elif byte_range is not None and byte_range.start:
            options["range"] = {"offset": byte_range.start}

        def get() -> tuple[ObjectInfo, tuple[int, int], ObstoreStream]:
            result = current_obstore().api.get(self._bucket(url), name, options=options)
            stream = result.stream(min_chunk_size=STREAM_CHUNK_BYTES)
            return self._info(url, result.meta), result.range, ObstoreStream(stream, url)

        return self._with_retries("get", url, get)

    def is_same(self, url: ObjectUrl, first: ObjectInfo, now: ObjectInfo) -> bool:
        """See `Store.is_same`; where a web server has no ETags, the times must be equal as well."""
        is_dated = not first.etag and first.mtime_s > 0 and now.mtime_s > 0
        return super().is_same(url, first, now) and not (is_dated and first.mtime_s != now.mtime_s)

    def _bucket(self, url: ObjectUrl, *, retries: bool = False) -> Any:
        """Return obstore's own object for a bucket, made on first use in this process.

        Args:
            url: The bucket, or anything in it.
            retries: obstore itself retries failed requests, as the parts of an upload need it.
        """
        obstore = current_obstore()
        if self._pid != obstore.pid:
            never_free(self._opened)
            self._pid, self._opened = obstore.pid, {}
        key = url.root, retries
        store = self._opened.get(key)
        if store is None:
            made = open_bucket(obstore, self.settings, url, retries=retries)
            store = self._opened.setdefault(key, made)
        return store

    def _has_md5_etags(self, url: ObjectUrl) -> bool:
        return self.settings.verify_etag and url.provider == "aws"

    def _info(self, url: ObjectUrl, meta: Entry) -> ObjectInfo:
        etag = unquoted(meta["e_tag"])
        is_md5 = self._has_md5_etags(url) and MD5.fullmatch(etag.lower())
        return ObjectInfo(
            url.root,
            meta["path"],
            meta["size"],
            Checksum("md5", etag.lower()) if is_md5 else None,
            meta["version"] or "",
            etag,
            meta["last_modified"].timestamp(),
        )


def supported_name(url: ObjectUrl) -> str:
    """Return the name of an object.

    Raises:
        UrlError: obstore would take it for another one.
    """
    name = url.require_object().name
    _check_supported(name, url)
    return name


def _check_supported(text: str, url: ObjectUrl) -> None:
    if _UNSUPPORTED_NAME.search(text):
        raise UrlError(
            f"{str(url)!r}: names with a control character, '//' or a leading '/' cannot be "
            f"reached directly, only through an AIStore cluster",
            url=str(url),
        )


def unquoted(etag: str | None) -> str:
    """Return an entity tag without its quotes; "" for none."""
    return (etag or "").strip('"')
