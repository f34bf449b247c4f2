"""Compressed files -> their bytes, read forwards in constant memory and up to a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aisio.errors import ArchiveError, ShardError
from aisio.formats.decompress import (
    MAGIC_BYTES,
    Decompressed,
    ReadIntoStream,
    compression_of,
)

__all__ = ["PIECE_BYTES", "ForwardReader", "Limits", "compare_file", "opened", "write_file"]

PIECE_BYTES = 1024 * 1024
_GIB = 1024**3


@dataclass(frozen=True)
class Limits:
    """The most that an archive or a compressed file may unpack to.

    Attributes:
        max_members: Files, folders and links.
        min_bytes_per_member: Of the archive; a million empty files can be made of a few KB.
        min_members: So many members are let through however small the archive is.
        max_ratio: Bytes for each byte of the archive; gzip makes at most 1,032 of one.
        min_bytes: So many bytes are let through whatever the ratio is.
    """

    max_members: int = 10_000_000
    min_bytes_per_member: int = 4
    min_members: int = 100_000
    max_ratio: int = 200
    min_bytes: int = 16 * _GIB

    def most_members(self, path: Path) -> int:
        """Return how many members a file may unpack to."""
        by_size = path.stat().st_size // self.min_bytes_per_member
        return min(self.max_members, max(self.min_members, by_size))

    def most_bytes(self, path: Path) -> int:
        """Return how many bytes a file may unpack to."""
        return max(self.min_bytes, self.max_ratio * path.stat().st_size)


class ForwardReader:
    """A stream that is read forwards, as the file object that tarfile wants.

    Args:
        stream: Where the bytes come from, up to its end.
        path: Of the archive, for errors.
        most_bytes: More of them are an error.
        skip: Moves the stream by so many bytes and more quickly than reading does, where it can.
    """

    def __init__(
        self,
        stream: ReadIntoStream,
        path: Path,
        *,
        most_bytes: int,
        skip: Callable[[int], object] | None = None,
    ) -> None:
        self._stream = stream
        self._path = path
        self._most_bytes = most_bytes
        self._skip = skip
        self._position = 0
        self._ahead = b""
        self.last = b""
        """What the last read returned."""

    def tell(self) -> int:
        """Return how many bytes lie before the next one."""
        return self._position

    def seek(self, position: int) -> int:
        """Go forwards, or back to the last byte that was read: tarfile looks whether it is there.

        Raises:
            ArchiveError: The archive would have it read backwards, or beyond the limit.
        """
        if position == self._position - 1 and self.last and not self._ahead:
            self._ahead = self.last[-1:]
            self._position = position
        self._check(position)
        count = position - self._position
        if count < 0:
            raise ArchiveError(f"{self._path}: damaged: a member would begin before its header")
        if count and self._skip is not None and not self._ahead:
            self._skip(count)
            self._position, self.last = position, b""
        while self._position < position and self.read(min(PIECE_BYTES, position - self._position)):
            pass
        return self._position

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer only at the end.

        Raises:
            ArchiveError: It is damaged, or holds more than the limit.
        """
        if size > PIECE_BYTES:
            raise ArchiveError(f"{self._path}: a header of {size} bytes, over 1 MiB: it is damaged")
        view = memoryview(bytearray(size))
        start = len(self._ahead) if size else 0
        if start:
            view[:start], self._ahead = self._ahead, b""
        while start < size and (count := self._readinto(view[start:])):
            start += count
        self.last = view[:start].tobytes()
        self._check(self._position + start)
        self._position += start
        return self.last

    def pieces(self, size_bytes: int) -> Iterator[bytes]:
        """Yield the next so many bytes.

        Raises:
            ArchiveError: There are fewer.
        """
        left = size_bytes
        while left:
            data = self.read(min(PIECE_BYTES, left))
            if not data:
                raise ArchiveError(
                    f"{self._path}: cut at byte {self._position}: {left} bytes of a member are "
                    "missing; load it again"
                )
            left -= len(data)
            yield data

    def _readinto(self, view: memoryview) -> int:
        try:
            return self._stream.readinto(view) or 0
        except ShardError as error:
            text = str(error).removesuffix("; write or copy the shard again")
            raise ArchiveError(f"{text}; load it again") from error

    def _check(self, position: int) -> None:
        if position > self._most_bytes:
            raise ArchiveError(
                f"{self._path}: unpacks to more than {self._most_bytes:,} bytes, the limit for a "
                "file of its size; if it is to be trusted, say unpack: false or decompress: false "
                "in the catalog and unpack it by hand"
            )


@contextmanager
def opened(path: Path, limits: Limits, compression: str | None = None) -> Iterator[ForwardReader]:
    """Open what a file decompresses to.

    Args:
        path: The file.
        limits: The most that may come.
        compression: "gzip", "bzip2" or "xz", which it must be; without it what its first bytes
            say, also none.

    Raises:
        ArchiveError: It is damaged, something else, or over the limits.
    """
    most_bytes = limits.most_bytes(path)
    with path.open("rb") as file:
        found = compression_of(file.read(MAGIC_BYTES))
        file.seek(0)
        if compression is not None and found != compression:
            raise ArchiveError(
                f"{path}: not {compression} data, as its name says, but {found or 'something else'}"
            )
        if found:
            stream = Decompressed(found, b"", file, str(path))
            yield ForwardReader(stream, path, most_bytes=most_bytes)
        else:
            skip = _relative(file)
            yield ForwardReader(file, path, most_bytes=most_bytes, skip=skip)


def write_file(path: Path, compression: str, target: Path, limits: Limits) -> None:
    """Decompress a file to a new one.

    Raises:
        ArchiveError: It is damaged, or over the limits.
    """
    with opened(path, limits, compression) as content, target.open("xb") as out:
        while data := content.read(PIECE_BYTES):
            out.write(data)


def compare_file(path: Path, compression: str, target: Path, limits: Limits) -> bool:
    """Tell whether a file holds what another one decompresses to."""
    if target.is_symlink() or not target.is_file():
        return False
    with opened(path, limits, compression) as content, target.open("rb") as found:
        while data := content.read(PIECE_BYTES):
            if found.read(PIECE_BYTES) != data:
                return False
        return not found.read(1)


def _relative(file: BinaryIO) -> Callable[[int], object]:
    return lambda count: file.seek(count, 1)
