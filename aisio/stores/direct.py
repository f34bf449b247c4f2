"""DirectStore: S3, Google Cloud, Azure, web servers and memory, without a cluster, by obstore.

What is verified, by what obstore lets us see (it shows the ETag and no other checksum):

    every read and range   the length; a body that was cut is resumed by obstore, on the same ETag,
                           where the store shows one (most web servers do); where not, it is an
                           error of `get`, and `read` begins again
    S3, whole object       MD5, where the ETag is one: 32 hexadecimal digits, so not for objects
                           that were uploaded in parts
    S3, put                MD5 of the object, or of the parts' MD5s, against the ETag
    any put                the size that the store has afterwards

An S3 ETag is no MD5 where KMS or a customer's key encrypts, and looks the same: there,
`DirectSettings(verify_etag=False)`. Google's CRC32C and Azure's Content-MD5 are not shown.

Names: obstore takes "/a" and "a/" for "a", and knows no "a//b" and no control characters. Such
names are refused here, and a listing that meets one of the latter two fails. A "folder marker" that
some consoles make ("a/", empty) is left out of listings where something lies below it.

Credentials come from the settings, else from where the cloud's own tools look: `DirectSettings`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from math import inf
from time import perf_counter
from typing import Any

from aisio.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    UnavailableError,
    UrlError,
)
from aisio.least_rate import HANDED_OVER_AFTER_S, LeastRate
from aisio.payloads import Payload, PutData
from aisio.records import ByteRange, Checksum, ObjectInfo, RetryPolicy
from aisio.stores.base import Store
from aisio.stores.direct_errors import translated
from aisio.stores.direct_settings import DirectSettings, open_bucket
from aisio.stores.forked import keep, obstore_here
from aisio.streams import Body
from aisio.urls import WEB_SCHEMES, ObjectUrl

STREAM_CHUNK_BYTES = 16 * 1024
"""Least size of a piece that obstore hands over: it waits until it has so many, however slowly they
come. With 256 KiB, 100 KB took 8 us of CPU less and 2 MB 140 us more (loopback, 0.12.1)."""

WHOLE_PUT_BYTES = 16 * 1024 * 1024
"""Larger data goes up in parts."""

_PART_BYTES = 8 * 1024 * 1024
_MOST_PARTS = 9_000
_PARTS_AT_ONCE = 4
_LIST_CHUNK = 1000
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
        self._opened: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"DirectStore({self.settings!r})"

    @property
    def retry_policy(self) -> RetryPolicy:
        """That of the settings, which obstore has too."""
        return self.settings.retry

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "_pid": 0, "_opened": {}}

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; a web server has no listings.

        obstore lists whole folders. A prefix that ends within a name is asked for by its folder,
        from just before the prefix on, and the rest is dropped here: a few names on S3 and Google,
        the folder's earlier names as well on Azure.

        Raises:
            ConfigError: A web server.
            StorageError: The bucket holds a name that obstore cannot carry, or lists out of order.
        """
        if prefix.provider in WEB_SCHEMES:
            raise ConfigError(f"list {prefix}: a web server has no listings; name each object")
        for text in (prefix.name, start_after):
            _check_carried(text, prefix)
        return self._list(prefix, start_after)

    def _list(self, prefix: ObjectUrl, start_after: str) -> Iterator[ObjectInfo]:
        bucket, last = prefix.with_name(""), ""
        entries = self._entries(prefix, start_after)
        entry = next(entries, None)
        while entry is not None:
            following = next(entries, None)
            name = entry["path"]
            heads = following is not None and following["path"].startswith(f"{name}/")
            suspect = entry["size"] == 0 and (name <= last or heads)
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

    def _entries(self, prefix: ObjectUrl, start_after: str) -> Iterator[dict[str, Any]]:
        """Yield obstore's own records of the names that begin with the prefix."""
        name = prefix.name
        offset = max(_just_before(name), start_after) or None
        folder = name.rpartition("/")[0] or None
        with translated("list", prefix):
            store = self._bucket(prefix)
            chunks = obstore_here().api.list(store, folder, offset=offset, chunk_size=_LIST_CHUNK)
            for chunk in chunks:
                for entry in chunk:
                    path = entry["path"]
                    if path.startswith(name) and path > start_after:
                        yield entry
                    elif path[: len(name)] > name:
                        return

    def _is_marker(self, url: ObjectUrl) -> bool:
        """Tell whether an empty entry stands for `name/`, which obstore shows as `name`."""
        try:
            return self.head(url).size_bytes != 0
        except NotFoundError:
            return True

    def head(self, url: ObjectUrl) -> ObjectInfo:
        """See `Store.head`."""
        name = _name(url)
        with translated("head", url):
            return self._info(url, obstore_here().api.head(self._bucket(url), name))

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
        name = _name(url)
        options: dict[str, Any] = {}
        if byte_range is not None and byte_range.stop is not None:
            options["range"] = (byte_range.start, byte_range.stop)
        elif byte_range is not None and byte_range.start:
            options["range"] = {"offset": byte_range.start}
        with translated("get", url):
            result = obstore_here().api.get(self._bucket(url), name, options=options)
            info, (start, stop) = self._info(url, result.meta), result.range
            stream = result.stream(min_chunk_size=STREAM_CHUNK_BYTES)
        checksum = info.checksum if stop - start == info.size_bytes else None
        least_rate = LeastRate.of(self.settings.timeouts)
        return Body(_Reply(stream, url), info, stop - start, checksum, least_rate=least_rate)

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        """See `Store.put`; large data goes up in parts, at most 5 of them in memory.

        Raises:
            ConfigError: A web server.
        """
        name = _name(url)
        if url.provider in WEB_SCHEMES:
            raise ConfigError(f"put {url}: web servers are only read")
        with Payload(data) as payload:
            hashed = _HashedParts(payload)
            with translated("put", url):
                put = obstore_here().api.put
                if payload.size_bytes <= WHOLE_PUT_BYTES:
                    reply = put(self._bucket(url), name, hashed.whole(), use_multipart=False)
                else:
                    reply = put(
                        self._bucket(url),
                        name,
                        hashed.chunks(),
                        use_multipart=True,
                        chunk_size=hashed.part_bytes,
                        max_concurrency=_PARTS_AT_ONCE,
                    )
            return self._check_put(url, _bare(reply["e_tag"]), hashed)

    def _check_put(self, url: ObjectUrl, etag: str, sent: _HashedParts) -> ObjectInfo:
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
            with translated("delete", url):
                obstore_here().api.delete(self._bucket(url), name)
        except NotFoundError:
            if not missing_ok:
                raise

    def _bucket(self, url: ObjectUrl) -> Any:
        """Return obstore's own object for a bucket, made on first use in this process."""
        here = obstore_here()
        if self._pid != here.pid:
            keep(self._opened)
            self._pid, self._opened = here.pid, {}
        store = self._opened.get(url.root)
        if store is None:
            store = self._opened.setdefault(url.root, open_bucket(here, self.settings, url))
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


