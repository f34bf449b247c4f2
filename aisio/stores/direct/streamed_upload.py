"""StreamedUpload: parts for obstore, which sends several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import copy_context
from queue import SimpleQueue
from threading import Semaphore, Thread, current_thread

from aisio.records import ObjectInfo
from aisio.transport.writer import Upload

__all__ = ["StreamedUpload"]

PartsToSend = Iterator[memoryview]


class _AbortedError(Exception):
    """Ends the iterator that obstore reads, so that obstore aborts the upload."""


class StreamedUpload(Upload):
    """Hands parts to a function that stores what an iterator yields, in a thread of its own.

    If the iterator raises, obstore aborts the upload and passes the error on.

    Args:
        store: Stores the parts of an iterator as one object. It lets errors of the iterator pass.
    """

    def __init__(self, store: Callable[[PartsToSend], ObjectInfo]) -> None:
        self._store = store
        self._parts: SimpleQueue[memoryview | _AbortedError | None] = SimpleQueue()
        self._room = Semaphore(1)
        self._thread: Thread | None = None
        self._info: ObjectInfo | None = None
        self._failure: BaseException | None = None
        self._has_ended = False

    def send(self, buffer: memoryview, size_bytes: int) -> memoryview:
        """See `Upload.send`; obstore keeps the buffer as long as it needs it."""
        self._raise_failure()
        if self._thread is None:
            run = copy_context().run
            self._thread = Thread(target=run, args=(self._run,), name="aisio-upload", daemon=True)
            self._thread.start()
        self._room.acquire()
        self._parts.put(buffer[:size_bytes])
        return memoryview(bytearray(len(buffer)))

    def finish(self) -> ObjectInfo:
        """See `Upload.finish`."""
        self._end(None)
        self._raise_failure()
        assert self._info is not None
        return self._info

    def abort(self) -> None:
        """See `Upload.abort`; it waits for the requests that are under way."""
        self._end(_AbortedError())

    def _end(self, mark: _AbortedError | None) -> None:
        self._parts.put(mark)
        # The garbage collector may drop a writer in any thread, and none can wait for itself.
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._info = self._store(self._iterate())
        except BaseException as error:
            self._failure = error
            while not self._has_ended:  # whoever sends the next part must not wait for room
                self._take()

    def _iterate(self) -> PartsToSend:
        while (part := self._take()) is not None:
            if isinstance(part, _AbortedError):
                raise part
            yield part

    def _take(self) -> memoryview | _AbortedError | None:
        part = self._parts.get()
        if isinstance(part, memoryview):
            self._room.release()
        else:
            self._has_ended = True
        return part

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
