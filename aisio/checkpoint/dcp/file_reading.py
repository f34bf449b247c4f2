"""FileReader: runs of one file of a checkpoint, read by several requests at once and verified."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Lock

import xxhash

from aisio.checkpoint.dcp.place import CheckpointPlace
from aisio.checkpoint.dcp.read_plan import Run, slice_views
from aisio.checkpoint.dcp.stored_metadata import Digested, Item
from aisio.errors import IntegrityError, RangeError, StorageError, TruncatedError
from aisio.records import ByteRange, ObjectInfo
from aisio.stats import thread_counters
from aisio.transport.body import Body
from aisio.transport.retries import RETRYABLE, Attempts
from aisio.transport.worker_threads import WorkerThreads

__all__ = ["FileReader", "RunReading"]


class FileReader:
    """Reads ranges of one version of a file, from any thread.

    Args:
        place: The checkpoint.
        path: The file.
        min_bytes: The size that the file has at least.
        max_bytes: The size that it has at most; None where that is not known.
    """

    def __init__(
        self, place: CheckpointPlace, path: str, min_bytes: int, max_bytes: int | None
    ) -> None:
        self._store = place.store
        self._url = place.file_url(path)
        self._min_bytes = min_bytes
        self._max_bytes = max_bytes
        self._first: ObjectInfo | None = None
        self._lock = Lock()

    @property
    def url(self) -> str:
        """The file."""
        return str(self._url)

    def read(self, start: int, views: list[memoryview], stopped: Callable[[], bool]) -> None:
        """Fill views, one behind the other, with the bytes from an offset on.

        Args:
            start: The offset.
            views: The memory.
            stopped: Tells whether nobody wants the bytes any more.

        Raises:
            IntegrityError: The file is not the one that the checkpoint consists of, or was replaced
                meanwhile.
            NotFoundError: There is no such file.
        """
        attempts, done = Attempts(self._store.retry_policy), 0
        size = sum(map(len, views))
        while done < size:
            try:
                with self._open(start + done, start + size) as body:
                    for view in slice_views(views, done, size):
                        done += self._fill(body, view, stopped)
            except RETRYABLE as error:
                if stopped():
                    raise
                attempts.failed(error)

    def _open(self, start: int, stop: int) -> Body:
        try:
            body = self._store.get(self._url, ByteRange(start, stop))
        except RangeError as error:
            raise self._wrong_file("it is shorter than .metadata says") from error
        try:
            self._check(body.info)
        except BaseException:
            body.close()
            raise
        return body

    def _check(self, info: ObjectInfo) -> None:
        with self._lock:
            first = self._first = self._first or info
        if not self._store.is_same(self._url, first, info):
            raise self._wrong_file("it was replaced while the checkpoint was loaded: load it again")
        size = info.size_bytes
        if size is None:
            return
        if size < self._min_bytes or (self._max_bytes is not None and size > self._max_bytes):
            raise self._wrong_file(f"it has {size:,} bytes, and .metadata says {self._min_bytes:,}")

    def _fill(self, body: Body, view: memoryview, stopped: Callable[[], bool]) -> int:
        done = 0
        while done < len(view):
            if stopped():
                raise StorageError(f"GET {self._url}: the load has failed elsewhere")
            try:
                count = body.readinto(view[done:])
            except TruncatedError:
                raise
            except IntegrityError as error:
                raise _Damaged(str(error), url=self.url) from error
            if not count:
                raise TruncatedError(
                    f"GET {self._url}: cut short: {len(view) - done:,} bytes are missing",
                    url=self.url,
                )
            done += count
        return done

    def _wrong_file(self, reason: str) -> IntegrityError:
        return IntegrityError(
            f"{self._url}: not the file that the checkpoint consists of: {reason}", url=self.url
        )


class _Damaged(IntegrityError):
    """The bytes do not have the checksum that the store says; they may if they are read again."""


class RunReading:
    """A run that is read by threads.

    Args:
        file: The file.
        run: The run.
        views: Where its bytes go, one behind the other.
    """

    def __init__(self, file: FileReader, run: Run, views: list[memoryview]) -> None:
        self.run = run
        self._file = file
        self._views = views
        self._futures: list[Future[None]] = []

    @property
    def size_bytes(self) -> int:
        """How many bytes are read."""
        return self.run.stop - self.run.start

    def begin(self, threads: WorkerThreads, part_bytes: int, stopped: Callable[[], bool]) -> None:
        """Have threads read it, by requests of at most `part_bytes`."""
        for start in range(0, self.size_bytes, part_bytes):
            views = slice_views(self._views, start, min(start + part_bytes, self.size_bytes))
            read = partial(self._file.read, self.run.start + start, views, stopped)
            self._futures.append(threads.submit(read))

    def finish(self) -> None:
        """Wait for the bytes and compare them with their digests; wrong ones are read once more.

        Raises:
            IntegrityError: They are wrong again.
        """
        damaged = False
        for future in self._futures:
            try:
                future.result()
            except _Damaged:
                damaged = True  # and go on: no thread may write to the memory later
        if damaged:
            self._file.read(self.run.start, self._views, lambda: False)
        for digested in (one for item in self.run.items for one in item.digested()):
            if not self._is_right(digested):
                thread_counters().retries += 1
                start, stop, _ = digested
                self._file.read(start, self._bytes(start, stop), lambda: False)
                if not self._is_right(digested):
                    raise IntegrityError(
                        f"{self._file.url}: bytes [{start:,}, {stop:,}) are not those that were "
                        f"written, also when they were read once more",
                        url=self._file.url,
                    )

    def bytes_of(self, item: Item) -> list[memoryview]:
        """Return the memory of an item's bytes."""
        return self._bytes(item.offset, item.stop)

    def _bytes(self, start: int, stop: int) -> list[memoryview]:
        return slice_views(self._views, start - self.run.start, stop - self.run.start)

    def _is_right(self, digested: Digested) -> bool:
        hasher = xxhash.xxh3_64()
        for view in self._bytes(digested.start, digested.stop):
            hasher.update(view)
        return hasher.hexdigest() == digested.xxh3_64
