"""ParallelUpload: the parts of one object, several of which are sent at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

from aisio.errors import AisioError, StorageError
from aisio.records import ObjectInfo
from aisio.transport.payload import CHUNK_BYTES
from aisio.transport.worker_threads import WorkerThreads
from aisio.transport.writer import Upload, WriteOptions

__all__ = ["ParallelUpload", "PartTarget", "check_wanted", "pieces_of"]

_log = logging.getLogger(__name__)


class PartTarget(Protocol):
    """Where the parts of one object go."""

    def begin(self) -> None:
        """Begin; called once, before the first part."""

    def hash(self, part: memoryview) -> None:
        """Hash a part; called for each in its order."""

    def send(self, number: int, offset: int, part: memoryview, stopped: Callable[[], bool]) -> None:
        """Store a part; called from several threads at once.

        Args:
            number: The number of the part, from 1.
            offset: Where the part begins in the object.
            part: Its bytes.
            stopped: Tells whether nobody wants the part any more.
        """

    def complete(self, count: int) -> ObjectInfo:
        """Make the object of all parts, and verify it."""

    def abort(self) -> None:
        """Drop all parts; also called if `begin` has failed, wherever it did."""


class ParallelUpload(Upload):
    """Sends parts by threads of its own, which end with it.

    It makes at most `concurrency` buffers and uses them again: memory that is touched for the first
    time costs more than the copy.

    Args:
        target: Where the parts go.
        options: How many are sent at once.
    """

    def __init__(self, target: PartTarget, options: WriteOptions) -> None:
        self._target = target
        self._threads = WorkerThreads(options.concurrency, "aisio-upload")
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._buffers_left = options.concurrency
        self._count = 0
        self._offset = 0
        self._failure: BaseException | None = None
        self._is_stopped = False

    def send(self, buffer: memoryview, size_bytes: int) -> memoryview:
        """See `Upload.send`."""
        self._raise_failure()
        if not self._count:
            self._target.begin()
        self._count += 1
        self._target.hash(buffer[:size_bytes])
        self._threads.submit(partial(self._send, self._count, self._offset, buffer, size_bytes))
        self._offset += size_bytes
        try:
            return self._free.get_nowait()
        except Empty:
            if not self._buffers_left:
                return self._free.get()
        self._buffers_left -= 1
        return memoryview(bytearray(len(buffer)))

    def finish(self) -> ObjectInfo:
        """See `Upload.finish`."""
        self._threads.end(cancel=False)
        self._raise_failure()
        return self._target.complete(self._count)

    def abort(self) -> None:
        """See `Upload.abort`; it waits for the requests that are under way."""
        self._is_stopped = True
        self._threads.end(cancel=True)
        try:
            self._target.abort()
        except (AisioError, OSError) as error:
            _log.warning("an upload could not be aborted, and its parts remain: %s", error)

    def _send(self, number: int, offset: int, buffer: memoryview, size_bytes: int) -> None:
        try:
            if not self._is_stopped:
                self._target.send(number, offset, buffer[:size_bytes], lambda: self._is_stopped)
        except BaseException as error:
            self._failure = self._failure or error
            self._is_stopped = True
        finally:
            self._free.put(buffer)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def check_wanted(stopped: Callable[[], bool], about: str) -> None:
    """Check that somebody still wants a part; see `PartTarget.send`.

    Raises:
        StorageError: Nobody does.
    """
    if stopped():
        raise StorageError(f"PUT {about}: the upload was aborted", url=about)


def pieces_of(part: memoryview, stopped: Callable[[], bool], about: str) -> Iterator[memoryview]:
    """Yield a part piece by piece, for the body of a request; errors as of `check_wanted`."""
    for start in range(0, len(part), CHUNK_BYTES):
        check_wanted(stopped, about)
        yield part[start : start + CHUNK_BYTES]
