"""Large objects by parallel ranges: into one buffer, one file, or fresh bytes.

A body of `PARALLEL_FROM_BYTES` or more is not read from its one reply: that is let go, and the rest
is read in parts, a few at once, each by a ranged request of its own that must be about the same
version. The parts go straight to their place. Their bytes are handed to the body in order, part by
part as soon as all before are there, so that the check at its end is the one of any other body: of
the whole length and the whole checksum. XXH64 cannot be computed of parts and joined, but it is
quick and lets other threads run, so it follows in the shadow of the network.

Memory is bounded: parts have no buffers, a part for a file passes through one piece.
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
"""Below, one reply is as fast: measured on loopback, where requests and threads cost the most."""

PART_BYTES = 32 * 1024 * 1024
STREAMS = 4


def plan_parts(
    size_bytes: int, *, part_bytes: int = PART_BYTES, streams: int = STREAMS
) -> list[ByteRange]:
    """Divide so many bytes into consecutive parts, to be read by so many streams.

    Args:
        size_bytes: Bytes in all.
        part_bytes: Most bytes of a part.
        streams: How many will be read at once: there are at least as many parts.

    Returns:
        Parts of equal size, but for the last; one part where the size is below PARALLEL_FROM_BYTES,
        none for no bytes.
    """
    if size_bytes < PARALLEL_FROM_BYTES:
        return [ByteRange(0, size_bytes)] if size_bytes else []
    step = min(part_bytes, -(-size_bytes // streams))
    return [ByteRange(start, min(start + step, size_bytes)) for start in range(0, size_bytes, step)]


def read_bytes(body: Body) -> bytes:
    """Return all that is left of a body, verified; the memory of a large one is not copied.

    Raises:
        IntegrityError: The bytes are not the ones that the store promised.
    """
    left = body.left_bytes
    if left is None or left < PARALLEL_FROM_BYTES or body.parts is None:
        return body.readall()

    def fill(view: memoryview) -> int:
        return read_out(body, BufferTarget(view))

    return filled_bytes(left, fill, body.info.url)


def read_out(body: Body, target: Target, *, show: Callable[[int], None] | None = None) -> int:
    """Read all that is left of a body into a target, verified.

    Args:
        body: The open body.
        target: Where the bytes go, from offset 0.
        show: Is told how many have arrived so far, by one thread at a time.

    Returns:
        Their number.

    Raises:
        IntegrityError: The bytes are not the ones that the store promised.
        ConfigError: They are more than the target has room for.
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
    def __init__(self, show: Callable[[int], None] | None) -> None:
        self.done = 0
        self._show = show
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.done += count
            if self._show:
                self._show(self.done)


class _Stopped(Exception):
    """Another thread has failed."""


class _ParallelRead:
    """One call's threads: the caller's own and a few more, which end with it."""

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
        self._begin = body.got_bytes
        self._lock = threading.Lock()
        self._next = 0
        self._read: set[int] = set()
        self._verified = 0
        self._verifying = False
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Read all parts.

        Raises:
            BaseException: What the first thread that failed has met.
        """
        self._body.drain_and_release()
        threads: list[threading.Thread] = []
        try:
            for number in range(1, min(STREAMS, len(self._parts))):
                work = partial(copy_context().run, self._work_apart)
                threads.append(threading.Thread(target=work, name=f"aisio-range-{number}"))
                try:
                    threads[-1].start()
                except RuntimeError:  # the system has none left: fewer do too
                    threads.pop()
                    break
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
                # Its traceback holds this object, and so all that was read.
                self._failure = None

    def _join(self, threads: list[threading.Thread]) -> None:
        """Wait for all: whatever ends this call, nobody may write to the target after it."""
        while any(thread.is_alive() for thread in threads):
            try:
                for thread in threads:
                    thread.join()
            except BaseException as error:
                self._fail(error)

    def _work_apart(self) -> None:
        try:
            self._work()
        finally:
            self._opener.leave()

    def _work(self) -> None:
        try:
            while (number := self._take()) is not None:
                self._read_part(self._parts[number])
                self._verify_behind(number)
        except _Stopped:
            pass
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error

    def _take(self) -> int | None:
        with self._lock:
            if self._failure is not None or self._next == len(self._parts):
                return None
            self._next += 1
            return self._next - 1

    def _read_part(self, part: ByteRange) -> None:
        assert part.stop is not None
        start, stop = self._begin + part.start, self._begin + part.stop
        with self._opener.open(start, stop, lambda: self._failure is not None) as body:
            self._target.fill(body, part.start, part.stop, self._tell)

    def _tell(self, count: int) -> None:
        if self._failure is not None:
            raise _Stopped
        self._progress.add(count)

    def _verify_behind(self, number: int) -> None:
        """Hand the body what now stands in a row, unless another thread is at it."""
        with self._lock:
            self._read.add(number)
            if self._verifying:
                return
            self._verifying = True
        while (part := self._next_to_verify()) is not None:
            assert part.stop is not None
            for piece in self._target.pieces(part.start, part.stop):
                self._body.accept(piece)

    def _next_to_verify(self) -> ByteRange | None:
        with self._lock:
            if self._verified not in self._read:
                self._verifying = False
                return None
            self._verified += 1
            return self._parts[self._verified - 1]
