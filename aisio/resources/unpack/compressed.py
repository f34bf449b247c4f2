"""Decompress files: read forwards, in constant memory, and up to a limit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from aisio.errors import ArchiveError, ShardError
from aisio.formats.decompress import (
    MAGIC_BYTES,
    Decompressed,
    ReadIntoStream,
    compression_of,
)

__all__ = [
    "PIECE_BYTES",
    "ForwardReader",
    "Limits",
    "compare_decompressed",
    "decompress_file",
    "open_decompressed",
]

PIECE_BYTES = 1024 * 1024
_GIB = 1024**3


@dataclass(frozen=True)
class Limits:
    """How much an archive or a compressed file may unpack to.

    Attributes:
        max_members: Files, folders and links.
        min_bytes_per_member: Bytes of the archive for each member: a few KB can hold a million
            empty files.
        min_members: So many members are always allowed, however small the archive is.
        max_ratio: Bytes for each byte of the archive; gzip reaches at most 1,032.
        min_bytes: So many bytes are always allowed, whatever the ratio is.
    """

    max_members: int = 10_000_000
    min_bytes_per_member: int = 4
    min_members: int = 100_000
    max_ratio: int = 200
    min_bytes: int = 16 * _GIB

    def max_members_of(self, path: Path) -> int:
        """Return how many members a file may unpack to."""
        by_size = path.stat().st_size // self.min_bytes_per_member
        return min(self.max_members, max(self.min_members, by_size))

    def max_bytes_of(self, path: Path) -> int:
        """Return how many bytes a file may unpack to."""
        return max(self.min_bytes, self.max_ratio * path.stat().st_size)


class ForwardReader:
    """A stream that is read forwards, as a file object for tarfile.

    Args:
        stream: The stream, read to its end.
        path: The archive, for errors.
        max_bytes: More bytes than this are an error.
        skip: Skips so many bytes of the stream, faster than reading them; None if it cannot.
    """

    def __init__(
        self,
        stream: ReadIntoStream,
        path: Path,
        *,
        max_bytes: int,
        skip: Callable[[int], object] | None = None,
    ) -> None:
        self._stream = stream
        self._path = path
        self._max_bytes = max_bytes
        self._skip = skip
        self._position = 0
        self._pushed_back = b""
        self.last = b""
        """The bytes that the last `read` returned."""

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seek(self, position: int) -> int:
        """Move forwards, or back by one byte: tarfile reads the last byte of a member again.

        Raises:
            ArchiveError: The archive would make it read backwards, or beyond the limit.
        """
        if position == self._position - 1 and self.last and not self._pushed_back:
            self._pushed_back = self.last[-1:]
            self._position = position
        self._check_limit(position)
        count = position - self._position
        if count < 0:
            raise ArchiveError(f"{self._path}: damaged: a member would begin before its header")
        if count and self._skip is not None and not self._pushed_back:
            self._skip(count)
            self._position, self.last = position, b""
        while self._position < position and self.read(min(PIECE_BYTES, position - self._position)):
            pass
        return self._position

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer only at the end.

        Raises:
            ArchiveError: The archive is damaged, or holds more than the limit.
        """
        if size > PIECE_BYTES:
            raise ArchiveError(f"{self._path}: a header of {size} bytes, over 1 MiB: it is damaged")
        view = memoryview(bytearray(size))
        filled = len(self._pushed_back) if size else 0
        if filled:
            view[:filled], self._pushed_back = self._pushed_back, b""
        while filled < size and (count := self._readinto(view[filled:])):
            filled += count
        self.last = view[:filled].tobytes()
        self._check_limit(self._position + filled)
        self._position += filled
        return self.last

    def pieces(self, size_bytes: int) -> Iterator[bytes]:
        """Yield so many of the next bytes, in pieces.

        Raises:
            ArchiveError: There are fewer.
        """
        remaining = size_bytes
        while remaining:
            data = self.read(min(PIECE_BYTES, remaining))
            if not data:
                raise ArchiveError(
                    f"{self._path}: cut at byte {self._position}: {remaining} bytes of a member "
                    "are missing; load it again"
                )
            remaining -= len(data)
            yield data

    def _readinto(self, view: memoryview) -> int:
        try:
            return self._stream.readinto(view) or 0
        except ShardError as error:
            text = str(error).removesuffix("; write or copy the shard again")
            raise ArchiveError(f"{text}; load it again") from error

    def _check_limit(self, position: int) -> None:
        if position > self._max_bytes:
            raise ArchiveError(
                f"{self._path}: unpacks to more than {self._max_bytes:,} bytes, the limit for a "
                "file of its size; if it is to be trusted, say unpack: false or decompress: false "
                "in the catalog and unpack it by hand"
            )


@contextmanager
def open_decompressed(
    path: Path, limits: Limits, compression: str | None = None
) -> Iterator[ForwardReader]:
    """Open the decompressed content of a file.

    Args:
        path: The file.
        limits: How much it may decompress to.
        compression: "gzip", "bzip2", "xz" or "zstd": the file must have it. Without it the first
            bytes of the file say which it has, if any.

    Raises:
        ArchiveError: It is damaged, has another compression, or is over the limits.
    """
    max_bytes = limits.max_bytes_of(path)
    with path.open("rb") as file:
        actual = compression_of(file.read(MAGIC_BYTES))
        file.seek(0)
        if compression not in (None, actual):
            raise ArchiveError(
                f"{path}: not {compression} data, as its name says, but "
                f"{actual or 'something else'}"
            )
        if actual:
            stream = Decompressed(actual, b"", file, str(path))
            yield ForwardReader(stream, path, max_bytes=max_bytes)
        else:
            skip = partial(_skip, file)
            yield ForwardReader(file, path, max_bytes=max_bytes, skip=skip)


def decompress_file(path: Path, compression: str, target: Path, limits: Limits) -> None:
    """Decompress a file to a new file.

    Raises:
        ArchiveError: It is damaged, or over the limits.
    """
    with open_decompressed(path, limits, compression) as content, target.open("xb") as out:
        while data := content.read(PIECE_BYTES):
            out.write(data)


def compare_decompressed(path: Path, compression: str, target: Path, limits: Limits) -> bool:
    """Return whether the target holds exactly what the file decompresses to."""
    if target.is_symlink() or not target.is_file():
        return False
    with open_decompressed(path, limits, compression) as content, target.open("rb") as existing:
        while data := content.read(PIECE_BYTES):
            if existing.read(PIECE_BYTES) != data:
                return False
        return not existing.read(1)


def _skip(file: BinaryIO, count: int) -> None:
    file.seek(count, os.SEEK_CUR)
