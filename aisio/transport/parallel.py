"""Large objects by parallel ranges: into a buffer, a file, or new bytes.

A body of `PARALLEL_FROM_BYTES` or more is not read from its one response. That response is closed,
and the rest is read in parts, a few at once, each by a ranged request of its own that must be of
the same version. Each thread writes its parts straight to their place.

The body checks the parts in order, each as soon as all parts before it have arrived, so that the
check at its end is that of any other body: the whole length and the whole checksum. The XXH64 of
parts cannot be joined into one, but hashing is fast and releases the interpreter's lock, so it
keeps up with the network.

Memory is bounded: a part has no buffer of its own, and a part for a file passes through one piece.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial

from aisio.errors import ConfigError, IntegrityError
from aisio.records import ByteRange
from aisio.transport.body import Body, Parts
from aisio.transport.filled_bytes import filled_bytes
from aisio.transport.targets import BufferTarget, Target

PARALLEL_FROM_BYTES = 32 * 1024 * 1024
"""Smaller bodies are as fast by one response: measured on loopback, where requests and threads cost
the most."""

PART_BYTES = 32 * 1024 * 1024
STREAMS = 4


def plan_parts(
    size_bytes: int, *, part_bytes: int = PART_BYTES, streams: int = STREAMS
) -> list[ByteRange]:
    """Divide a number of bytes into consecutive parts.

    Args:
        size_bytes: The number of bytes.
        part_bytes: The most bytes of a part.
        streams: How many parts will be read at once: there are at least as many parts.

    Returns:
        Parts of equal size, except the last; one part for a size below PARALLEL_FROM_BYTES, none
        for no bytes.
    """
    if size_bytes < PARALLEL_FROM_BYTES:
        return [ByteRange(0, size_bytes)] if size_bytes else []
    step = min(part_bytes, -(-size_bytes // streams))
    return [ByteRange(start, min(start + step, size_bytes)) for start in range(0, size_bytes, step)]


def read_bytes(body: Body) -> bytes:
    """Return all that is left of a body, verified; the memory of a large one is not copied.

    Raises:
        IntegrityError: The bytes are not those that the store promised.
    """
    left = body.left_bytes
    if left is None or left < PARALLEL_FROM_BYTES or body.parts is None:
        return body.readall()

    def fill(view: memoryview) -> int:
        return read_into(body, BufferTarget(view))

    return filled_bytes(left, fill, body.info.url)


def read_into(body: Body, target: Target, *, show: Callable[[int], None] | None = None) -> int:
    """Read all that is left of a body into a target, verified.

    Args:
        body: The open body.
        target: Where the bytes go, from offset 0.
        show: Called with the number of bytes so far, by one thread at a time.

    Returns:
        The number of bytes.

    Raises:
        IntegrityError: The bytes are not those that the store promised.
        ConfigError: There are more bytes than fit into the target.
    """
    progress = _Progress(show)
    left = body.left_bytes
    target.reserve(left, body.info.url)
    parts = plan_parts(left or 0) if body.parts is not None else []
    if body.parts is not None and len(parts) > 1:
        _ParallelRead(body, body.parts, target, parts, progress).run()
        return progress.done
    target.fill(body, 0, left, progress.add)
    if body.read(1):
        raise ConfigError(
            f"GET {body.info.url}: more than the {progress.done:,} bytes that there is room for"
        )
    return progress.done


class _Progress:
    """Counts the bytes that all threads have read.

    Args:
        show: Called with their number so far.
    """

    def __init__(self, show: Callable[[int], None] | None) -> None:
        self.done = 0
        self._show = show
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.done += count
            if self._show is not None:
                self._show(self.done)


class _Stopped(Exception):
    """Another thread has failed."""


class _Verification:
    """Has the body check the parts in order, while they arrive in any order.

    Args:
        body: Checks the bytes.
        target: Has them.
        parts: All parts, in order.
    """

    def __init__(self, body: Body, target: Target, parts: list[ByteRange]) -> None:
        self._body = body
        self._target = target
        self._parts = parts
        self._arrived: set[int] = set()
        self._checked = 0
        self._lock = threading.Lock()
        self._is_running = False

    def add(self, number: int) -> None:
        """Check a part that has arrived and those behind it, unless another thread is checking."""
        with self._lock:
            self._arrived.add(number)
            if self._is_running:
                return
            self._is_running = True
        while (part := self._next_part()) is not None:
            assert part.stop is not None
            for piece in self._target.pieces(part.start, part.stop):
                self._body.accept(piece)

    def _next_part(self) -> ByteRange | None:
        with self._lock:
            if self._checked not in self._arrived:
                self._is_running = False
                return None
            self._checked += 1
            return self._parts[self._checked - 1]


class _ParallelRead:
    """The threads of one call: the caller's and a few more, which end with the call.

    Args:
        body: The body; its response is closed.
        opener: Opens its parts.
        target: Where the bytes go.
        parts: The parts to read.
        progress: Counts the bytes.
    """

    def __init__(
        self,
        body: Body,
        opener: Parts,
        target: Target,
        parts: list[ByteRange],
        progress: _Progress,
    ) -> None:
        self._body = body
        self._opener = opener
        self._target = target
        self._parts = parts
        self._progress = progress
        self._start = body.got_bytes
        self._verification = _Verification(body, target, parts)
        self._lock = threading.Lock()
        self._next = 0
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Read all parts.

        Raises:
            BaseException: The error of the first thread that failed.
        """
        self._body.detach()
        threads: list[threading.Thread] = []
        try:
            self._start_threads(threads)
            self._work()
        except BaseException as error:
            self._fail(error)
        self._join(threads)
        if self._failure is None and self._body.left_bytes:
            self._fail(
                IntegrityError(
                    f"GET {self._body.info.url}: the file was changed while it was written"
                )
            )
        if self._failure is not None:
            self._body.close()
            try:
                raise self._failure
            finally:
                # Its traceback holds this object, which would keep all bytes in memory.
                self._failure = None

    def _start_threads(self, threads: list[threading.Thread]) -> None:
        """Start the other threads; each is in the list before it starts: no interrupt loses one."""
        for number in range(1, min(STREAMS, len(self._parts))):
            work = partial(copy_context().run, self._work_in_thread)
            threads.append(threading.Thread(target=work, name=f"aisio-range-{number}"))
            try:
                threads[-1].start()
            except RuntimeError:  # the system has no thread left: fewer threads do it
                threads.pop()
                break

    def _join(self, threads: list[threading.Thread]) -> None:
        """Wait for all threads: none may write to the target after this call, however it ends."""
        while any(thread.is_alive() for thread in threads):
            try:
                for thread in threads:
                    thread.join()
            except BaseException as error:
                self._fail(error)

    def _work_in_thread(self) -> None:
        try:
            self._work()
        finally:
            self._opener.close_thread_connections()

    def _work(self) -> None:
        try:
            while (number := self._next_number()) is not None:
                self._read_part(self._parts[number])
                self._verification.add(number)
        except _Stopped:
            pass
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error

    def _next_number(self) -> int | None:
        with self._lock:
            if self._failure is not None or self._next == len(self._parts):
                return None
            self._next += 1
            return self._next - 1

    def _read_part(self, part: ByteRange) -> None:
        assert part.stop is not None
        start, stop = self._start + part.start, self._start + part.stop
        with self._opener.open(start, stop, lambda: self._failure is not None) as body:
            self._target.fill(body, part.start, part.stop, self._count)

    def _count(self, count: int) -> None:
        if self._failure is not None:
            raise _Stopped
        self._progress.add(count)
