"""DirectStore: S3, Google Cloud, Azure, web servers and memory, without a cluster, by obstore.

What is verified, by what obstore lets us see (it shows the ETag and no other checksum):

    every read and range   the length; a body that was cut is continued, on the same ETag, where
                           the store shows one (most web servers do); where not, it is an error of
                           `get`, and `read` begins again
    S3, whole object       MD5, where the ETag is one: 32 hexadecimal digits, so not for objects
                           that were uploaded in parts
    S3, put                MD5 of the object, or of the parts' MD5s, against the ETag
    any put                the size that the store has afterwards

An S3 ETag is no MD5 where KMS or a customer's key encrypts, and looks the same: there,
`DirectSettings(verify_etag=False)`. Google's CRC32C and Azure's Content-MD5 are not shown.

Names: obstore takes "/a" and "a/" for "a", and knows no "a//b" and no control characters. Such
names are refused here, and a listing that meets one of the latter two fails. A "folder marker" that
some consoles make ("a/", empty) is left out of listings: obstore shows it as "a". An empty entry is
looked up before it is listed, where something lies below it or its name has no ending (".txt").

Credentials come from the settings, else from where the cloud's own tools look: `DirectSettings`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from aisio.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    UrlError,
)
from aisio.records import ByteRange, Checksum, ObjectInfo, RetryPolicy
from aisio.stores.base import Store
from aisio.stores.direct.errors import translated
from aisio.stores.direct.obstore_forks import keep, obstore_here
from aisio.stores.direct.parts import HashedParts
from aisio.stores.direct.refusals import SAYS_LITTLE
from aisio.stores.direct.reply import DirectReply
from aisio.stores.direct.s3_listing import S3Listing, check_speaks_s3, just_before
from aisio.stores.direct.settings import DirectSettings, open_bucket
from aisio.stores.direct.waits import AskedWaits
from aisio.transport.body import Body
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.payload import Payload, PutData
from aisio.transport.retries import RETRYABLE, Attempts, retry
from aisio.urls import WEB_SCHEMES, ObjectUrl

T = TypeVar("T")

STREAM_CHUNK_BYTES = 16 * 1024
"""Least size of a piece that obstore hands over: it waits until it has so many, however slowly they
come. With 256 KiB, 100 KB took 8 us of CPU less and 2 MB 140 us more (loopback, 0.12.1)."""

WHOLE_PUT_BYTES = 16 * 1024 * 1024
"""Larger data goes up in parts."""

_PARTS_AT_ONCE = 4
_LIST_CHUNK = 1000
_RENEWED_BY_BYTES = 1024 * 1024
_MD5 = re.compile(r"[0-9a-f]{32}")
_UNCARRIED = re.compile(r"[\x00-\x1f\x7f]|//|^/")


class DirectStore(Store):
    """Buckets of a cloud, web servers, and memory:// buckets, which live in one process only.

    Args:
        settings: Endpoint, credentials and all else; one store serves any bucket with them.
    """

    def __init__(self, settings: DirectSettings | None = None) -> None:
        self.settings = settings or DirectSettings()
        self._pid = 0
        self._opened: dict[tuple[str, bool], Any] = {}
        self._waits = AskedWaits(self.settings.tls)

    def __repr__(self) -> str:
        return f"DirectStore({self.settings!r})"

    @property
    def retry_policy(self) -> RetryPolicy:
        """That of the settings."""
        return self.settings.retry

    def __getstate__(self) -> dict[str, Any]:
        waits = AskedWaits(self.settings.tls)
        return {"settings": self.settings, "_pid": 0, "_opened": {}, "_waits": waits}

    def _tried(self, operation: str, url: ObjectUrl, call: Callable[[], T]) -> T:
        """Call obstore until it succeeds, fails for good, or the budget is spent."""

        def attempt() -> T:
            with translated(operation, url, self._waits.of):
                return call()

        return retry(attempt, Attempts(self.settings.retry))

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; a web server has no listings.

        obstore lists whole folders. A prefix that ends within a name is asked for by its folder,
        from just before the prefix on, and the rest is dropped here: a few names on S3 and Google,
        the folder's earlier names as well on Azure.

        Raises:
            ConfigError: A web server.
            StorageError: The bucket holds a name that obstore cannot carry, or lists out of order.
            IntegrityError: The endpoint of an S3 bucket does not speak S3, or its listing may not
                be whole; see `aisio.stores.direct.s3_listing`.
        """
        if prefix.provider in WEB_SCHEMES:
            raise ConfigError(f"list {prefix}: a web server has no listings; name each object")
        for text in (prefix.name, start_after):
            _check_carried(text, prefix)
        return self._list(prefix, start_after)

    def _list(self, prefix: ObjectUrl, start_after: str) -> Iterator[ObjectInfo]:
        bucket, last = prefix.with_name(""), ""
        entries = self._all_entries(prefix, start_after)
        entry = next(entries, None)
        while entry is not None:
            following = next(entries, None)
            name = entry["path"]
            heads = following is not None and following["path"].startswith(f"{name}/")
            bare = "." not in name.rpartition("/")[2]
            suspect = entry["size"] == 0 and (name <= last or heads or bare)
            if not (suspect and self._is_marker(bucket.with_name(name))):
                if name <= last:
                    raise StorageError(
                        f"list {prefix}: the store lists {name!r} after {last!r}: listings out of "
                        f"order (as of S3 Express) cannot be used",
                        url=str(prefix),
                    )
                last = name
                yield self._info(prefix, entry)
            entry = following

    def _all_entries(self, prefix: ObjectUrl, start_after: str) -> Iterator[dict[str, Any]]:
        """Yield the entries of `_entries`; a listing that broke off goes on behind the last one."""
        attempts = Attempts(self.settings.retry)
        while True:
            try:
                for entry in self._entries(prefix, start_after):
                    yield entry
                    if entry["path"] > start_after:
                        start_after = entry["path"]
                        attempts.renew()
                return
            except RETRYABLE as error:
                attempts.failed(error)

    def _entries(self, prefix: ObjectUrl, start_after: str) -> Iterator[dict[str, Any]]:
        """Yield obstore's own records of the names that begin with the prefix."""
        name = prefix.name
        first = max(just_before(name), start_after)
        list_from = partial(self._list_from, prefix)
        entries = list_from(first)
        if prefix.provider == "aws":
            check = partial(check_speaks_s3, self.settings, prefix)
            exists = partial(self._has, prefix.with_name(""))
            entries = S3Listing(prefix, list_from, exists, check).entries(first)
        for entry in entries:
            path = entry["path"]
            if path.startswith(name) and path > start_after:
                yield entry
            elif path[: len(name)] > name:
                return

    def _list_from(self, prefix: ObjectUrl, after: str) -> Iterator[dict[str, Any]]:
        folder = prefix.name.rpartition("/")[0] or None
        with translated("list", prefix, self._waits.of):
            store = self._bucket(prefix)
            api = obstore_here().api
            for chunk in api.list(store, folder, offset=after or None, chunk_size=_LIST_CHUNK):
                yield from chunk

    def _has(self, bucket: ObjectUrl, name: str) -> bool:
        try:
            self.head(bucket.with_name(name))
        except NotFoundError:
            return False
        return True

    def _is_marker(self, url: ObjectUrl) -> bool:
        """Tell whether an empty entry stands for `name/`, which obstore shows as `name`."""
        try:
            return self.head(url).size_bytes != 0
        except NotFoundError:
            return True

    def head(self, url: ObjectUrl) -> ObjectInfo:
        """See `Store.head`; a refusal that says little is asked again by a GET, which says why."""
        name = _name(url)
        try:
            head = obstore_here().api.head
            return self._info(url, self._tried("head", url, lambda: head(self._bucket(url), name)))
        except StorageError as error:
            if error.status not in SAYS_LITTLE:
                raise
        info, _, reply = self._open(url, None)
        reply.close()
        return info

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """See `Store.get`; what is verified is said at the top of this file."""
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
        info, (start, stop), reply = self._open(url, byte_range)
        checksum = info.checksum if stop - start == info.size_bytes else None
        low_speed = LowSpeedLimit.of(self.settings.timeouts)
        attempts, renewed_at = Attempts(self.settings.retry), 0

        def resume(got: int, error: StorageError) -> DirectReply:
            nonlocal renewed_at
            # A weak ETag, as none, does not tell whether the rest is of the same bytes.
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

        return Body(reply, info, stop - start, checksum, resume, low_speed=low_speed)

    def _open(
        self, url: ObjectUrl, byte_range: ByteRange | None
    ) -> tuple[ObjectInfo, tuple[int, int], DirectReply]:
        """Return what the store says of an object, which bytes come, and the bytes."""
        name = _name(url)
        options: dict[str, Any] = {}
        if byte_range is not None and byte_range.stop is not None:
            options["range"] = (byte_range.start, byte_range.stop)
        elif byte_range is not None and byte_range.start:
            options["range"] = {"offset": byte_range.start}

        def get() -> tuple[ObjectInfo, tuple[int, int], DirectReply]:
            result = obstore_here().api.get(self._bucket(url), name, options=options)
            stream = result.stream(min_chunk_size=STREAM_CHUNK_BYTES)
            return self._info(url, result.meta), result.range, DirectReply(stream, url)

        return self._tried("get", url, get)

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        """See `Store.put`; large data goes up in parts, at most 5 of them in memory.

        Raises:
            ConfigError: A web server.
        """
        name = _name(url)
        if url.provider in WEB_SCHEMES:
            raise ConfigError(f"put {url}: web servers are only read")
        with Payload(data) as payload:
            hashed = HashedParts(payload)
            put = obstore_here().api.put
            if payload.size_bytes <= WHOLE_PUT_BYTES:
                data = hashed.whole()
                reply = self._tried(
                    "put", url, lambda: put(self._bucket(url), name, data, use_multipart=False)
                )
            else:
                with translated("put", url):
                    reply = put(
                        self._bucket(url, retries=True),
                        name,
                        hashed.chunks(),
                        use_multipart=True,
                        chunk_size=hashed.part_bytes,
                        max_concurrency=_PARTS_AT_ONCE,
                    )
            return self._check_put(url, _bare(reply["e_tag"]), hashed)

    def _check_put(self, url: ObjectUrl, etag: str, sent: HashedParts) -> ObjectInfo:
        same_form = _MD5.sub("", etag.lower(), count=1) == _MD5.sub("", sent.etag, count=1)
        if self._shows_md5(url) and same_form and etag.lower() != sent.etag:
            raise IntegrityError(
                f"put {url}: the store has an ETag of {etag}, what was sent has {sent.etag}; "
                f"{_NO_MD5_HINT}",
                url=str(url),
            )
        info = self.head(url)
        if info.size_bytes != sent.size_bytes and info.etag == etag:
            raise IntegrityError(
                f"put {url}: {sent.size_bytes:,} bytes were sent, the store has "
                f"{info.size_bytes:,}; put it again",
                url=str(url),
            )
        return info

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        """See `Store.delete`; clouds do not say whether there was anything: it is asked before.

        Raises:
            ConfigError: A web server.
        """
        name = _name(url)
        if url.provider in WEB_SCHEMES:
            raise ConfigError(f"delete {url}: web servers are only read")
        if not missing_ok:
            self.head(url)
        try:
            delete = obstore_here().api.delete
            self._tried("delete", url, lambda: delete(self._bucket(url), name))
        except NotFoundError:
            if not missing_ok:
                raise

    def _bucket(self, url: ObjectUrl, *, retries: bool = False) -> Any:
        """Return obstore's own object for a bucket, made on first use in this process.

        Args:
            url: Anything in it.
            retries: One that tries again by itself, as parts of an upload need it.
        """
        here = obstore_here()
        if self._pid != here.pid:
            keep(self._opened)
            self._pid, self._opened = here.pid, {}
        key = url.root, retries
        store = self._opened.get(key)
        if store is None:
            made = open_bucket(here, self.settings, url, retries=retries)
            store = self._opened.setdefault(key, made)
        return store

    def _shows_md5(self, url: ObjectUrl) -> bool:
        return self.settings.verify_etag and url.provider == "aws"

    def _info(self, url: ObjectUrl, meta: dict[str, Any]) -> ObjectInfo:
        etag = _bare(meta["e_tag"])
        is_md5 = self._shows_md5(url) and _MD5.fullmatch(etag.lower())
        return ObjectInfo(
            url.root,
            meta["path"],
            meta["size"],
            Checksum("md5", etag.lower()) if is_md5 else None,
            meta["version"] or "",
            etag,
            meta["last_modified"].timestamp(),
        )


_NO_MD5_HINT = (
    "put it again; if KMS or a customer's key encrypts this bucket, its ETags are no MD5: "
    "pass DirectSettings(verify_etag=False)"
)


def _name(url: ObjectUrl) -> str:
    name = url.require_object().name
    _check_carried(name, url)
    return name


def _check_carried(text: str, url: ObjectUrl) -> None:
    if _UNCARRIED.search(text):
        raise UrlError(
            f"{str(url)!r}: names with a control character, '//' or a leading '/' cannot be "
            f"reached directly, only through an AIStore cluster",
            url=str(url),
        )


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')
