"""Where a body is read to, several parts at once: memory or a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from aisio.errors import ConfigError
from aisio.transport.body import READ_PIECE_BYTES, Body


class Target(Protocol):
    """Where bytes go, at any offset and from several threads at once."""

    def reserve(self, size_bytes: int | None, about: str) -> None:
        """Begin anew, with room for so many bytes; None is unknown. Errors are about this URL."""

    def fill(self, body: Body, start: int, stop: int | None, tell: Callable[[int], None]) -> int:
        """Read a body out to offset `start`, telling the size of each piece; return their sum.

        At `stop` there is no more room; None is without bound.
        """

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Give back what was written to [start, stop), for the checksum."""


class BufferTarget:
    """The caller's own memory.

    Args:
        buffer: Any writable, contiguous buffer.

    Raises:
        ConfigError: It is neither.
    """

    def __init__(self, buffer: Any) -> None:
        try:
            self.view = memoryview(buffer).cast("B")
        except TypeError as error:
            raise ConfigError(f"into={type(buffer).__name__}: {error}") from error
        if self.view.readonly:
            raise ConfigError(f"into={type(buffer).__name__}: the buffer is read-only")

    def reserve(self, size_bytes: int | None, about: str) -> None:
        """See `Target.reserve`.

        Raises:
            ConfigError: The buffer is too small.
        """
        if size_bytes is not None and size_bytes > len(self.view):
            raise ConfigError(
                f"GET {about}: {size_bytes:,} bytes do not fit into a buffer of {len(self.view):,}"
            )

    def fill(self, body: Body, start: int, stop: int | None, tell: Callable[[int], None]) -> int:
        """See `Target.fill`."""
        stop = len(self.view) if stop is None else stop
        position = start
        while position < stop and (count := body.readinto(self.view[position:stop])):
            position += count
            tell(count)
        return position - start

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """See `Target.pieces`."""
        yield self.view[start:stop]


class FileTarget:
    """An open file, written at offsets counted from its start.

    Args:
        descriptor: Of a regular file, open for reading and writing.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def reserve(self, size_bytes: int | None, about: str) -> None:
        """See `Target.reserve`; a file system that cannot set room aside is taken as it is.

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

    def fill(self, body: Body, start: int, stop: int | None, tell: Callable[[int], None]) -> int:
        """See `Target.fill`."""
        piece = memoryview(bytearray(READ_PIECE_BYTES))
        position = start
        while stop is None or position < stop:
            room = len(piece) if stop is None else min(len(piece), stop - position)
            count = body.readinto(piece[:room])
            if not count:
                break
            self._write(piece[:count], position)
            position += count
            tell(count)
        return position - start

    def _write(self, data: memoryview, offset: int) -> None:
        while data:
            written = os.pwrite(self._descriptor, data, offset)
            data, offset = data[written:], offset + written

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """See `Target.pieces`; it is read back from where the system keeps it, mostly memory."""
        piece = memoryview(bytearray(READ_PIECE_BYTES))
        while start < stop:
            room = min(len(piece), stop - start)
            count = os.preadv(self._descriptor, [piece[:room]], start)
            if not count:
                return  # cut by someone else: the count of bytes will tell
            yield piece[:count]
            start += count
