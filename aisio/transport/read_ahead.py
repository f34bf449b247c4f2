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

from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from aisio.forks import this_process
from aisio.records import ObjectInfo
from aisio.transport.filled_bytes import filled_bytes
from aisio.transport.positioned import PositionedReader
from aisio.transport.range_reads import OrderedCheck, RangeOpener, RangeReads
from aisio.transport.worker_threads import WorkerThreads

__all__ = ["ReadAheadReader"]

FIRST_BYTES = 256 * 1024
DIRECT_BYTES = 512 * 1024
"""A read of so many bytes goes straight into the caller's memory."""

SHARE_BYTES = 2 * 1024 * 1024
"""Smaller ranges are not worth a request of their own."""

READS_OF_A_STREAM = 8
"""After so many reads, each behind the one before, parts are read ahead. The reads of one tensor
are fewer."""


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
        self._ranges = RangeReads(info, opener)
        self._part_bytes = max(part_bytes, FIRST_BYTES)
        self._concurrency = concurrency
        self._threads = WorkerThreads(concurrency, "aisio-read-ahead")
        self._check = OrderedCheck(info)
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
        self._ranges = RangeReads(self._ranges.info, self._ranges.opener)
        self._threads = WorkerThreads(self._concurrency, "aisio-read-ahead")
        self._kept.clear()


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future
