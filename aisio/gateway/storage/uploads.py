"""Upload: an object that is being received, before it has its name."""

# Files are named in open folders (dir_fd), for which pathlib has no functions.

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Callable
from typing import NamedTuple

from aisio.formats.checksums import HASHERS, Hasher
from aisio.gateway.protocol.refusals import Refusal
from aisio.records import Checksum

_MODE = 0o666
_PIECE_BYTES = 1 << 20
_NOT_IN_KERNEL = {
    errno.EBADF,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EXDEV,
}
"""Errors of copy_file_range where a write may do what it cannot. EPERM is that of some containers.

Source: the Linux manual page copy_file_range(2)."""


class Mark(NamedTuple):
    """The state of an upload at some moment, to return to."""

    size_bytes: int
    xxhash: Hasher
    client_hasher: Hasher


class Upload:
    """A temporary file, and the checksums of what it holds so far.

    Args:
        folder_fd: Descriptor of the folder that the temporary file is in.
        name: Its name there; the file is made by the first write.
        expected: The checksum that the client says the bytes have; None for none.

    Attributes:
        size_bytes: What it holds so far.
        is_kept: The file outlives the request that brought it: it is a part of a larger upload.
    """

    def __init__(self, folder_fd: int, name: str, expected: Checksum | None) -> None:
        self.folder_fd = folder_fd
        self.name = name
        self.expected = expected
        self.is_kept = False
        self.size_bytes = 0
        self._file: io.FileIO | None = None
        self._xxhash = HASHERS["xxhash2"]()
        # The same object where the client's checksum is of that kind, so that it is computed once.
        self._client_hasher: Hasher = self._xxhash
        if expected is not None and expected.kind != "xxhash2":
            self._client_hasher = HASHERS[expected.kind]()

    def write(self, pieces: list[bytes]) -> None:
        """Append the next bytes."""
        file = self._open()
        for piece in pieces:
            self._update(piece)
            _write_all(file, memoryview(piece))

    def append(
        self,
        source: io.FileIO,
        start: int,
        stop: int,
        also: Callable[[list[bytes]], object] | None = None,
    ) -> None:
        """Append a range of a file; the system copies it, and may share its blocks instead.

        Args:
            source: The file, which nobody writes to meanwhile.
            start: The first byte of it.
            stop: One past the last.
            also: Called with each piece.

        Raises:
            EOFError: The file ends before.
        """
        file = self._open()
        while start < stop:
            piece = os.pread(source.fileno(), min(_PIECE_BYTES, stop - start), start)
            if not piece:
                raise EOFError(f"the file ends at byte {start:,} of {stop:,}")
            self._update(piece)
            if also is not None:
                also([piece])
            copied = _copy_in_kernel(source, start, file, len(piece))
            _write_all(file, memoryview(piece)[copied:])
            start += len(piece)

    def mark(self) -> Mark:
        """Return the present state, for one call of `rewind`."""
        xxhash = self._xxhash.copy()
        is_same = self._client_hasher is self._xxhash
        return Mark(self.size_bytes, xxhash, xxhash if is_same else self._client_hasher.copy())

    def rewind(self, mark: Mark) -> None:
        """Drop everything that was written since a mark.

        Raises:
            OSError: The file cannot be cut; the upload is of no more use.
        """
        with self._open() as file:
            file.truncate(mark.size_bytes)
        self.size_bytes, self._xxhash, self._client_hasher = mark

    def finish(self, url: str) -> tuple[os.stat_result, str]:
        """Close the file; return its status and XXH64.

        Raises:
            Refusal: The bytes do not have the checksum that the client sent.
        """
        with self._open() as file:
            status = os.fstat(file.fileno())
        actual = self._client_hasher.hexdigest()
        if self.expected is not None and self.expected.value != actual:
            detail = f"{self.expected.kind}({self.expected.value} != {actual})"
            message = f"BAD DATA CHECKSUM: {detail} (context: {url})"
            raise Refusal(500, message, tcode="ErrBadCksum")
        return status, self._xxhash.hexdigest()

    def pause(self) -> None:
        """Close the file until the next write."""
        self._open().close()

    def read(self) -> io.FileIO:
        """Open the finished file for reading, with a position of its own."""
        return io.FileIO(self.name, "rb", opener=self._open_name)

    def discard(self) -> None:
        """Remove the temporary file if it still exists, unless it is kept."""
        if self._file is not None and not self.is_kept:
            self._file.close()
            self.remove()

    def remove(self) -> None:
        """Remove the temporary file if it still exists."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self.folder_fd)

    def _update(self, piece: bytes) -> None:
        """Hash and count the next bytes."""
        self._xxhash.update(piece)
        if self._client_hasher is not self._xxhash:
            self._client_hasher.update(piece)
        self.size_bytes += len(piece)

    def _open(self) -> io.FileIO:
        if self._file is None:
            self._file = io.FileIO(self.name, "xb", opener=self._open_name)
        elif self._file.closed:
            self._file = io.FileIO(self.name, "ab", opener=self._open_existing)
        return self._file

    def _open_existing(self, name: str, flags: int) -> int:
        return self._open_name(name, flags & ~os.O_CREAT)

    def _open_name(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE, dir_fd=self.folder_fd)


def _copy_in_kernel(source: io.FileIO, start: int, file: io.FileIO, size_bytes: int) -> int:
    """Append bytes of a file to another by copy_file_range; return how many it copied."""
    copied = 0
    copy = getattr(os, "copy_file_range", None)  # of Linux
    while copy is not None and copied < size_bytes:
        try:
            count = copy(source.fileno(), file.fileno(), size_bytes - copied, start + copied)
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
            break
        if not count:
            break
        copied += count
    return copied


def _write_all(file: io.FileIO, view: memoryview) -> None:
    while view:
        view = view[file.write(view) :]
