"""LocalUpload: a file whose parts are written to a temporary file beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from aisio.atomic_write import forget_partial, open_partial
from aisio.errors import IntegrityError, StorageError
from aisio.records import ObjectInfo

__all__ = ["LocalUpload"]


class LocalUpload:
    """A file in parts; see `aisio.transport.parallel_upload.PartTarget`.

    Args:
        path: The file.
        head: Returns what the store says of the file.
        translate: Makes a `with` block that turns an OSError into the store's error.
    """

    def __init__(
        self,
        path: Path,
        head: Callable[[], ObjectInfo],
        translate: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._path = path
        self._head = head
        self._translate = translate
        self._target = self._partial = path
        self._file: BinaryIO | None = None
        self._size_bytes = 0

    def put_whole(self, data: memoryview) -> ObjectInfo:
        """Write the whole file."""
        try:
            self.begin()
            self.hash(data)
            self.send(1, 0, data, lambda: False)
            return self.complete(1)
        except BaseException:
            self.abort()
            raise

    def begin(self) -> None:
        """See `PartTarget.begin`; folders that are missing are made."""
        with self._translate():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._target, self._partial, self._file = open_partial(self._path)

    def hash(self, part: memoryview) -> None:
        """See `PartTarget.hash`; a file system has no checksums, so only the size is counted."""
        self._size_bytes += len(part)

    def send(self, number: int, offset: int, part: memoryview, stopped: Callable[[], bool]) -> None:
        """See `PartTarget.send`."""
        assert self._file is not None
        with self._translate():
            while part:
                written = os.pwrite(self._file.fileno(), part, offset)
                part, offset = part[written:], offset + written

    def complete(self, count: int) -> ObjectInfo:
        """See `PartTarget.complete`: the bytes are on the disk before the file has its name.

        Raises:
            IntegrityError: Another program has changed the temporary file.
            StorageError: It cannot be flushed or renamed, as where no space is left.
        """
        assert self._file is not None
        with self._translate():
            os.fsync(self._file.fileno())
            size = os.fstat(self._file.fileno()).st_size
            if size != self._size_bytes:
                raise IntegrityError(
                    f"write {self._path}: {self._size_bytes:,} bytes were written, the temporary "
                    f"file has {size:,}: another program has changed it"
                )
            self._file.close()
            self._partial.replace(self._target)
            forget_partial(self._partial)
            _sync_folder(self._target.parent)
        self._file = None
        return self._head()

    def abort(self) -> None:
        """See `PartTarget.abort`."""
        if self._file is None:
            return
        self._file.close()
        try:
            self._partial.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"remove {self._partial}: {error.strerror or error}") from error
        forget_partial(self._partial)
        self._file = None


def _sync_folder(folder: Path) -> None:
    """Flush a folder, so that a new name in it outlives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
