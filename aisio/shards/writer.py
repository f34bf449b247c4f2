"""ShardFile: a tar shard as a binary file that is generated while it is read."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from aisio.errors import StorageError
from aisio.formats.checksums import HASHERS
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from aisio.records import Checksum

_CHUNK_BYTES = 1024 * 1024
_CHECKSUM = "xxhash2"


class ShardMember(Protocol):
    """A file that goes into a shard."""

    @property
    def name(self) -> str:
        """Path from the folder; also the member's name."""

    @property
    def size_bytes(self) -> int:
        """Size of the file."""


class ShardFile(io.RawIOBase):
    """A tar shard of some files, generated while it is read; its size is known before.

    A store that must send it again reads it again after seek(0), and seek(0, SEEK_END) returns its
    size; other seeks are not supported.

    Args:
        folder: Where the files are.
        members: The files, in order.
        size_bytes: Size of the whole archive.

    Raises:
        StorageError: While reading: a file does not exist, or has another size than its member.
    """

    def __init__(self, folder: Path, members: Sequence[ShardMember], size_bytes: int) -> None:
        super().__init__()
        self._folder = folder
        self._members = members
        self._size = size_bytes
        self._position = 0
        self._restart()

    def _restart(self) -> None:
        self._pieces = self._archive()
        self._piece = memoryview(b"")
        self._hasher = HASHERS[_CHECKSUM]()
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
        if self._position != self._generated:
            return 0
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._load_piece():
            part = self._piece[: len(view) - done]
            view[done : done + len(part)] = part
            self._piece = self._piece[len(part) :]
            done += len(part)
        self._hasher.update(view[:done])
        self._generated += done
        self._position += done
        return done

    def _load_piece(self) -> bool:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._piece = memoryview(piece)
        return True

    def checksum(self) -> Checksum:
        """Return the checksum of the archive.

        Raises:
            ValueError: The archive has not been read to its end.
        """
        if self._generated != self._size:
            raise ValueError(f"only {self._generated:,} of {self._size:,} bytes have been read")
        return Checksum(_CHECKSUM, self._hasher.hexdigest())

    def _archive(self) -> Iterator[bytes]:
        for member in self._members:
            yield header(member.name, member.size_bytes)
            yield from self._payload(member)
            yield padding(member.size_bytes)
        yield END_OF_ARCHIVE

    def _payload(self, member: ShardMember) -> Iterator[bytes]:
        path = self._folder / member.name
        try:
            with path.open("rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != member.size_bytes:
                    raise _changed(path, member, file)
                yield from _chunks(path, member, file)
        except OSError as error:
            raise StorageError(f"pack {path}: {error.strerror or error}") from error


def _chunks(path: Path, member: ShardMember, file: io.FileIO) -> Iterator[bytes]:
    remaining = member.size_bytes
    while remaining:
        chunk = file.read(min(remaining, _CHUNK_BYTES))
        if not chunk:
            raise _changed(path, member, file)
        remaining -= len(chunk)
        yield chunk
    if file.read(1):
        raise _changed(path, member, file)


def _changed(path: Path, member: ShardMember, file: io.FileIO) -> StorageError:
    size_bytes = os.fstat(file.fileno()).st_size
    return StorageError(
        f"pack {path}: the file had {member.size_bytes:,} bytes at first and has {size_bytes:,}"
        " now; pack it again when nothing writes to it"
    )
