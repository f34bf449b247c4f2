"""Targets: where the bytes of a body go, several parts at once: memory or a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from aisio.errors import ConfigError
from aisio.transport.body import READ_PIECE_BYTES, Body


class Target(Protocol):
    """Takes bytes at any offset, from several threads at once."""

    def reserve(self, size_bytes: int | None, url: str) -> None:
        """Empty the target and make space.

        Args:
            size_bytes: The number of bytes to come; None where it is not known.
            url: What errors name.
        """

    def fill(self, body: Body, start: int, stop: int | None, count: Callable[[int], None]) -> int:
        """Read a body to its end, and write it from an offset on; return the number of bytes.

        Args:
            body: The open body.
            start: The offset.
            stop: The offset at which the space for this body ends; None for no end.
            count: Called with the size of each piece.
        """

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield what was written to [start, stop), for the checksum."""


class BufferTarget:
    """The caller's own memory.

    Args:
        buffer: Any writable, contiguous buffer.

    Raises:
        ConfigError: The buffer is read-only or not contiguous.
    """

    def __init__(self, buffer: Any) -> None:
        try:
            self.view = memoryview(buffer).cast("B")
        except TypeError as error:
            raise ConfigError(f"into={type(buffer).__name__}: {error}") from error
        if self.view.readonly:
            raise ConfigError(f"into={type(buffer).__name__}: the buffer is read-only")

    def reserve(self, size_bytes: int | None, url: str) -> None:
        """See `Target.reserve`.

        Raises:
            ConfigError: The buffer is too small.
        """
        if size_bytes is not None and size_bytes > len(self.view):
            raise ConfigError(
                f"GET {url}: {size_bytes:,} bytes do not fit into a buffer of {len(self.view):,}"
            )

    def fill(self, body: Body, start: int, stop: int | None, count: Callable[[int], None]) -> int:
        """See `Target.fill`."""
        stop = len(self.view) if stop is None else stop
        position = start
        while position < stop and (size := body.readinto(self.view[position:stop])):
            position += size
            count(size)
        return position - start

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """See `Target.pieces`."""
        yield self.view[start:stop]


class FileTarget:
    """An open file; offsets count from its start.

    Args:
        descriptor: The descriptor of a regular file that is open for reading and writing.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def reserve(self, size_bytes: int | None, url: str) -> None:
        """See `Target.reserve`; where the file system cannot allocate, the size alone is set.

        Raises:
            OSError: No space is left.
        """
        os.ftruncate(self._descriptor, 0)
        if not size_bytes:
            return
        try:
            os.posix_fallocate(self._descriptor, 0, size_bytes)
        except (AttributeError, OSError) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            os.ftruncate(self._descriptor, size_bytes)

    def fill(self, body: Body, start: int, stop: int | None, count: Callable[[int], None]) -> int:
        """See `Target.fill`."""
        piece = memoryview(bytearray(READ_PIECE_BYTES))
        position = start
        while stop is None or position < stop:
            wanted = len(piece) if stop is None else min(len(piece), stop - position)
            size = body.readinto(piece[:wanted])
            if not size:
                break
            self._write(piece[:size], position)
            position += size
            count(size)
        return position - start

    def _write(self, data: memoryview, offset: int) -> None:
        while data:
            written = os.pwrite(self._descriptor, data, offset)
            data, offset = data[written:], offset + written

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """See `Target.pieces`; the bytes are read back, mostly from the system's page cache."""
        piece = memoryview(bytearray(READ_PIECE_BYTES))
        while start < stop:
            wanted = min(len(piece), stop - start)
            size = os.preadv(self._descriptor, [piece[:wanted]], start)
            if not size:
                return  # another process has cut the file: the body finds that bytes are missing
            yield piece[:size]
            start += size