class _HashedParts:
    """A payload whose S3 ETag is computed while it is sent."""

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self.size_bytes = payload.size_bytes
        self.part_bytes = max(_PART_BYTES, -(-payload.size_bytes // _MOST_PARTS))
        self.etag = ""

    def whole(self) -> bytes | memoryview:
        chunks = [*self._payload.chunks()]
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self.etag = hashlib.md5(data).hexdigest()
        return data

    def chunks(self) -> Iterator[bytes | memoryview]:
        digests: list[bytes] = []
        part, room = hashlib.md5(), self.part_bytes
        for chunk in self._payload.chunks():
            view = memoryview(chunk)
            while view:
                head, view = view[:room], view[room:]
                part.update(head)
                room -= len(head)
                yield head
                if not room:
                    digests.append(part.digest())
                    part, room = hashlib.md5(), self.part_bytes
        if room < self.part_bytes:
            digests.append(part.digest())
        self.etag = f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


class _Reply:
    """obstore's stream of chunks as an open reply; see `aisio.streams.RawReply`.

    A forked child only closes it: the `Body` that reads it sees to that.
    """

    def __init__(self, stream: Any, url: ObjectUrl) -> None:
        self._stream = stream
        self._url = url
        self._pid = os.getpid()
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, all by default; fewer at the end, or where they come slowly."""
        parts: list[bytes | memoryview] = []
        left, until_s = size, inf if size < 0 else perf_counter() + HANDED_OVER_AFTER_S
        while left and (chunk := self._chunk()):
            used = len(chunk) if size < 0 else min(left, len(chunk))
            self._rest = chunk[used:]
            parts.append(chunk[:used])
            left -= used
            if left and perf_counter() > until_s:
                break
        # The buffer behind a view is the chunk itself: one that fits whole is not copied.
        if len(parts) == 1 and isinstance(whole := memoryview(parts[0]).obj, bytes):
            return whole if len(whole) == len(parts[0]) else bytes(parts[0])
        return b"".join(parts)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end."""
        chunk = self._chunk()
        count = min(len(buffer), len(chunk))
        buffer[:count] = chunk[:count]
        self._rest = chunk[count:]
        return count

    def _chunk(self) -> memoryview:
        if self._rest:
            return self._rest
        try:
            with translated("GET", self._url):
                return memoryview(next(self._stream, b""))
        except UnavailableError:
            # As an early end: whoever counts the bytes can say more than "connection reset".
            return memoryview(b"")

    def close(self) -> None:
        """Let go of the connection."""
        if os.getpid() != self._pid:
            keep(self._stream)
        self._rest, self._stream = memoryview(b""), iter(())


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


def _just_before(prefix: str) -> str:
    """Return a text that obstore can carry, before all names with the prefix and close to them."""
    folder, slash, start = prefix.rpartition("/")
    if not start:
        return ""
    code = ord(start[-1]) - 1
    usable = code >= 0x20 and code not in (0x2F, 0x7F) and not 0xD800 <= code <= 0xDFFF
    before = start[:-1] + (chr(code) if usable else "")
    return folder + slash + ("" if before in (".", "..") else before)


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')
