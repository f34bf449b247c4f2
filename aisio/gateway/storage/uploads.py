"""Upload: an object on its way in, before it has its name."""

# Names in an open folder, which pathlib has nothing for.

from __future__ import annotations

import contextlib
import io
import os
from typing import NamedTuple

from aisio.formats.checksums import HASHERS, Hasher
from aisio.gateway.protocol.refusals import Refusal
from aisio.records import Checksum

_MODE = 0o666


class Mark(NamedTuple):
    """How far an upload had come."""

    size_bytes: int
    own: Hasher
    other: Hasher


class Upload:
    """Bytes on their way in: a temporary file and the checksums of what it holds so far.

    Args:
        folder: Descriptor of the folder that the temporary file is in.
        name: What it is called there; it is made at the first write.
        claimed: The checksum that the client says the bytes have; None for none.

    Attributes:
        size_bytes: What it holds so far.
        is_kept: The file outlives the request that brought it: it is a part of a larger upload.
    """

    def __init__(self, folder: int, name: str, claimed: Checksum | None) -> None:
        self.folder = folder
        self.name = name
        self.claimed = claimed
        self.is_kept = False
        self._file: io.FileIO | None = None
        self.size_bytes = 0
        self._own = HASHERS["xxhash2"]()
        self._other: Hasher = self._own
        if claimed is not None and claimed.kind != "xxhash2":
            self._other = HASHERS[claimed.kind]()

    def write(self, pieces: list[bytes]) -> None:
        """Take in the next bytes."""
        file = self._open()
        for piece in pieces:
            self._own.update(piece)
            if self._other is not self._own:
                self._other.update(piece)
            view = memoryview(piece)
            while view:
                view = view[file.write(view) :]
            self.size_bytes += len(piece)

    def mark(self) -> Mark:
        """Return the present state, to come back to."""
        own = self._own.copy()
        return Mark(self.size_bytes, own, own if self._other is self._own else self._other.copy())

    def go_back(self, mark: Mark) -> None:
        """Drop all that has come since a mark.

        Raises:
            OSError: The file cannot be cut; the upload is of no more use.
        """
        with self._open() as file:
            file.truncate(mark.size_bytes)
        self.size_bytes, self._own, self._other = mark

    def finish(self, url: str) -> tuple[os.stat_result, str]:
        """Close the file; return its status and XXH64.

        Raises:
            Refusal: The bytes are not the ones the client claims.
        """
        with self._open() as file:
            status = os.fstat(file.fileno())
        found = self._other.hexdigest()
        if self.claimed is not None and self.claimed.value != found:
            detail = f"{self.claimed.kind}({self.claimed.value} != {found})"
            message = f"BAD DATA CHECKSUM: {detail} (context: {url})"
            raise Refusal(500, message, tcode="ErrBadCksum")
        return status, self._own.hexdigest()

    def pause(self) -> None:
        """Close the file until the next write."""
        self._open().close()

    def read(self) -> io.FileIO:
        """Open the finished file for reading; its position is the reader's own."""
        return io.FileIO(self.name, "rb", opener=self._open_name)

    def discard(self) -> None:
        """Remove the temporary file, if it is still there and nobody keeps it."""
        if self._file is not None and not self.is_kept:
            self._file.close()
            self.remove()

    def remove(self) -> None:
        """Remove the temporary file, if it is still there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self.folder)

    def _open(self) -> io.FileIO:
        if self._file is None:
            self._file = io.FileIO(self.name, "xb", opener=self._open_name)
        elif self._file.closed:
            self._file = io.FileIO(self.name, "ab", opener=self._open_again)
        return self._file

    def _open_again(self, name: str, flags: int) -> int:
        return self._open_name(name, flags & ~os.O_CREAT)

    def _open_name(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE, dir_fd=self.folder)
