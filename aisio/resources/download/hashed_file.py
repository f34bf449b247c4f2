"""A file that grows at its end and is hashed by a second thread while it is written.

Reading from a socket, hashing and writing all let other threads run: with a thread for the hash, a
download takes the time of its slower half and not of both.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from aisio.resources.cache.own_files import own_file
from aisio.transport.body import READ_PIECE_BYTES

_BUFFERS = 4
_WRITE_BACK_BYTES = 16 * 1024 * 1024


class HashedFile:
    """One file, written and hashed at once.

    Args:
        path: The file; it is made where there is none.
        algorithm: As hashlib names it.

    Attributes:
        size_bytes: Bytes that count: of `take_over`, or since `restart`.

    Raises:
        OSError: It cannot be opened for writing.
    """

    def __init__(self, path: Path, algorithm: str) -> None:
        self._file = os.fdopen(own_file(path), "r+b", buffering=0)
        self._algorithm = algorithm
        self._hash = _HashThread(algorithm)
        self.size_bytes = 0
        self._written_back = 0

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
        """Begin anew, with an empty file."""
        self._begin()
        self._file.truncate(0)

    def take_over(self) -> None:
        """Count what the file holds: it is read once, for the hash."""
        self._begin()
        self._pass_on(self._file.readinto, lambda data: None)

    def _begin(self) -> None:
        self._hash.hexdigest()
        self._hash = _HashThread(self._algorithm)
        self._file.seek(0)
        self.size_bytes = self._written_back = 0

    def receive(self, readinto: Callable[[memoryview], int], tell: Callable[[int], object]) -> None:
        """Write what a function reads, until it returns 0; what it read before it fails counts.

        Args:
            readinto: Fills a prefix of a buffer and returns its length.
            tell: Is told how many bytes count so far.

        Raises:
            OSError: It cannot be written.
        """

        def write(data: memoryview) -> None:
            while data:
                data = data[self._file.write(data) :]
            self._write_back()

        self._pass_on(readinto, write, tell)

    def _write_back(self) -> None:
        """Have the disk begin with what is written: whoever syncs the file then waits for less."""
        done = self.size_bytes
        if done - self._written_back >= _WRITE_BACK_BYTES and hasattr(os, "posix_fadvise"):
            # Linux starts to write what is not yet on the disk, and waits for none of it.
            length = done - self._written_back
            os.posix_fadvise(
                self._file.fileno(), self._written_back, length, os.POSIX_FADV_DONTNEED
            )
            self._written_back = done

    def _pass_on(
        self,
        readinto: Callable[[memoryview], int],
        write: Callable[[memoryview], None],
        tell: Callable[[int], object] = lambda done: None,
    ) -> None:
        while True:
            buffer, count = self._hash.buffer(), 0
            try:
                count = readinto(buffer)
            finally:
                self._hash.update(buffer, count)
            if not count:
                return
            # The thread hashes the same memory meanwhile, and only reads it.
            write(buffer[:count])
            self.size_bytes += count
            tell(self.size_bytes)

    def hexdigest(self) -> str:
        """Return the digest of all bytes that count; no more are taken until `restart`."""
        return self._hash.hexdigest()


class _HashThread:
    """Hashes buffers in the order in which they come, and gives them back."""

    def __init__(self, algorithm: str) -> None:
        self._hasher = hashlib.new(algorithm, usedforsecurity=False)
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
        self._buffers = 0
        self._thread: threading.Thread | None = None

    def buffer(self) -> memoryview:
        """Return memory for the next bytes; waits until some is free."""
        if self._free.empty() and self._buffers < _BUFFERS:
            self._buffers += 1
            return memoryview(bytearray(READ_PIECE_BYTES))
        return self._free.get()

    def update(self, buffer: memoryview, count: int) -> None:
        """Hash the first bytes of a buffer, and have it free again then."""
        if not count:
            self._free.put(buffer)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="aisio-hash", daemon=True)
            self._thread.start()
        self._full.put((buffer, count))

    def _work(self) -> None:
        while (piece := self._full.get()) is not None:
            buffer, count = piece
            self._hasher.update(buffer[:count])
            self._free.put(buffer)

    def hexdigest(self) -> str:
        """Return the digest of all, and end the thread."""
        if self._thread is not None:
            self._full.put(None)
            self._thread.join()
            self._thread = None
        return self._hasher.hexdigest()
