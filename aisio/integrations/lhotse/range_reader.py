"""AISRangeReader: an object as a file that is read at offsets, with few requests.

Lhotse's indexed readers read a sample of a shard in pieces: a header of 512 bytes, the audio, the
next header, some JSON. A request for each would wait four times. So each request asks for some
bytes beyond those that are wanted:

    a read elsewhere               as many as the last sample had, at least 64 KiB
    reading on behind that         four times as many each time

and at most 1 MiB. What is left over is kept for the next read, see `block_cache`.
"""

from __future__ import annotations

import io
import weakref
from functools import partial
from types import TracebackType
from typing import Any

from aisio.client.client import Client
from aisio.errors import IntegrityError, RangeError
from aisio.integrations.lhotse.block_cache import Block, shared_blocks
from aisio.records import ByteRange, ObjectInfo
from aisio.stores import Store, store_for
from aisio.transport.body import Body, read_with_retries
from aisio.transport.parallel import read_bytes
from aisio.transport.retries import Attempts
from aisio.urls import ObjectUrl

__all__ = ["AISRangeReader"]

FIRST_WINDOW_BYTES = 64 * 1024
WINDOW_GROWTH = 4
MAX_WINDOW_BYTES = 1024 * 1024
"""From 1 MiB on, ranged requests in random order are as fast as whole shards that are streamed."""


class AISRangeReader:
    """An object as a seekable binary file: the class of this name in `lhotse.ais`.

    Reads are verified by their lengths, and an object that one request reads whole also by its
    checksum. If a connection breaks, the read goes on behind the last good byte. All reads are of
    one version of the object. Nothing is sent before the first read.

    A reader pickles with its position. After `close` it opens the object again at the next read, as
    Lhotse's own does. Threads that read at positions of their own need a reader each.

    Args:
        url: The object, in a cluster or any other store.
        client: The cluster; by default the one that AIS_ENDPOINT names.

    Raises:
        UrlError: It is not the URL of an object.
    """

    def __init__(self, url: str, *, client: Client | None = None) -> None:
        self._url = ObjectUrl.parse(str(url)).require_object()
        self._client = client
        self._position = 0
        self._start()

    def _start(self) -> None:
        self._store: Store | None = None
        self._info: ObjectInfo | None = None
        self._window = FIRST_WINDOW_BYTES
        self._run = range(0)  # the bytes that were read since the last seek
        self._blocks = shared_blocks  # as Lhotse closes it at exit, when modules are empty
        self._number = self._blocks.new_number()
        self._forget = weakref.finalize(self, self._blocks.drop, self._number)
        self._forget.atexit = False

    def __repr__(self) -> str:
        return f"AISRangeReader({str(self._url)!r})"

    @property
    def url(self) -> ObjectUrl:
        """The object."""
        return self._url

    @property
    def size(self) -> int:
        """The object's size in bytes.

        Raises:
            NotFoundError: There is no such object.
            IntegrityError: The store does not say how many bytes it has.
        """
        if self._info is None or self._info.size_bytes is None:
            self._look_up()
        assert self._info is not None
        if self._info.size_bytes is None:
            raise IntegrityError(
                f"HEAD {self._url}: the store does not say how many bytes the object has",
                url=str(self._url),
            )
        return self._info.size_bytes

    def _look_up(self) -> None:
        info = self._find_store().head(self._url)
        self._check_version(info)
        self._info = info

    def _find_store(self) -> Store:
        if self._store is None:
            self._store = store_for(self._url, self._client)
        return self._store

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return False."""
        return False

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, and return it; it may lie behind the end.

        Args:
            offset: In bytes.
            whence: From where: 0 the start, 1 the position, 2 the end.

        Raises:
            ValueError: The position would be below 0, or another `whence`.
        """
        if whence == io.SEEK_SET:
            position = int(offset)
        elif whence == io.SEEK_CUR:
            position = self._position + int(offset)
        elif whence == io.SEEK_END:
            position = self.size + int(offset)
        else:
            raise ValueError(f"{self._url}: whence={whence!r}: expected 0, 1 or 2")
        if position < 0:
            raise ValueError(f"{self._url}: seek to {position}: that is before the first byte")
        self._position = position
        return position

    def read(self, n: int | None = -1) -> bytes:
        """Return `n` bytes, or all that are left; fewer only at the object's end.

        Raises:
            NotFoundError: There is no such object.
            IntegrityError: The bytes are not those that the store promised, or the object was
                replaced since the first read.
        """
        if n is None or n < 0:
            n = max(0, self.size - self._position)
        if n == 0:
            return b""
        data = self._read(self._position, n)
        self._position += len(data)
        self._run = range(self._run.start, self._position)
        return data

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer, or as much of it as there are bytes; return their number."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _read(self, position: int, wanted: int) -> bytes:
        block = self._blocks.get(self._number)
        known = b""
        if block.start <= position <= block.stop:
            known = block.data[position - block.start : position - block.start + wanted]
        missing = wanted - len(known)
        if not missing or (known and self._ends_at(position + len(known))):
            return known
        reads_on = bool(block.data) and position + len(known) == block.stop
        rest = self._request(position + len(known), missing, reads_on=reads_on)
        return known + rest if known else rest

    def _ends_at(self, position: int) -> bool:
        return self._info is not None and self._info.size_bytes == position

    def _request(self, position: int, wanted: int, *, reads_on: bool) -> bytes:
        """Read bytes from a position on, and some more to keep; none behind the end."""
        if self._info is not None and position >= self.size:
            return b""
        self._window = self._next_window(wanted, reads_on=reads_on)
        if not reads_on:
            self._run = range(position, position)
        try:
            info, data = self._get(ByteRange(position, position + wanted + self._window))
        except RangeError:
            self._look_up()
            if position < self.size:
                raise
            return b""
        self._check_version(info)
        kept = 0 if len(data) <= 2 * MAX_WINDOW_BYTES else wanted
        self._blocks.put(self._number, Block(position + kept, data[kept:]))
        return data[:wanted]

    def _next_window(self, wanted: int, *, reads_on: bool) -> int:
        if not reads_on:
            window = len(self._run)
        elif wanted <= self._window:
            window = WINDOW_GROWTH * self._window
        else:
            window = FIRST_WINDOW_BYTES
        return max(FIRST_WINDOW_BYTES, min(window, MAX_WINDOW_BYTES))

    def _get(self, byte_range: ByteRange) -> tuple[ObjectInfo, bytes]:
        def read(body: Body) -> tuple[ObjectInfo, bytes]:
            return body.info, read_bytes(body)

        store = self._find_store()
        open_body = partial(store.get, self._url, byte_range)
        return read_with_retries(open_body, read, Attempts(store.retry_policy))

    def _check_version(self, info: ObjectInfo) -> None:
        """Remember which version is read.

        Raises:
            IntegrityError: It is another one than before.
        """
        if self._info is None:
            self._info = info
        elif not self._find_store().is_same(self._url, self._info, info):
            raise IntegrityError(
                f"GET {self._url}: the object was replaced while it was read; open it again, and"
                " make its index anew",
                url=str(self._url),
            )

    def close(self) -> None:
        """Forget what was read; the next read opens the object again."""
        self._store = self._info = None
        self._window = FIRST_WINDOW_BYTES
        self._run = range(0)
        self._blocks.drop(self._number)

    def __enter__(self) -> AISRangeReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self._url, "client": self._client, "position": self._position}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._url, self._client = state["url"], state["client"]
        self._position = state["position"]
        self._start()
