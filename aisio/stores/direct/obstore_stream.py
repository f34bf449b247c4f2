"""ObstoreStream: a response of obstore as a binary stream."""

from __future__ import annotations

import os
from math import inf
from time import perf_counter
from typing import Any

from aisio.errors import UnavailableError
from aisio.stores.direct.errors import translate_errors
from aisio.stores.direct.obstore_forks import never_free
from aisio.transport.low_speed import FLUSH_SLOW_DATA_AFTER_S
from aisio.urls import ObjectUrl

__all__ = ["ObstoreStream"]


class ObstoreStream:
    """obstore's stream of chunks as a binary stream; see `aisio.transport.body.RawResponse`.

    A forked child can only close it: the `Body` around it refuses to read there.

    Args:
        stream: obstore's iterator over chunks.
        url: The object, for errors.
    """

    def __init__(self, stream: Any, url: ObjectUrl) -> None:
        self._stream = stream
        self._url = url
        self._pid = os.getpid()
        self._unread = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, all by default; fewer at the end, or if they come slowly."""
        parts: list[bytes | memoryview] = []
        missing, until_s = size, inf if size < 0 else perf_counter() + FLUSH_SLOW_DATA_AFTER_S
        while missing and (chunk := self._chunk()):
            used = len(chunk) if size < 0 else min(missing, len(chunk))
            self._unread = chunk[used:]
            parts.append(chunk[:used])
            missing -= used
            if missing and perf_counter() > until_s:
                break
        # The object behind a view is the chunk itself: a chunk that fits whole is not copied.
        if len(parts) == 1 and isinstance(whole := memoryview(parts[0]).obj, bytes):
            return whole if len(whole) == len(parts[0]) else bytes(parts[0])
        return b"".join(parts)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end."""
        chunk = self._chunk()
        count = min(len(buffer), len(chunk))
        buffer[:count] = chunk[:count]
        self._unread = chunk[count:]
        return count

    def _chunk(self) -> memoryview:
        if self._unread:
            return self._unread
        try:
            with translate_errors("GET", self._url):
                return memoryview(next(self._stream, b""))
        except UnavailableError:
            # An early end: `Body`, which counts the bytes, can say more than "connection reset".
            return memoryview(b"")

    def close(self) -> None:
        """Release the connection."""
        if os.getpid() != self._pid:
            never_free(self._stream)
        self._unread, self._stream = memoryview(b""), iter(())
