"""ObjectWriter: an object as a binary file that is written once, from start to end.

What is written goes up in parts while the caller goes on. The object appears when the file is
closed: whole, or not at all. Until then, and whatever happens, readers see the old object.

A writer knows no client or store; it gets an `Upload`, and a function that stores a small object
by one request.
"""

from __future__ import annotations

import io
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO
from weakref import finalize

from aisio.errors import ConfigError, NotFoundError, StorageError
from aisio.forks import this_process
from aisio.limits import is_whole
from aisio.records import ObjectInfo
from aisio.transport.stored_whole import StoredWhole
from aisio.urls import ObjectUrl

__all__ = ["ObjectWriter", "Upload", "WriteOptions", "complete_upload", "head_of_stored"]

PART_BYTES = 16 * 1024 * 1024
CONCURRENCY = 8
MAX_PARTS = 9_999
"""Source: AIStore 5.0 refuses part 10,000; S3 takes 10,000 parts."""


@dataclass(frozen=True)
class WriteOptions:
    """How an object is written.

    A writer holds at most `concurrency + 3` parts in memory.

    Attributes:
        part_bytes: Size of a part. An object of up to this size is stored by one request; the
            largest object has 9,999 parts.
        concurrency: How many parts are sent at once.
        allow_empty: Store an empty object where nothing was written; otherwise that is an error.

    Raises:
        ConfigError: A number is below 1.
    """

    part_bytes: int = PART_BYTES
    concurrency: int = CONCURRENCY
    allow_empty: bool = False

    def __post_init__(self) -> None:
        for name in ("part_bytes", "concurrency"):
            if not is_whole(value := getattr(self, name), 1):
                raise ConfigError(f"{name}={value!r}: expected a whole number of at least 1")


def head_of_stored(url: ObjectUrl, head: Callable[[], ObjectInfo]) -> ObjectInfo:
    """Return what a store says of an object that it has just taken.

    Args:
        url: The object.
        head: Asks the store.

    Raises:
        StorageError: It does not say; the text tells that the object was stored all the same.
    """
    try:
        return head()
    except StorageError as error:
        raise StorageError(
            f"PUT {url}: the store has taken all bytes, but cannot be asked what it has: {error};"
            f" look at the object before you write it again",
            url=str(url),
        ) from error


def complete_upload(
    url: ObjectUrl,
    complete: Callable[[], object],
    retry: Callable[[Callable[[], None]], object],
    head: Callable[[], ObjectInfo],
    is_what_was_sent: Callable[[ObjectInfo], bool],
) -> ObjectInfo:
    """Have a store make an object of the parts that it has; return what it says of the object.

    Args:
        url: The object.
        complete: Sends the request once.
        retry: Calls a function until it succeeds, or the retry budget is spent.
        head: Asks the store for the object.
        is_what_was_sent: Tells by a checksum whether an object has the bytes of the parts.

    Raises:
        StorageError: The store did not make the object, or did not say that it did.
    """
    tries = 0

    def attempt() -> None:
        nonlocal tries
        tries += 1
        complete()

    try:
        retry(attempt)
    except NotFoundError:
        # On a later try: the reply to an earlier one, which made the object, may be lost. Only a
        # checksum tells it from an old object of the same size.
        if tries == 1:
            raise
        info = head_of_stored(url, head)
        if not is_what_was_sent(info):
            raise
        return info
    return head_of_stored(url, head)


class Upload(ABC):
    """An object that a store receives in parts; readers do not see it before `finish`.

    One thread at a time uses it. Nothing is sent before the first part.
    """

    @abstractmethod
    def send(self, buffer: memoryview, size_bytes: int) -> memoryview:
        """Take over a buffer with the next part; wait while too many parts are under way.

        Args:
            buffer: The part, at the buffer's start; the caller no longer touches it.
            size_bytes: The size of the part.

        Returns:
            A buffer of the same size for the part after it.

        Raises:
            StorageError: An earlier part could not be stored.
        """

    @abstractmethod
    def finish(self) -> ObjectInfo:
        """Wait until all parts are stored, make them the object, and verify it.

        Raises:
            StorageError: The object could not be stored.
            IntegrityError: The store has other bytes than were sent.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop what was sent. An error is logged, not raised."""


class _Parts:
    """Collects what is written to parts of one size.

    Args:
        put: Stores a small object by one request.
        upload: Takes the parts of a larger one.
        part_bytes: The size of a part.
    """

    def __init__(
        self, put: Callable[[memoryview], ObjectInfo], upload: Upload, part_bytes: int
    ) -> None:
        self._put = put
        self._upload = upload
        self._buffer = memoryview(bytearray(part_bytes))
        self._filled = 0
        self._sent = 0
        self._process = this_process()

    def add(self, view: memoryview) -> None:
        while view:
            # A part is sent when there is more: the object may end with it, and be small.
            if self._filled == len(self._buffer):
                self._send()
            data, view = view[: (room := len(self._buffer) - self._filled)], view[room:]
            self._buffer[self._filled : self._filled + len(data)] = data
            self._filled += len(data)

    def finish(self) -> ObjectInfo:
        if not self._sent:
            return self._put(self._buffer[: self._filled])
        self._send()
        return self._upload.finish()

    def abort(self) -> None:
        sent, self._sent = self._sent, 0  # once
        # A forked child has a copy of an upload that goes on in its parent.
        if sent and self._process.is_current:
            self._upload.abort()

    def _send(self) -> None:
        if self._sent == MAX_PARTS:
            raise ConfigError(
                f"more than {MAX_PARTS:,} parts of {len(self._buffer):,} bytes: stores take no "
                f"more; write it anew with a larger part_bytes"
            )
        size, self._filled = self._filled, 0
        self._sent += 1
        self._buffer = self._upload.send(self._buffer, size)


