"""Store: what every object store can do, addressed by ObjectUrl.

A Store holds settings, not connections. So it pickles, it works after a fork, and any number of
threads may use one. What is read is verified as far as the store makes that possible.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import partial

from aisio.equality import EqualByKey
from aisio.errors import ConfigError, IntegrityError
from aisio.records import (
    ByteRange,
    Deleted,
    ObjectInfo,
    RetryPolicy,
    UnfinishedUpload,
    may_be_same_object,
    same_version,
)
from aisio.stores.levels import one_level
from aisio.transport.body import Body, read_with_retries
from aisio.transport.concurrency.delete_each import delete_each, require_none_missing
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.payload import PutData
from aisio.transport.retries import Attempts
from aisio.transport.seekable import open_seekable
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ObjectUrl


class Store(EqualByKey, ABC):
    """One object store."""

    @property
    def retry_policy(self) -> RetryPolicy:
        """How often, and for how long, `read` tries again."""
        return RetryPolicy()

    @abstractmethod
    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """List the objects whose names begin with a prefix, in bytewise order of their names.

        Args:
            prefix: Bucket and plain-string prefix; "" lists the bucket. No folder semantics.
            start_after: Leave out names up to and including this one.

        Yields:
            Objects with at least name and size.

        Raises:
            NotFoundError: No such bucket (for local folders: no such directory), at the first item.
        """

    def list_level(self, prefix: ObjectUrl) -> Iterator[ObjectInfo]:
        """List one level below a prefix; its folders are entries whose names end in "/".

        Raises:
            NotFoundError: As for `list`.
        """
        return one_level(lambda name: self.list(prefix, start_after=name), prefix.name)

    @abstractmethod
    def head(self, url: ObjectUrl) -> ObjectInfo:
        """Return what the store knows of one object.

        Raises:
            NotFoundError: No such object.
        """

    def modified_s(self, url: ObjectUrl) -> float:
        """Return when an object was last changed, in seconds since 1970; 0.0 if unknown.

        Raises:
            NotFoundError: No such object.
        """
        return self.head(url).mtime_s

    @abstractmethod
    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """Open an object, or a range of it, for reading from start to end.

        Args:
            url: The object.
            byte_range: The part to read; a stop beyond the end is cut to the end.
            etl_name: The ETL that transforms the object in the store first.

        Returns:
            A binary stream that verifies its bytes, and raises IntegrityError at its end if they
            are wrong.

        Raises:
            NotFoundError: No such object.
            RangeError: The range begins at or beyond the object's end.
            ConfigError: This store has no ETL.
        """

    def send_ahead(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> PendingGet | None:
        """Send the request of a later `get`; None if the store cannot send one ahead."""
        return None

    def read(self, url: ObjectUrl, *, etl_name: str | None = None) -> bytes:
        """Return the whole object, verified; a read that is cut or times out is tried again.

        Raises:
            NotFoundError: No such object.
            IntegrityError: The bytes are not the ones that the store promised.
            StorageError: As the last try ended, once the budget of `retry_policy` is spent.
        """
        return self._read(url, etl_name)[1]

    def read_with_info(self, url: ObjectUrl) -> tuple[ObjectInfo, bytes]:
        """Return what the response says of an object, and its bytes; otherwise as `read`."""
        return self._read(url, None)

    def _read(self, url: ObjectUrl, etl_name: str | None) -> tuple[ObjectInfo, bytes]:
        return read_with_retries(
            partial(self.get, url, etl_name=etl_name),
            lambda body: (body.info, body.readall()),
            Attempts(self.retry_policy),
        )

    def open(self, url: ObjectUrl) -> io.BufferedReader:
        """Open an object as a seekable binary file; see `aisio.transport.seekable`.

        The ranges that are read must be of one version, as far as the store tells versions apart.

        Raises:
            NotFoundError: No such object.
        """
        attempts = Attempts(self.retry_policy)
        return open_seekable(self.head(url), partial(self.get, url), attempts=attempts)

    def is_same(self, url: ObjectUrl, first: ObjectInfo, now: ObjectInfo) -> bool:
        """Tell whether two responses are about one version of an object."""
        return same_version(first, now)

    @abstractmethod
    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        """Store an object, replacing what was there.

        Readers see the old bytes or the new, never a mixture.

        Raises:
            NotFoundError: No such bucket.
            IntegrityError: The store received other bytes than were sent.
        """

    @abstractmethod
    def writer(self, url: ObjectUrl, options: WriteOptions | None = None) -> ObjectWriter:
        """Open an object as a binary file that is written from start to end.

        Parts go up while the caller writes. The object appears when the file is closed, whole and
        verified; until then the old one stays. See `aisio.transport.writer`.

        Args:
            url: The object.
            options: Size and number of parts; by default those of `WriteOptions`.

        Raises:
            ConfigError: This store is only read.
        """

    def unfinished_uploads(self, prefix: ObjectUrl) -> Iterator[UnfinishedUpload]:
        """List the uploads below a prefix that were begun and are neither complete nor aborted.

        Raises:
            ConfigError: The store does not tell.
        """
        raise ConfigError(f"unfinished uploads of {prefix}: this store does not list them")

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Remove an unfinished upload and its parts; none, if it has ended meanwhile.

        Raises:
            ConfigError: The store does not list uploads.
        """
        raise ConfigError(f"abort the upload of {upload.url}: this store does not list uploads")

    @abstractmethod
    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        """Delete an object.

        Raises:
            NotFoundError: No such object, and missing_ok is false.
        """

    def delete_copied(self, url: ObjectUrl, before: ObjectInfo, copy: ObjectInfo) -> None:
        """Delete an object that was copied, if the copy has its bytes and it is still the same.

        Args:
            url: The object.
            before: What this store said of it before it was copied: a copy has other entity tags
                and versions, and perhaps no checksum to compare.
            copy: What the store of the copy says of it.

        Raises:
            NotFoundError: No such object.
            IntegrityError: It was replaced since, or the copy is of other bytes; the object stays.
        """
        if not may_be_same_object(before, copy):
            raise IntegrityError(
                f"move {url}: its copy {copy.url} has another size or checksum: the source was not "
                f"deleted",
                url=str(url),
            )
        if not self.is_same(url, before, self.head(url)):
            raise IntegrityError(
                f"move {url}: it was replaced after it was copied to {copy.url}: it was not "
                f"deleted; move it again",
                url=str(url),
            )
        self.delete(url)

    def delete_many(
        self, bucket: ObjectUrl, names: Iterable[str], *, missing_ok: bool = False
    ) -> Deleted:
        """Delete objects of one bucket, several at once, and account for each name.

        Args:
            bucket: The bucket.
            names: Names of objects.
            missing_ok: Names that do not exist are no error; the result has them.

        Raises:
            NotFoundError: Names did not exist; all others are deleted.
            StorageError: Objects could not be deleted; the text names the first.
        """
        names = dict.fromkeys(names)
        root = bucket.root
        deleted = delete_each(lambda name: self.delete(bucket.with_name(name)), root, names)
        return deleted if missing_ok else require_none_missing(root, deleted)

    def copy(self, url: ObjectUrl, to: ObjectUrl) -> ObjectInfo:
        """Copy an object to another URL of this store, replacing what was there.

        A cluster and a cloud copy by themselves, as far as they can; otherwise the bytes come here
        and go back, verified.

        Returns:
            What the store says of the copy.

        Raises:
            NotFoundError: No such object, or no such bucket.
            ConfigError: The two URLs are the same.
        """
        refuse_copy_to_itself(url, to)
        with self.open(url) as file:
            return self.put(to, file)


def refuse_copy_to_itself(url: ObjectUrl, to: ObjectUrl) -> None:
    """Check that a copy has another URL than the object.

    Raises:
        ConfigError: The two URLs are the same.
    """
    if url == to:
        raise ConfigError(f"copy {url}: the copy would be the object itself")
