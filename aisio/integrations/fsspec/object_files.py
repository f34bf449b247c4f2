"""The files that fsspec is given: an object that is read, and one that is written."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from fsspec.core import OpenFile
from fsspec.spec import AbstractBufferedFile

from aisio.transport.stored_whole import StoredWhole
from aisio.transport.text_file import UnseekableText
from aisio.transport.writer import ObjectWriter

__all__ = ["CachedFile", "CompressedFile", "TextFile", "WrittenFile"]


class CachedFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """An object that is read through one of fsspec's caches, such as "parts" or "all".

    Args:
        fs: The file system.
        path: The object.
        read: Reads a range of the version that was opened.
        options: Those of fsspec, among them `size`.
    """

    def __init__(
        self, fs: Any, path: str, read: Callable[[str, int, int], bytes], **options: Any
    ) -> None:
        self._read_range = read
        super().__init__(fs, path, "rb", **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._read_range(self.path, start, end)


class _FsspecWritten(StoredWhole):
    """A file that fsspec writes."""

    def discard(self) -> None:
        """Do what `abort` does, under fsspec's name."""
        self.abort()


class WrittenFile(_FsspecWritten, io.BufferedIOBase):
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
        if _block_raised():
            self.abort()
            return
        super().close()
        if not self._is_deferred:
            self.commit()

    def commit(self) -> None:
        """Store the object, as a transaction does at its end. An aborted one is left out."""
        if not self._writer.closed:
            self._writer.close()
            self._on_stored()

    def abort(self) -> None:
        """Drop what was written, as a transaction does that fails."""
        self._writer.abort()
        super().close()


class CompressedFile(_FsspecWritten, io.BufferedIOBase):
    """Compresses what is written into another file, and closes that with itself.

    The compressors leave the file below them open.

    Args:
        file: Takes the compressed bytes.
        compress: Makes the compressor, as `fsspec.compression.compr` has them.
    """

    def __init__(self, file: WrittenFile, compress: Any) -> None:
        self._file = file
        self._compressor = compress(file, mode="w")

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any, /) -> int:
        """Compress all bytes, and return their number."""
        return cast(int, self._compressor.write(data))

    def close(self) -> None:
        """Store the object, as `WrittenFile.close` does."""
        if self.closed:
            return
        super().close()
        try:
            self._compressor.close()
        except BaseException:
            self._file.abort()
            raise
        self._file.close()

    def abort(self) -> None:
        """Drop what was written."""
        self._close_compressor()
        self._file.abort()
        super().close()

    def __del__(self) -> None:
        """Close the compressor, which would report an error if it could not write any more.

        The file below stores nothing, as it is not closed.
        """
        self._close_compressor()

    def _close_compressor(self) -> None:
        with suppress(Exception):  # its last bytes are dropped with the rest
            self._compressor.close()


class TextFile(_FsspecWritten, UnseekableText):
    """Text that is written into a `WrittenFile` or `CompressedFile`, stored or dropped as those."""

    def abort(self) -> None:
        """Drop what was written."""
        cast("WrittenFile | CompressedFile", self.buffer).abort()


_CLOSE = OpenFile.close.__code__
_EXIT = OpenFile.__exit__.__code__


def _block_raised() -> bool:
    """Tell whether fsspec closes a file because the block of `with fsspec.open(...)` raised.

    Its `OpenFile` is told so, but closes the file as at any other end of the block.
    """
    closing = sys._getframe(1).f_back
    if closing is None or closing.f_code is not _CLOSE or closing.f_back is None:
        return False
    leaving = closing.f_back
    return leaving.f_code is _EXIT and any(leaving.f_locals.get("args", ()))
