"""OpenedFile: a safetensors file of any store, whose header is known and whose bytes are read.

The first request brings the header and, of a small file, everything. All bytes are of one version
of the object. If all of them are read in order, they are verified by the object's checksum.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from threading import Lock

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import CheckpointError, ConfigError, RangeError
from aisio.forks import this_process
from aisio.formats.safetensors import LENGTH_BYTES, Header, header_bytes, parse_header
from aisio.limits import is_whole
from aisio.records import ByteRange, ObjectInfo
from aisio.stores import DirectSettings, Store, store_for
from aisio.transport.body import Body, read_with_retries
from aisio.transport.range_reads import RangeOpener
from aisio.transport.read_ahead import ReadAheadReader
from aisio.transport.retries import Attempts
from aisio.transport.writer import CONCURRENCY, PART_BYTES
from aisio.urls import ObjectUrl

__all__ = ["OpenedFile", "Reach"]

FIRST_BYTES = 512 * 1024
"""What the first request asks for: the headers of all but a few files are smaller."""


class Reach:
    """How objects are reached: the arguments that all functions share.

    Args:
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        concurrency: How many requests are sent at once.

    Raises:
        ConfigError: The number is below 1.
    """

    def __init__(
        self,
        client: Client | None,
        endpoint: str | None,
        direct: bool | DirectSettings,
        concurrency: int = CONCURRENCY,
    ) -> None:
        if not is_whole(concurrency, 1):
            raise ConfigError(f"concurrency={concurrency!r}: expected a whole number of at least 1")
        self._client = explicit_client(client, endpoint)
        self._direct = direct
        self.concurrency = concurrency

    def store(self, url: ObjectUrl) -> Store:
        """Return the store of a URL."""
        return store_for(url, self._client, direct=self._direct)

    def open(self, url: ObjectUrl) -> OpenedFile:
        """Open a safetensors file; errors as of `OpenedFile`."""
        return OpenedFile(self.store(url), url.require_object(), self.concurrency)


class OpenedFile:
    """A safetensors file; close it, or use it in a `with` statement. Threads may share it.

    Args:
        store: Where it is.
        url: The object.
        concurrency: How many requests are sent at once.

    Attributes:
        info: What the store says of the object.
        header: What the file holds.

    Raises:
        NotFoundError: No such object.
        CheckpointError: It is no sound safetensors file.
    """

    def __init__(self, store: Store, url: ObjectUrl, concurrency: int = CONCURRENCY) -> None:
        self.info, first = _read_first(store, url)
        opener = RangeOpener(
            partial(store.get, url),
            store.retry_policy,
            partial(store.is_same, url),
            memoryview(first),
        )
        self._process = this_process()
        self._lock = Lock()
        with ExitStack() as stack:
            self._reader = stack.enter_context(
                ReadAheadReader(self.info, opener, part_bytes=PART_BYTES, concurrency=concurrency)
            )
            self.header = self._read_header(len(first))
            self._stack = stack.pop_all()

    def __enter__(self) -> OpenedFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads, and forget what was read."""
        self._stack.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._reader.closed

    def read_into(self, view: memoryview, start: int) -> None:
        """Fill a view with the bytes of the tensors from an offset on, by several requests at once.

        Args:
            view: The memory, not longer than what is there.
            start: The offset, counted from the end of the header.

        Raises:
            IntegrityError: The bytes are not as promised, or the object was replaced meanwhile.
            ValueError: The file is closed.
        """
        if not self._process.is_current:
            # Another thread of the parent may have held the lock at the fork.
            self._process, self._lock = this_process(), Lock()
        with self._lock:
            self._reader.seek(self._data_start + start)
            self._fill(view)

    def _read_header(self, first_bytes: int) -> Header:
        # By the reader, even though the first response has them: it hashes all that it reads.
        size, url = self.info.size_bytes or 0, self.info.url
        start = memoryview(bytearray(min(LENGTH_BYTES, size, first_bytes)))
        self._fill(start)
        text = memoryview(bytearray(header_bytes(start, size, url)))
        self._fill(text)
        self._data_start = LENGTH_BYTES + len(text)
        return parse_header(text, size - self._data_start, url)

    def _fill(self, view: memoryview) -> None:
        done = 0
        while done < len(view):
            done += self._reader.readinto(view[done:])


def _read_first(store: Store, url: ObjectUrl) -> tuple[ObjectInfo, bytes]:
    """Return what the store says of an object, and its first bytes."""

    def read(body: Body) -> tuple[ObjectInfo, bytes]:
        return body.info, body.read(FIRST_BYTES)

    try:
        return read_with_retries(
            partial(store.get, url, ByteRange(0, FIRST_BYTES)), read, Attempts(store.retry_policy)
        )
    except RangeError as error:
        raise CheckpointError(
            f"{url} is not a sound safetensors file: it is empty", url=str(url)
        ) from error
