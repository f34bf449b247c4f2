"""ReadAheadReader: a large object as a seekable file, several parts of which are read at once.

    a small read               256 KiB are read, and remembered
    a large read               exactly its bytes, by several requests, into the caller's memory
    many reads, each behind    parts behind the position are read ahead: one, then two, four, ...
    the one before

What was read stays in memory for as long as there is room.

Source:
    torch.load reads the end of its file, then its start, then for each tensor a small header and
    the data. The tensors are stored in the order of their numbers as text (0, 1, 10, 11, 2), and
    read in the order of their numbers. torch 2.4 to 2.9, torch/serialization.py.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from aisio.errors import IntegrityError, RangeError, StorageError, TruncatedError
from aisio.forks import this_process
from aisio.formats.checksums import Hasher, new_hasher
from aisio.records import ByteRange, ObjectInfo, RetryPolicy, same_version
from aisio.transport.body import Body
from aisio.transport.filled_bytes import filled_bytes
from aisio.transport.positioned import PositionedReader
from aisio.transport.retries import RETRYABLE, Attempts
from aisio.transport.worker_threads import WorkerThreads

__all__ = ["RangeOpener", "ReadAheadReader"]

FIRST_BYTES = 256 * 1024
DIRECT_BYTES = 512 * 1024
"""A read of so many bytes goes straight into the caller's memory."""

SHARE_BYTES = 2 * 1024 * 1024
"""Smaller ranges are not worth a request of their own."""

READS_OF_A_STREAM = 8
"""After so many reads, each behind the one before, parts are read ahead. The reads of one tensor
are fewer."""


class RangeOpener(NamedTuple):
    """How a store is read.

    Attributes:
        open: Opens a range of the object; None is the whole of it, with its checksum.
        retry: How often a range is tried.
        is_same: Tells whether two responses are of one version of the object.
        first: The first bytes of the object, where a response to a range has brought them and what
            is known of the object; they are not read again.
    """

    open: Callable[[ByteRange | None], Body]
    retry: RetryPolicy
    is_same: Callable[[ObjectInfo, ObjectInfo], bool] = same_version
    first: memoryview = memoryview(b"")


