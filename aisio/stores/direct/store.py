"""DirectStore: S3, Google Cloud, Azure, web servers and memory, without a cluster, by obstore.

What is verified, as far as obstore shows it (it shows the ETag and no other checksum):

    every read and range   the length; a body that is cut is continued, on the same ETag, if the
                           store has one (most web servers do). If not, a stream ends with an error,
                           and `read` tries again from the start
    S3, whole object       MD5, if the ETag is one: 32 hexadecimal digits, so not for objects that
                           were uploaded in parts
    S3, put                MD5 of the object, or of the parts' MD5s, against the ETag
    any put                the size that the store has afterwards

If KMS or a customer's key encrypts a bucket of S3, its ETags look like MD5s but are none. Such
buckets need `DirectSettings(verify_etag=False)`. obstore does not show Google's CRC32C and Azure's
Content-MD5.

Names: obstore takes "/a" and "a/" for "a", and knows no "a//b" and no control characters. This
store refuses such names, and a listing that meets one of the latter two fails. Some consoles make
empty objects as folder markers ("a/"), which obstore shows as "a". Listings leave them out. So an
empty entry is looked up before it is listed, if there are names below it or its name has no
extension (".txt").

Credentials come from the settings, else from where the cloud's own tools look: `DirectSettings`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial

from aisio.errors import ConfigError, IntegrityError, NotFoundError
from aisio.records import ObjectInfo
from aisio.stores.base import refuse_copy_to_itself
from aisio.stores.direct.errors import translate_errors
from aisio.stores.direct.obstore_forks import current_obstore
from aisio.stores.direct.reads import MD5, DirectReads, supported_name, unquoted
from aisio.stores.direct.streamed_upload import StreamedUpload
from aisio.stores.direct.upload import PartsEtag, part_bytes_of
from aisio.transport.payload import Payload, PutData
from aisio.transport.writer import ObjectWriter, WriteOptions, head_of_stored
from aisio.urls import WEB_SCHEMES, ObjectUrl

WHOLE_PUT_BYTES = 16 * 1024 * 1024
"""Larger data is uploaded in parts."""

MIN_PART_BYTES = 5 * 1024 * 1024
"""Source: Amazon S3 User Guide, "Amazon S3 multipart upload limits"."""

_MAX_COPIED_BYTES = 5_000_000_000
"""Source: Amazon S3 API Reference, "CopyObject": up to 5 GB."""

_MAX_CONCURRENT_PARTS = 4


class DirectStore(DirectReads):
    """Buckets of a cloud, web servers, and memory:// buckets, which live in one process only.

    Args:
        settings: Endpoint, credentials and the rest; one store serves any bucket with them.
    """

    def __repr__(self) -> str:
        return f"DirectStore({self.settings!r})"

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        """See `Store.put`; large data is uploaded in parts, at most 7 of which are in memory.

        Raises:
            ConfigError: A web server.
        """
        name = supported_name(url)
        if url.provider in WEB_SCHEMES:
            raise ConfigError(f"put {url}: web servers are only read")
        with Payload(data) as payload:
            if payload.size_bytes > WHOLE_PUT_BYTES:
                return self._put_large(url, payload)
            whole = b"".join(payload.chunks())
        put = current_obstore().api.put
        reply = self._with_retries(
            "put", url, lambda: put(self._bucket(url), name, whole, use_multipart=False)
        )
        sent = hashlib.md5(whole).hexdigest()
        return self._check_put(url, unquoted(reply["e_tag"]), sent, len(whole))

    def _put_large(self, url: ObjectUrl, payload: Payload) -> ObjectInfo:
        # The data is read in this thread: obstore must not be called by what it calls, and the data
        # may be an object that obstore reads.
        options = WriteOptions(part_bytes_of(payload.size_bytes), _MAX_CONCURRENT_PARTS)
        with self.writer(url, options) as out:
            for chunk in payload.chunks():
                out.write(chunk)
        assert out.info is not None, "it is closed"
        return out.info

    def _check_put(self, url: ObjectUrl, etag: str, sent: str, size_bytes: int) -> ObjectInfo:
        """Compare what the store has with the ETag, as S3 computes it, and the size of the data."""
        # Both are an MD5, or both the MD5 of the MD5s of as many parts, as in "...-3".
        is_comparable = MD5.sub("", etag.lower(), count=1) == MD5.sub("", sent, count=1)
        if self._has_md5_etags(url) and is_comparable and etag.lower() != sent:
            raise IntegrityError(
                f"put {url}: the store has an ETag of {etag}, what was sent has {sent}; "
                f"{_NO_MD5_HINT}",
                url=str(url),
            )
        info = head_of_stored(url, partial(self.head, url))
        if info.size_bytes != size_bytes and info.etag == etag:
            raise IntegrityError(
                f"put {url}: {size_bytes:,} bytes were sent, the store has "
                f"{info.size_bytes:,}; put it again",
                url=str(url),
            )
        return info

    def writer(self, url: ObjectUrl, options: WriteOptions | None = None) -> ObjectWriter:
        """See `Store.writer`; obstore sends the parts, and aborts the upload if it fails.

        Raises:
            ConfigError: A web server, or parts that are smaller than S3 allows.
        """
        supported_name(url)
        options = options or WriteOptions()
        if url.provider in WEB_SCHEMES:
            raise ConfigError(f"write {url}: web servers are only read")
        if options.part_bytes < MIN_PART_BYTES:
            raise ConfigError(
                f"write {url}: part_bytes={options.part_bytes}: clouds take parts of at least "
                f"{MIN_PART_BYTES:,} bytes"
            )
        upload = StreamedUpload(partial(self._put_parts, url, options))
        return ObjectWriter(str(url), partial(self.put, url), upload, options)

    def _put_parts(
        self, url: ObjectUrl, options: WriteOptions, parts: Iterator[memoryview]
    ) -> ObjectInfo:
        sent, size_bytes = PartsEtag(options.part_bytes), 0

        def counted() -> Iterator[memoryview]:
            nonlocal size_bytes
            for part in parts:
                size_bytes += len(part)
                yield from sent.update(part) if self._has_md5_etags(url) else (part,)

        with translate_errors("put", url):
            reply = current_obstore().api.put(
                self._bucket(url, retries=True),
                url.name,
                counted(),
                use_multipart=True,
                chunk_size=options.part_bytes,
                max_concurrency=options.concurrency,
            )
        return self._check_put(url, unquoted(reply["e_tag"]), sent.etag, size_bytes)

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        """See `Store.delete`; it looks the object up first: clouds do not say whether it existed.

        Raises:
            ConfigError: A web server.
        """
        name = supported_name(url)
        if url.provider in WEB_SCHEMES:
            raise ConfigError(f"delete {url}: web servers are only read")
        if not missing_ok:
            self.head(url)
        try:
            delete = current_obstore().api.delete
            self._with_retries("delete", url, lambda: delete(self._bucket(url), name))
        except NotFoundError:
            if not missing_ok:
                raise

    def copy(self, url: ObjectUrl, to: ObjectUrl) -> ObjectInfo:
        """See `Store.copy`; a cloud copies up to 5 GB within one bucket by itself."""
        refuse_copy_to_itself(url, to)
        name, new_name = supported_name(url), supported_name(to)
        size_bytes = self.head(url).size_bytes or 0
        if url.root != to.root or url.provider in WEB_SCHEMES or size_bytes > _MAX_COPIED_BYTES:
            return super().copy(url, to)
        copy = current_obstore().api.copy
        self._with_retries("copy", url, lambda: copy(self._bucket(url), name, new_name))
        copied = self.head(to)
        if copied.size_bytes != size_bytes:
            raise IntegrityError(
                f"copy {url} to {to}: the copy has {copied.size_bytes:,} bytes, the object had "
                f"{size_bytes:,}: was one of them replaced meanwhile?",
                url=str(to),
            )
        return copied


_NO_MD5_HINT = (
    "put it again; if KMS or a customer's key encrypts this bucket, its ETags are no MD5: "
    "pass DirectSettings(verify_etag=False)"
)
