"""Upload: an object on its way in, before it has its name."""

# ruff: noqa: PTH108
# Paths are strings here: to make Path objects of them costs more than the system calls do.

from __future__ import annotations

import contextlib
import io
import os

from aisio.checksums import HASHERS, Hasher
from aisio.gateway.refusals import Refusal
from aisio.records import Checksum


class Upload:
    """Bytes on their way in: a temporary file and the checksums of what it holds so far.

    Args:
        path: The temporary file, made at the first write.
        claimed: The checksum that the client says the bytes have; None for none.

    Attributes:
        is_kept: The file outlives the request that brought it: it is a part of a larger upload.
    """

    def __init__(self, path: str, claimed: Checksum | None) -> None:
        self.path = path
        self.claimed = claimed
        self.is_kept = False
        self._file: io.FileIO | None = None
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

    def discard(self) -> None:
        """Remove the temporary file, if it is still there and nobody keeps it."""
        if self._file is not None and not self.is_kept:
            self._file.close()
            self.remove()

    def remove(self) -> None:
        """Remove the temporary file, if it is still there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def _open(self) -> io.FileIO:
        if self._file is None:
            self._file = io.FileIO(self.path, "xb")
        elif self._file.closed:
            self._file = io.FileIO(self.path, "ab")
        return self._file
