"""ShardFile: a tar shard as a binary file that is generated while it is read."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from aisio.errors import StorageError
from aisio.formats.checksums import HASHERS
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from aisio.records import Checksum
from aisio.shards.index import ShardIndex
from aisio.shards.pack_files import FolderFile, PackFile
from aisio.shards.sample_recorder import SampleRecorder
from aisio.shards.samples import split_name

__all__ = ["CHECKSUM_KIND", "OnPacked", "ShardFile"]

CHECKSUM_KIND = "xxhash2"

OnPacked: TypeAlias = Callable[[int, int], None]
"""Called with the bytes of each piece of a file, and with 1 if the file ends with it, else 0. What
it raises ends the read."""

_CHUNK_BYTES = 1024 * 1024


class ShardFile(io.RawIOBase):
    """A tar shard of some files, generated while it is read; its size is known before.

    A store that must send it again reads it again after seek(0), and seek(0, SEEK_END) returns its
    size; other seeks are not supported. Its index is taken down at the same time.

    Args:
        folder: Where the files are.
        members: The files, in order, those of one sample next to each other.
        size_bytes: Size of the whole archive.
        on_packed: See `OnPacked`.

    Raises:
        StorageError: While reading: a file does not exist, has another size than its member, or is
            written to.
    """

    def __init__(
        self,
        folder: Path,
        members: Sequence[PackFile],
        size_bytes: int,
        *,
        on_packed: OnPacked | None = None,
    ) -> None:
        super().__init__()
        self._folder = str(folder)
        self._members = members
        self._size = size_bytes
        self._on_packed = on_packed
        self._position = 0
        self._reported = 0
        self._restart()

    def _restart(self) -> None:
        self._piece = 0
        self._recorder = SampleRecorder()
        self._pieces = self._archive()
        self._rest: bytes | memoryview = b""
        self._hasher = HASHERS[CHECKSUM_KIND]()
        self._generated = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to the start, to the end, or stay.

        Raises:
            UnsupportedOperation: The target is elsewhere.
        """
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        target = base + offset
        if target == 0:
            self._restart()
        elif target not in (self._position, self._size):
            raise io.UnsupportedOperation("a shard that is being made cannot seek into its middle")
        self._position = target
        return target

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer, or less at the archive's end; errors as for the class."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        """Return so many bytes, or less at the archive's end; errors as for the class."""
        if self._position != self._generated:
            return b""
        left = self._size if size is None or size < 0 else size
        parts = []
        while left and (piece := self._rest or next(self._pieces, b"")):
            part, self._rest = piece, b""
            if len(piece) > left:
                view = memoryview(piece)
                part, self._rest = view[:left], view[left:]
            left -= len(part)
            parts.append(part)
        data = b"".join(parts)
        self._hasher.update(data)
        self._generated += len(data)
        self._position += len(data)
        return data

    def checksum(self) -> Checksum:
        """Return the checksum of the archive.

        Raises:
            ValueError: The archive has not been read to its end.
        """
        self._check_end()
        return Checksum(CHECKSUM_KIND, self._hasher.hexdigest())

    def index(self, url: str, pin: str) -> ShardIndex:
        """Return the index of the archive; errors as for `checksum`.

        Args:
            url: The shard's URL.
            pin: What tells its version; see `aisio.shards.index_pins`.
        """
        self._check_end()
        return self._recorder.finish(url, pin)

    def _check_end(self) -> None:
        if self._generated != self._size:
            raise ValueError(f"only {self._generated:,} of {self._size:,} bytes have been read")

    def _archive(self) -> Iterator[bytes]:
        recorder, key = self._recorder, None
        for member in self._members:
            name, size = member.name, member.size_bytes
            split = split_name(name)
            assert split is not None, name
            if split[0] != key:
                key = split[0]
                recorder.begin(key)
            data = header(name, size)
            recorder.update(data)
            yield data
            for data in self._payload(member):
                recorder.update(data)
                yield data
            if data := padding(size):
                recorder.update(data)
                yield data
        yield END_OF_ARCHIVE

    def _payload(self, member: PackFile) -> Iterator[bytes]:
        if not isinstance(member, FolderFile):
            if member.data:
                yield member.data
            self._report(member.size_bytes, 1)
            return
        path = f"{self._folder}/{member.name}"
        try:
            yield from self._chunks(path, member)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"pack {path}: {error.strerror or error}") from error

    def _chunks(self, path: str, member: FolderFile) -> Iterator[bytes]:
        """Yield the content of a file, which must have as many bytes as the plan says."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            left = member.size_bytes
            # What fits into one read is as it was at one time.
            is_long = left > _CHUNK_BYTES
            written_ns = os.fstat(descriptor).st_mtime_ns if is_long else 0
            while left > _CHUNK_BYTES:
                chunk = os.read(descriptor, _CHUNK_BYTES)
                if not chunk:
                    raise _changed(path, member, descriptor)
                left -= len(chunk)
                self._report(len(chunk), 0)
                yield chunk
            # One byte more, so that a file that has grown shows.
            chunk = os.read(descriptor, left + 1)
            while len(chunk) < left and (more := os.read(descriptor, left + 1 - len(chunk))):
                chunk += more
            if len(chunk) != left or (is_long and os.fstat(descriptor).st_mtime_ns != written_ns):
                raise _changed(path, member, descriptor)
            self._report(left, 1)
            if chunk:
                yield chunk
        finally:
            os.close(descriptor)

    def _report(self, size_bytes: int, files: int) -> None:
        self._piece += 1
        if self._on_packed is None:
            return
        if self._piece > self._reported:
            self._reported = self._piece
            self._on_packed(size_bytes, files)
        else:  # it is read again
            self._on_packed(0, 0)


def _changed(path: str, member: FolderFile, descriptor: int) -> StorageError:
    size_bytes, received = os.fstat(descriptor).st_size, os.lseek(descriptor, 0, os.SEEK_CUR)
    if received > member.size_bytes:  # files of /proc have no size, and bytes all the same
        size_bytes = max(size_bytes, received)
    return StorageError(
        f"pack {path}: the file changed meanwhile: it had {member.size_bytes:,} bytes at first and"
        f" has {size_bytes:,} now; pack it again when nothing writes to it"
    )
