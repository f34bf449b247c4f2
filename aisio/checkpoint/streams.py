"""Checkpoint: opens checkpoints, on any store, for torch.save, torch.load and any binary file."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from functools import partial

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import ConfigError
from aisio.limits import is_positive
from aisio.records import ObjectInfo, UnfinishedUpload
from aisio.stores import DirectSettings, Store, store_for
from aisio.transport.range_reads import RangeOpener
from aisio.transport.read_ahead import ReadAheadReader
from aisio.transport.writer import CONCURRENCY, PART_BYTES, ObjectWriter, WriteOptions
from aisio.urls import ObjectUrl

__all__ = ["Checkpoint", "CheckpointReader"]

READ_BUFFER_BYTES = 64 * 1024
"""The buffer for small reads; larger ones bypass it."""


class CheckpointReader(io.BufferedReader):
    """A checkpoint that is read: a seekable binary file whose size is known.

    Args:
        raw: Reads the bytes.

    Attributes:
        info: What the store says of the object.
    """

    def __init__(self, raw: ReadAheadReader) -> None:
        super().__init__(raw, READ_BUFFER_BYTES)
        self.info: ObjectInfo = raw.info
        self._prefetch = raw.prefetch

    @property
    def size_bytes(self) -> int:
        """The size of the object."""
        assert self.info.size_bytes is not None  # ReadAheadReader refuses such an object
        return self.info.size_bytes

    def prefetch(self) -> None:
        """Begin to read the first part of the object, before it is asked for."""
        self._prefetch()


class Checkpoint:
    """Reads and writes checkpoints by URL, on any store.

        with checkpoint.writer("ais://models/run/10.pt") as file:
            torch.save(model.state_dict(), file)
        with checkpoint.reader("ais://models/run/10.pt") as file:
            state = torch.load(file)

    It holds settings, not connections: it pickles, and any number of threads and processes may use
    one. A writer holds at most `concurrency + 3` parts in memory, a reader `concurrency + 1`.

    Args:
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        part_bytes: How many bytes a request carries; from 5 MiB on where a cloud is written to.
        concurrency: How many requests are sent at once.

    Raises:
        ConfigError: A number is below 1.
    """

    def __init__(
        self,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        part_bytes: int = PART_BYTES,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._client = explicit_client(client, endpoint)
        self._direct = direct
        self._options = WriteOptions(part_bytes, concurrency)

    def writer(self, url: str, *, allow_empty: bool = False) -> ObjectWriter:
        """Open a checkpoint to be written from start to end; use it in a `with` statement.

        Parts go up while the caller writes. The object appears when the writer is closed, whole and
        verified. If the block raises, nothing is stored and the old object stays.

        Args:
            url: The object, as in "ais://bucket/name", "s3://bucket/name" or "file:///folder/name".
            allow_empty: Store an empty object where nothing was written; otherwise that is an error
                of `close`.

        Raises:
            UrlError: The URL is not valid, or names no object.
            ConfigError: The store is only read, or takes no parts of this size.
        """
        store, parsed = self._find(url)
        return store.writer(
            parsed, WriteOptions(self._options.part_bytes, self._options.concurrency, allow_empty)
        )

    def reader(self, url: str) -> CheckpointReader:
        """Open a checkpoint as a seekable binary file, several parts of which are read at once.

        Args:
            url: The object.

        Raises:
            UrlError: The URL is not valid, or names no object.
            NotFoundError: No such object.
        """
        store, parsed = self._find(url)
        opener = RangeOpener(
            partial(store.get, parsed), store.retry_policy, partial(store.is_same, parsed)
        )
        raw = ReadAheadReader(
            store.head(parsed),
            opener,
            part_bytes=self._options.part_bytes,
            concurrency=self._options.concurrency,
        )
        return CheckpointReader(raw)

    def unfinished(self, url: str) -> Iterator[UnfinishedUpload]:
        """List the uploads below a URL that are neither complete nor aborted.

        Killed processes leave them behind. Uploads that go on are listed as well, except those to a
        local folder: their temporary files are locked.

        Args:
            url: A bucket, or a bucket and a prefix.

        Raises:
            ConfigError: The store does not list them: a cloud that is reached directly.
        """
        parsed = ObjectUrl.parse(url)
        return self._store(parsed).unfinished_uploads(parsed)

    def remove_unfinished(self, url: str, *, older_than_s: float = 86_400) -> int:
        """Remove the unfinished uploads below a URL; return how many.

        Args:
            url: A bucket, or a bucket and a prefix.
            older_than_s: Leave those that were begun less than so many seconds ago: they may go on.

        Raises:
            ConfigError: The store does not list them, or `older_than_s` is no number from 0 on.
        """
        if older_than_s != 0 and not is_positive(older_than_s):
            raise ConfigError(f"{older_than_s=!r}: expected a number of seconds, 0 or more")
        parsed, before_s, count = ObjectUrl.parse(url), time.time() - older_than_s, 0
        store = self._store(parsed)
        for upload in list(store.unfinished_uploads(parsed)):
            if 0 < upload.begun_s <= before_s:
                store.abort_upload(upload)
                count += 1
        return count

    def _find(self, url: str) -> tuple[Store, ObjectUrl]:
        parsed = ObjectUrl.parse(url).require_object()
        return self._store(parsed), parsed

    def _store(self, url: ObjectUrl) -> Store:
        return store_for(url, self._client, direct=self._direct)