class ReadAheadReader(PositionedReader):
    """An object as a raw, seekable file; `io.BufferedReader` buffers it.

    It holds at most `concurrency + 1` parts in memory, of 256 KiB at least. All bytes must be of
    one version of the object. If all of them are read in order, they are verified by the object's
    checksum. After a fork the child reads by itself, on from where the reader was.

    Args:
        info: The object; its size must be known.
        opener: Opens ranges of it.
        part_bytes: The size of a part.
        concurrency: How many parts are read at once.

    Raises:
        IntegrityError: The object's size is not known.
    """

    def __init__(
        self, info: ObjectInfo, opener: RangeOpener, *, part_bytes: int, concurrency: int
    ) -> None:
        # First: Python also closes what failed to be made.
        self._parts: _Parts | None = None
        super().__init__(info)
        self._make_parts = partial(_Parts, info, opener, part_bytes, concurrency)
        self._process = this_process()

    def readinto(self, buffer: Any, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end.

        Raises:
            IntegrityError: The bytes are not as promised, or the object was replaced meanwhile.
        """
        self._check_open("read")
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        if not view:
            return 0
        count = self._current_parts().read(self._position, view)
        self._position += count
        return count

    def prefetch(self) -> None:
        """Begin to read the part at the position; errors are those of the read that wants it."""
        self._check_open("read")
        self._current_parts().prefetch(self._position)

    def readall(self) -> bytes:
        """Return all that is left; errors as for `readinto`."""
        self._check_open("read")
        return filled_bytes(max(0, self._size - self._position), self._fill, self.info.url)

    def close(self) -> None:
        """End the threads, and forget all parts."""
        parts, self._parts = self._parts, None
        if parts is not None and self._process.is_current:
            parts.close()
        super().close()

    def _fill(self, view: memoryview) -> int:
        done = 0
        while done < len(view):
            done += self.readinto(view[done:])
        return done

    def _current_parts(self) -> _Parts:
        if self._parts is None or not self._process.is_current:
            # The threads of a parent process do not exist in its child.
            self._process, self._parts = this_process(), self._make_parts()
        return self._parts


class _Part(NamedTuple):
    """Bytes of the object that are read, or have been.

    Attributes:
        start: Where they begin in the object.
        view: The memory they go to.
        future: Done once they are there.
    """

    start: int
    view: memoryview
    future: Future[None]

    @property
    def stop(self) -> int:
        return self.start + len(self.view)


class _Parts:
    """The parts of an object that are in memory, or on their way there.

    Args:
        info: The object.
        opener: Opens ranges of it.
        part_bytes: The most bytes of a part.
        concurrency: How many are read at once.
    """

    def __init__(
        self, info: ObjectInfo, opener: RangeOpener, part_bytes: int, concurrency: int
    ) -> None:
        self._ranges = _Ranges(info, opener)
        self._part_bytes = max(part_bytes, FIRST_BYTES)
        self._concurrency = concurrency
        self._threads = WorkerThreads(concurrency, "aisio-read-ahead")
        self._check = _OrderedCheck(info)
        self._kept: list[_Part] = []  # the least recently used first
        if opener.first:
            self._kept.append(_Part(0, opener.first, _done()))
        self._expected = 0
        self._reads_in_order = 0
        self._ahead = 0

    def read(self, position: int, view: memoryview) -> int:
        """Fill a prefix of a view with the bytes at a position; return its length."""
        if position != self._expected:
            self._reads_in_order = self._ahead = 0
        self._reads_in_order += 1
        is_stream = self._reads_in_order > READS_OF_A_STREAM
        direct_from = 2 * self._part_bytes if is_stream else DIRECT_BYTES
        part = self._at(position)
        if part is None and len(view) < direct_from:
            part = self._request(position, self._part_bytes if is_stream else FIRST_BYTES)
        if part is not None and is_stream:
            self._read_ahead(part)
        rest = view if part is None else view[part.stop - position :]
        try:
            jobs = self._begin_direct(position + len(view) - len(rest), rest, direct_from)
            count = self._copy(part, position, view) if part is not None else 0
            count += self._finish_direct(jobs)
        except BaseException:
            self._begin_again()
            raise
        self._expected = position + count
        return count

    def prefetch(self, position: int) -> None:
        if self._at(position) is None:
            self._request(position, self._part_bytes)

    def close(self) -> None:
        self._ranges.is_stopped = True
        self._threads.end(cancel=True)

    def _at(self, position: int) -> _Part | None:
        for index, part in enumerate(self._kept):
            if part.start <= position < part.stop:
                self._kept.append(self._kept.pop(index))
                return part
        return None

    def _verify(self, part: _Part) -> None:
        """Wait for a part, and have its bytes checked."""
        part.future.result()
        if not self._ranges.has_range_checksums:
            self._check.add(part.start, part.view)

    def _copy(self, part: _Part, position: int, view: memoryview) -> int:
        self._verify(part)
        data = part.view[position - part.start :][: len(view)]
        view[: len(data)] = data
        return len(data)

    def _begin_direct(self, position: int, view: memoryview, at_least: int) -> list[_Part]:
        """Begin to read into a view, up to the first byte that is in memory already."""
        if len(view) < at_least:
            return []
        view = view[: self._free_stop(position - 1, len(view) + 1) - position]
        share = -(-len(view) // self._concurrency)
        step = min(max(share, SHARE_BYTES), self._part_bytes)
        starts = range(0, len(view), step)
        return [self._begin(position + start, view[start : start + step]) for start in starts]

    def _finish_direct(self, jobs: list[_Part]) -> int:
        for job in jobs:
            self._verify(job)
        return sum(len(job.view) for job in jobs)

    def _read_ahead(self, part: _Part) -> None:
        """Have parts behind one on their way, as many as were needed before, and one more."""
        wanted, stop = min(self._ahead, self._concurrency), part.stop
        for _ in range(wanted):
            following = self._at(stop) or self._request(stop, self._part_bytes)
            if following is None:
                break
            stop = following.stop
        if self._expected <= part.start:  # the first read of this part
            self._ahead = min(max(1, 2 * self._ahead), self._concurrency)

    def _request(self, position: int, size: int) -> _Part | None:
        """Begin to read a part that is to be kept; None at the end of the object."""
        if position >= self._ranges.size:
            return None
        stop = self._free_stop(position, size)
        if self._reads_in_order == 1 and stop == self._ranges.size:
            # Who seeks to the last bytes will want those before them: indices stand there.
            before = [part.stop for part in self._kept if part.stop <= position]
            position = max([0, stop - FIRST_BYTES, *before])
        part = self._begin(position, self._memory(stop - position))
        self._kept.append(part)
        return part

    def _free_stop(self, position: int, size: int) -> int:
        """Return where the bytes end that are to be read from a position on."""
        starts = [part.start for part in self._kept if part.start > position]
        return min([position + size, self._ranges.size, *starts])

    def _begin(self, start: int, view: memoryview) -> _Part:
        return _Part(start, view, self._threads.submit(partial(self._ranges.read, start, view)))

    def _memory(self, size: int) -> memoryview:
        """Return memory for a part: new, or that of parts that were used least recently."""
        limit = (self._concurrency + 1) * self._part_bytes
        while sum(len(part.view) for part in self._kept) + size > limit:
            oldest = self._kept.pop(0)
            if not oldest.future.cancel():
                oldest.future.exception()
            if isinstance(memory := oldest.view.obj, bytearray) and len(memory) == size:
                return memoryview(memory)
        return memoryview(bytearray(size))

    def _begin_again(self) -> None:
        """Forget all parts, after an error; no thread writes to any memory afterwards."""
        self.close()
        self._ranges = _Ranges(self._ranges.info, self._ranges.opener)
        self._threads = WorkerThreads(self._concurrency, "aisio-read-ahead")
        self._kept.clear()


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


class _Ranges:
    """Reads ranges of one version of an object, from any thread.

    Args:
        info: The object.
        opener: Opens them.

    Attributes:
        size: The size of the object.
        is_stopped: Set to true, it ends the reads that go on.
        has_range_checksums: The checksum in the response to a range is that of the range, and so is
            the one that is known of the object.
    """

    def __init__(self, info: ObjectInfo, opener: RangeOpener) -> None:
        self.info = info
        self.size = info.size_bytes or 0
        self.opener = opener
        self.is_stopped = False
        self.has_range_checksums = False

    def read(self, start: int, view: memoryview) -> None:
        """Fill a view with the bytes from an offset on.

        Raises:
            IntegrityError: The bytes are not as promised, or the object was replaced meanwhile.
        """
        attempts, stop, done = Attempts(self.opener.retry), start + len(view), 0
        while True:
            try:
                with self._open(start + done, stop) as body:
                    while done < len(view):
                        done += self._read_some(body, view[done:])
                    if len(view) == self.size:
                        body.read(1)  # a whole body compares its checksum at its end
            except RETRYABLE as error:
                if self.is_stopped:
                    raise
                attempts.failed(error)
            else:
                return

    def _open(self, start: int, stop: int) -> Body:
        is_whole = not start and stop == self.size
        try:
            body = self.opener.open(None if is_whole else ByteRange(start, stop))
        except RangeError as error:  # it is smaller now
            raise self._replaced() from error
        if not self.opener.is_same(self.info, body.info):
            body.close()
            raise self._replaced()
        if self.opener.first and body.info.checksum != self.info.checksum:
            self.has_range_checksums = True
        return body

    def _replaced(self) -> IntegrityError:
        return IntegrityError(
            f"GET {self.info.url}: the object was replaced while it was open; open it again",
            url=self.info.url,
        )

    def _read_some(self, body: Body, view: memoryview) -> int:
        count = body.readinto(view)
        if not count:
            raise TruncatedError(
                f"GET {self.info.url}: cut short: {len(view):,} bytes are missing",
                url=self.info.url,
            )
        if self.is_stopped:
            raise StorageError(f"GET {self.info.url}: closed", url=self.info.url)
        return count


class _OrderedCheck:
    """Compares the object's checksum with the bytes, as far as they come in order.

    Args:
        info: The object, with its checksum if the store has one.
    """

    def __init__(self, info: ObjectInfo) -> None:
        self._info = info
        self._hasher: Hasher | None = new_hasher(info.checksum)
        self._checked = 0

    def add(self, start: int, data: memoryview) -> None:
        """Take in the bytes from an offset on.

        Raises:
            IntegrityError: All bytes were taken in, and they have another checksum.
        """
        if self._hasher is None or not start <= self._checked < start + len(data):
            return
        self._hasher.update(data[self._checked - start :])
        self._checked = start + len(data)
        checksum = self._info.checksum
        if checksum is None or self._checked != self._info.size_bytes:
            return
        actual, self._hasher = self._hasher.hexdigest(), None
        if actual != checksum.value.lower():
            self._hasher, self._checked = new_hasher(checksum), 0  # for who reads it again
            raise IntegrityError(
                f"GET {self._info.url}: the {checksum.kind} checksum of its bytes is {actual}, the "
                f"store says {checksum.value}; read it again",
                url=self._info.url,
            )
