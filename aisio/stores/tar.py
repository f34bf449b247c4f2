"""TarStore: the members of a tar as objects of a store that is only read."""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterator
from functools import partial

from aisio.errors import ConfigError, NotFoundError, RangeError, ShardError
from aisio.formats.tar import NEED_DATA
from aisio.formats.tar_part import TarPart
from aisio.records import ByteRange, ObjectInfo, RetryPolicy
from aisio.stores import Store
from aisio.stores.lazy import Lazy
from aisio.stores.tar_index import (
    Span,
    TarIndex,
    check_same_tar,
    read_index,
)
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.payload import PutData
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ObjectUrl


class TarStore(Store):
    """The files in a tar.

    Args:
        store: The store that has the archive.
        url: The archive.
        strict: See `read_index`.
    """

    def __init__(self, store: Store, url: ObjectUrl, *, strict: bool = True) -> None:
        self.store = store
        self.url = url.require_object()
        self._strict = strict
        self._index: Lazy[TarIndex] = Lazy(partial(read_index, store, url, strict=strict))

    def _key(self) -> Hashable:
        return self.store, self.url, self._strict

    def __repr__(self) -> str:
        return f"TarStore({str(self.url)!r})"

    @property
    def retry_policy(self) -> RetryPolicy:
        """That of the store that has the archive."""
        return self.store.retry_policy

    def check(self) -> None:
        """Read the headers of the tar, unless they are known; errors as for `read_index`."""
        self._index()

    @property
    def archive_info(self) -> ObjectInfo:
        """What the store said of the tar when its headers were read; errors as for `read_index`."""
        return self._index().info

    def offset_of(self, url: ObjectUrl) -> int:
        """Return where in the tar the file of a member is; a hard link has that of its file.

        Raises:
            NotFoundError: No such member.
        """
        return self._member(url, "find")[1].offset

    def in_order(self) -> Iterator[ObjectInfo]:
        """List the members in the order of the archive; errors as for `read_index`."""
        for member, span in self._index().members.items():
            yield self._info(member, span)

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; errors as for `read_index`, at the first item."""
        names = (info for info in self.in_order() if info.name.startswith(prefix.name))
        # Bytewise order is that of the code points, also where surrogates stand for odd bytes.
        for info in sorted(names, key=lambda info: info.name.encode("utf-8", "surrogateescape")):
            if info.name > start_after:
                yield info

    def head(self, url: ObjectUrl) -> ObjectInfo:
        """See `Store.head`."""
        return self._info(*self._member(url, "head"))

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """See `Store.get`.

        Raises:
            ConfigError: There is an ETL, which cannot transform a part of an object.
            ShardError: The member is not stored as a plain file.
            IntegrityError: The archive was replaced since its headers were read.
        """
        if etl_name:
            raise ConfigError(f"get {url}: a file in a tar cannot be transformed by an ETL")
        name, span = self._member(url, "get")
        if span.unreadable_reason:
            raise ShardError(f"get {url}: {span.unreadable_reason}", url=str(url))
        info = self._info(name, span)
        start, stop = (byte_range.start, byte_range.stop) if byte_range else (0, None)
        if start and start >= span.size_bytes:
            raise RangeError(
                f"get {url}: {byte_range} lies outside its {span.size_bytes:,} bytes", url=str(url)
            )
        stop = span.size_bytes if stop is None else min(stop, span.size_bytes)
        if stop == start:
            return Body(io.BytesIO(), info, 0)
        if span.member_bytes:
            content = self._sparse_content(info, span)[start:stop]
            return Body(io.BytesIO(content), info, len(content))
        return self._open(info, ByteRange(span.offset + start, span.offset + stop))

    def send_ahead(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> PendingGet | None:
        """See `Store.send_ahead`; a whole member is a range of the archive."""
        if byte_range or etl_name:
            return None
        _, span = self._member(url, "get")
        if not span.size_bytes or span.member_bytes:
            return None
        part = ByteRange(span.offset, span.offset + span.size_bytes)
        return self.store.send_ahead(self.url, part)

    def _sparse_content(self, info: ObjectInfo, span: Span) -> bytes:
        """Return the content of a sparse file, for each range of it anew."""
        part = ByteRange(span.offset, span.offset + span.member_bytes)
        with self._open(info, part) as body:
            data = bytearray(body.readall())
        parser = TarPart(str(self.url))
        parser.begin(data, 0, len(data), span.offset)
        parser.next_event()
        parser.finish()
        content = parser.read_sparse()
        assert content is not NEED_DATA, "finish() was called"
        return content

    def _open(self, info: ObjectInfo, part: ByteRange) -> Body:
        body = self.store.get(self.url, part)
        try:
            check_same_tar(self.store, self.url, self._index().info, body.info)
        except BaseException:
            body.close()
            raise
        body.info = info
        return body

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        """Refuse: a tar is only read.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"put {url}: files in a tar are only read")

    def writer(self, url: ObjectUrl, options: WriteOptions | None = None) -> ObjectWriter:
        """Refuse: a tar is only read.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"write {url}: files in a tar are only read")

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        """Refuse: a tar is only read.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"delete {url}: files in a tar are only read")

    def _info(self, member: str, span: Span) -> ObjectInfo:
        name = f"{self.url.name}/{member}"
        size_bytes = None if span.unreadable_reason else span.size_bytes
        return ObjectInfo(self.url.root, name, size_bytes, mtime_s=span.mtime_s)

    def _member(self, url: ObjectUrl, operation: str) -> tuple[str, Span]:
        name = url.name.removeprefix(f"{self.url.name}/")
        span = self._index().members.get(name)
        if span is None or url.with_name(self.url.name) != self.url:
            raise NotFoundError(f"{operation} {url}: {self.url} has no such file", url=str(url))
        return name, span