if TYPE_CHECKING:

    class _BinaryFile(io.BufferedIOBase, BinaryIO):
        """What type checkers take for a binary file, as torch.save wants one."""
else:
    _BinaryFile = io.BufferedIOBase


class ObjectWriter(StoredWhole, _BinaryFile):
    """An object that is being written; close it, or use it in a `with` statement.

    If the block of the `with` statement raises, if `abort` is called, or if the writer is dropped
    without being closed, nothing is stored and the old object stays. After an error of `write` the
    writer is of no more use: nothing is stored.

    It works only in the process that opened it. Threads may share it: each write is one piece.

    Args:
        url: The object, for errors.
        put: Stores a small object by one request.
        upload: Takes the parts of a larger one.
        options: Size and number of parts.

    Attributes:
        url: As above.
        info: What the store says of the object, once it is closed; None before.
    """

    def __init__(
        self,
        url: str,
        put: Callable[[memoryview], ObjectInfo],
        upload: Upload,
        options: WriteOptions,
    ) -> None:
        super().__init__()
        self.url = url
        self.info: ObjectInfo | None = None
        self._allow_empty = options.allow_empty
        self._position = 0
        self._failure: BaseException | None = None
        self._process = this_process()
        self._lock = Lock()
        self._parts = _Parts(put, upload, options.part_bytes)
        self._finalizer = finalize(self, self._parts.abort)

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        self._check_open("tell")
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Refuse: parts that were sent cannot be changed.

        Raises:
            io.UnsupportedOperation: Always.
        """
        raise io.UnsupportedOperation(
            f"{self.url}: an object is written from start to end, without seek; write to a local "
            f"file first, and put that"
        )

    def flush(self) -> None:
        """Do nothing: what was written is stored when the writer is closed."""
        self._check_open("flush")

    def write(self, data: Any, /) -> int:
        """Write all bytes of a bytes-like object, and return their number.

        Raises:
            ValueError: The writer is closed.
            StorageError: A part could not be stored.
        """
        view = _flat(memoryview(data))
        # Before the lock: another thread of the parent may have held it at the fork.
        self._process.check(f"writing {self.url}")
        with self._lock:
            self._check_open("write")
            self._raise_failure()
            try:
                self._parts.add(view)
            except BaseException as error:
                self._failure = error
                self._parts.abort()
                raise
            self._position += len(view)
        return len(view)

    def close(self) -> None:
        """Store the object: wait for the parts that are under way, and verify it.

        Raises:
            ConfigError: Nothing was written, and `allow_empty` is false.
            StorageError: The object could not be stored, by this call or a write before it.
            IntegrityError: The store has other bytes than were written.
        """
        if not self.closed and not self._process.is_current:
            self.abort()
            self._process.check(f"writing {self.url}")
        with self._lock:
            if self.closed:
                return
            try:
                self._finish()
            except BaseException:
                self._parts.abort()
                raise
            finally:
                self._end()

    def abort(self) -> None:
        """Close the writer without storing anything; the old object stays."""
        if not self._process.is_current:
            # Without the lock: another thread of the parent may have held it at the fork.
            self._end()
            return
        with self._lock:
            if not self.closed:
                try:
                    self._parts.abort()
                finally:
                    self._end()

    def __del__(self) -> None:
        """Drop what was not closed: `io.IOBase` would close it, and so store a part of it."""
        if hasattr(self, "_finalizer") and not self.closed:
            if self._process.is_current:
                warnings.warn(
                    f"{self.url}: a writer was dropped without being closed: nothing was stored",
                    ResourceWarning,
                    stacklevel=2,
                    source=self,
                )
            self.abort()

    def _finish(self) -> None:
        self._raise_failure()
        if not self._position and not self._allow_empty:
            raise ConfigError(
                f"{self.url}: nothing was written, so nothing was stored; to store an empty object "
                f"pass allow_empty=True",
                url=self.url,
            )
        self.info = self._parts.finish()

    def _end(self) -> None:
        self._finalizer.detach()
        super().close()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise StorageError(
                f"{self.url}: nothing was stored, because a write failed: {self._failure}",
                url=self.url,
            ) from self._failure

    def _check_open(self, what: str) -> None:
        if self.closed:
            raise ValueError(f"{self.url}: {what} of a closed file")


def _flat(view: memoryview) -> memoryview:
    if not view.nbytes:
        return memoryview(b"")
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
