"""The files that fsspec is given: an object that is read, and one that is written."""

from __future__ import annotations

import io
from types import TracebackType
from typing import Any, cast

from fsspec.spec import AbstractBufferedFile

from aisio.transport.writer import ObjectWriter

__all__ = ["CachedFile", "WrittenFile"]


class CachedFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """An object that is read through one of fsspec's caches, such as "parts" or "all"."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return cast(bytes, self.fs.cat_file(self.path, start=start, end=end))


class WrittenFile(io.BufferedIOBase):
    """An object that is being written.

    It appears when the file is closed or, in a transaction, when that ends. If the block of a
    `with` statement raises, nothing is stored, in a transaction too.

    Args:
        writer: Sends the bytes.
        path: What fsspec calls it.
        is_deferred: Whether it waits for `commit` when it is closed.
        on_stored: Called when the object is stored.
    """

    def __init__(
        self, writer: ObjectWriter, path: str, *, is_deferred: bool, on_stored: Any
    ) -> None:
        self.path = path
        self._writer = writer
        self._is_deferred = is_deferred
        self._on_stored = on_stored

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any, /) -> int:
        """Write all bytes, and return their number."""
        if self.closed:
            raise ValueError(f"{self._writer.url}: write to a closed file")
        return self._writer.write(data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._writer.tell()

    def close(self) -> None:
        """Store the object; in a transaction, keep it back until that ends."""
        if self.closed:
            return
        super().close()
        if not self._is_deferred:
            self.commit()

    def commit(self) -> None:
        """Store the object, as a transaction does at its end. An aborted one is left out."""
        if not self._writer.closed:
            self._writer.close()
            self._on_stored()

    def discard(self) -> None:
        """Drop what was written, as a transaction does that fails."""
        self._writer.abort()
        super().close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; if the block raised, drop it."""
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        """Leave it to the writer: `io.IOBase` would store a part of the object."""
