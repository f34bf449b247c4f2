"""AisStore: an AIStore cluster, or an aisio gateway, as a Store."""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterable, Iterator

from aisio.client.client import Bucket, Client
from aisio.client.upload import abort_upload, list_uploads
from aisio.records import ByteRange, Deleted, ObjectInfo, UnfinishedUpload
from aisio.stores.base import Store
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.payload import PutData
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ObjectUrl


class AisStore(Store):
    """The buckets that a cluster has, and those of the clouds behind it.

    Args:
        client: Sends the requests.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def _key(self) -> Hashable:
        return self.client

    def __repr__(self) -> str:
        return f"AisStore({self.client!r})"

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`.

        Checksums are listed too, which costs 1 us an object, because get-batch sends none. What a
        cloud lists as a checksum need not be one.
        """
        props = "name,size,checksum" if prefix.provider == "ais" else "name,size"
        bucket = Bucket(self.client, prefix.with_name(""))
        return bucket.list(prefix.name, props=props, start_after=start_after)

    def list_level(self, prefix: ObjectUrl) -> Iterator[ObjectInfo]:
        """See `Store.list_level`; the cluster lists the level alone."""
        bucket = Bucket(self.client, prefix.with_name(""))
        return bucket.list(prefix.name, recursive=False)

    def head(self, url: ObjectUrl) -> ObjectInfo:
        """See `Store.head`."""
        return self.client.object(url).head()

    def modified_s(self, url: ObjectUrl) -> float:
        """See `Store.modified_s` and `Object.modified_s`."""
        return self.client.object(url).modified_s()

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """See `Store.get`."""
        return self.client.object(url).stream(byte_range, etl_name=etl_name)

    def send_ahead(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> PendingGet | None:
        """See `Store.send_ahead`."""
        return self.client.object(url).send_ahead(byte_range, etl_name=etl_name)

    def read(self, url: ObjectUrl, *, etl_name: str | None = None) -> bytes:
        """See `Store.read`."""
        return self.client.object(url).get(etl_name=etl_name)

    def read_with_info(self, url: ObjectUrl) -> tuple[ObjectInfo, bytes]:
        """See `Store.read_with_info`."""
        return self.client.object(url).get_with_info()

    def open(self, url: ObjectUrl) -> io.BufferedReader:
        """See `Store.open`."""
        return self.client.object(url).open()

    def is_same(self, url: ObjectUrl, first: ObjectInfo, now: ObjectInfo) -> bool:
        """See `Store.is_same`."""
        return self.client.object(url).is_same(first, now)

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        """See `Store.put`."""
        return self.client.object(url).put(data)

    def writer(self, url: ObjectUrl, options: WriteOptions | None = None) -> ObjectWriter:
        """See `Store.writer`."""
        return self.client.object(url.require_object()).writer(options)

    def unfinished_uploads(self, prefix: ObjectUrl) -> Iterator[UnfinishedUpload]:
        """See `Store.unfinished_uploads`; errors as for `aisio.client.upload.list_uploads`."""
        return list_uploads(self.client.session, prefix)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """See `Store.abort_upload`."""
        abort_upload(self.client.session, ObjectUrl.parse(upload.url), upload.id)

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        """See `Store.delete`."""
        self.client.object(url).delete(missing_ok=missing_ok)

    def delete_many(
        self, bucket: ObjectUrl, names: Iterable[str], *, missing_ok: bool = False
    ) -> Deleted:
        """See `Store.delete_many`; the cluster deletes thousands by one request."""
        names = list(names)
        if not names:
            return Deleted(0)
        of_cluster = Bucket(self.client, bucket.with_name(""))
        return of_cluster.delete_many(names, missing_ok=missing_ok)

    def copy(
        self, url: ObjectUrl, to: ObjectUrl, *, listed: ObjectInfo | None = None
    ) -> ObjectInfo:
        """See `Store.copy` and `Object.copy`."""
        return self.client.object(url).copy(to, listed=listed)
