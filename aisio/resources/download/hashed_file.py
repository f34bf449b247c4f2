"""A file that grows at its end, and that a second thread hashes while it is written.

Python releases its global lock while it reads from a socket, hashes, or writes. So with a thread
for the hash, a download takes as long as its slowest step, and not as long as all of them.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from aisio.resources.cache.own_files import open_or_create_file
from aisio.transport.body import READ_PIECE_BYTES

_MAX_BUFFERS = 4
_WRITE_BACK_BYTES = 16 * 1024 * 1024


class HashedFile:
    """A file that is written and hashed at the same time.

    Args:
        path: The file; it is created where there is none.
        algorithm: Name of the algorithm in hashlib.

    Attributes:
        size_bytes: Bytes that are hashed: since `restart`, or with those of `hash_existing`.

    Raises:
        OSError: It cannot be opened for writing.
    """

    def __init__(self, path: Path, algorithm: str) -> None:
        self._file = os.fdopen(open_or_create_file(path), "r+b", buffering=0)
        self._algorithm = algorithm
        self._hash = _HashThread(algorithm)
        self.size_bytes = 0
        self._write_back_started = 0

    def __enter__(self) -> HashedFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hash.hexdigest()
        self._file.close()

    def restart(self) -> None:
        """Start over with an empty file."""
        self._rewind()
        self._file.truncate(0)

    def hash_existing(self) -> None:
        """Read what the file holds once, for the hash; new bytes are appended to it."""
        self._rewind()
        self._hash_and_write(self._file.readinto, lambda data: None)

    def _rewind(self) -> None:
        self._hash.hexdigest()
        self._hash = _HashThread(self._algorithm)
        self._file.seek(0)
        self.size_bytes = self._write_back_started = 0

    def receive(
        self, readinto: Callable[[memoryview], int], on_progress: Callable[[int], object]
    ) -> None:
        """Append what a function reads until it returns 0; what it read before an error is kept.

        Args:
            readinto: Fills a prefix of a buffer and returns its length.
            on_progress: Called with `size_bytes` after each piece.

        Raises:
            OSError: It cannot be written.
        """

        def write(data: memoryview) -> None:
            while data:
                data = data[self._file.write(data) :]
            self._start_write_back()

        self._hash_and_write(readinto, write, on_progress)

    def _start_write_back(self) -> None:
        """Have the kernel start writing to the disk: a sync of the file then waits for less."""
        length = self.size_bytes - self._write_back_started
        if length >= _WRITE_BACK_BYTES and hasattr(os, "posix_fadvise"):
            # Linux starts to write the dirty pages, and does not wait for them.
            os.posix_fadvise(
                self._file.fileno(), self._write_back_started, length, os.POSIX_FADV_DONTNEED
            )
            self._write_back_started = self.size_bytes

    def _hash_and_write(
        self,
        readinto: Callable[[memoryview], int],
        write: Callable[[memoryview], None],
        on_progress: Callable[[int], object] = lambda size_bytes: None,
    ) -> None:
        while True:
            buffer, count = self._hash.free_buffer(), 0
            try:
                count = readinto(buffer)
            finally:
                self._hash.update(buffer, count)
            if not count:
                return
            # Meanwhile the thread hashes the same memory: both only read it.
            write(buffer[:count])
            self.size_bytes += count
            on_progress(self.size_bytes)

    def hexdigest(self) -> str:
        """Return the digest of all bytes; nothing can be appended after it until `restart`."""
        return self._hash.hexdigest()


class _HashThread:
    """A thread that hashes buffers in the order of `update`, and then frees them."""

    def __init__(self, algorithm: str) -> None:
        self._hasher = hashlib.new(algorithm, usedforsecurity=False)
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._filled: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
        self._buffer_count = 0
        self._thread: threading.Thread | None = None

    def free_buffer(self) -> memoryview:
        """Return a buffer for the next bytes; waits until one is free."""
        if self._free.empty() and self._buffer_count < _MAX_BUFFERS:
            self._buffer_count += 1
            return memoryview(bytearray(READ_PIECE_BYTES))
        return self._free.get()

    def update(self, buffer: memoryview, count: int) -> None:
        """Hash the first bytes of a buffer in the thread, and then free the buffer."""
        if not count:
            self._free.put(buffer)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="aisio-hash", daemon=True)
            self._thread.start()
        self._filled.put((buffer, count))

    def _run(self) -> None:
        while (piece := self._filled.get()) is not None:
            buffer, count = piece
            self._hasher.update(buffer[:count])
            self._free.put(buffer)

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far, and end the thread."""
        if self._thread is not None:
            self._filled.put(None)
            self._thread.join()
            self._thread = None
        return self._hasher.hexdigest()
