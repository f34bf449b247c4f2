"""Opens the next shards and reads their beginnings while the current one is read.

Theory of operation. Each iteration has one background thread. It takes shards from the listing,
opens them, and reads their first bytes into a bounded number of buffers. When the reader comes to a
shard, the thread hands it over: the reader empties the buffers, and then reads the rest from the
socket itself. So between two shards nobody waits for a listing page, a request or a cold disk, and
most bytes of a shard are copied no more often than without prefetching.

The thread is a daemon and ends with the iteration; if it is inside a request then, it ends with
that request. It belongs to one process: a forked child uses nothing of what is here.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import NamedTuple, TypeVar

from aisio.errors import ConfigError, ShardError
from aisio.escapes import one_line
from aisio.forks import this_process
from aisio.records import ObjectInfo
from aisio.shards.linked_files import LinkedFiles
from aisio.shards.opening import Opening, ShardPart, ShardStream
from aisio.shards.samples import Sample

__all__ = [
    "Opened",
    "Prefetch",
    "Shard",
    "ShardPart",
    "ShardStream",
    "require_same_sample",
]

T = TypeVar("T")

_CHUNK_BYTES = 1024 * 1024


class Shard(NamedTuple):
    """A shard to be read.

    Attributes:
        info: What the listing says about it.
        open: Opens it, or raises the error that opening it met.
        part: Which of the samples that are read are wanted; None for all.
        links: Reads what hard links in it stand for; None for nothing.
    """

    info: ObjectInfo
    open: Callable[[], ShardStream]
    part: ShardPart | None = None
    links: LinkedFiles | None = None

    def wanted(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Yield those of the samples that are wanted; all are read, to the shard's end.

        Raises:
            ShardError: With a part: the shard has not as many samples as were indexed.
            ConfigError: With a part: the sample before it is another one.
        """
        return samples if self.part is None else self._part_of(samples, self.part)

    def count_wanted(self, samples: int) -> int:
        """Return how many of the first so many samples that are read are wanted."""
        return samples if self.part is None else self.part.count(samples)

    def _part_of(self, samples: Iterator[Sample], part: ShardPart) -> Iterator[Sample]:
        count = 0
        stop = sys.maxsize if part.stop is None else part.stop
        for sample in samples:
            if part.start <= count < stop:
                yield sample
            count += 1
            if count == part.start:
                require_same_sample(self.info.url, count, part.before, sample.key)
        expected = max(part.start, count) if part.total is None else part.total
        if count != expected:
            url = self.info.url
            known = "read before" if part.total is None else "indexed"
            raise ShardError(
                f"{one_line(url)}: {expected:,} samples were {known}, it has {count:,}: it was"
                " replaced since it was listed; index it with `aisio index`, and list it again",
                url=url,
            )


def require_same_sample(url: str, count: int, last: str, now: str) -> None:
    """Compare the last sample that was read of a shard with the one that is there now.

    Args:
        url: The shard.
        count: How many samples had been read.
        last: The key of the last one; "" if it is not known.
        now: The key of the one that is in its place.

    Raises:
        ConfigError: It is another one.
    """
    if last and now != last:
        raise ConfigError(
            f"the state is of other data: it was saved behind sample {last!r} of {one_line(url)},"
            f" sample {count:,} of it, which is now {now!r}: begin the epoch anew"
        )


class _ListingEnd(NamedTuple):
    """The last entry of the queue.

    Attributes:
        error: What ended the listing early; None at its real end.
    """

    error: BaseException | None


class _Buffers:
    """A bounded number of equal buffers, made when they are first needed.

    The Prefetch's lock guards them.

    Args:
        limit_bytes: Size of all buffers together.
    """

    def __init__(self, limit_bytes: int) -> None:
        # A small limit is split into several buffers too: each prefetched shard needs one.
        self.chunk_bytes = max(1, min(limit_bytes // 4, _CHUNK_BYTES))
        self.count = limit_bytes // self.chunk_bytes
        self._unmade = self.count
        self._free: list[memoryview] = []

    def has_free(self) -> bool:
        return bool(self._free or self._unmade)

    def take(self) -> memoryview:
        """Return a buffer, if `has_free`."""
        if self._free:
            return self._free.pop()
        self._unmade -= 1
        return memoryview(bytearray(self.chunk_bytes))

    def free(self, piece: memoryview) -> None:
        """Take back the buffer that this is a piece of."""
        self._free.append(memoryview(piece.obj))


class Prefetch:
    """Reads ahead in a thread; use it in a `with` block, and read its shards in order.

    Args:
        shards: What to read. Only the thread iterates it.
        limit_bytes: Maximum number of bytes held of shards that the reader has not come to.
        join_s: Seconds that the end of the iteration waits for the thread.
    """

    def __init__(self, shards: Iterable[Shard], limit_bytes: int, *, join_s: float = 2.0) -> None:
        if limit_bytes < 1:
            raise ConfigError(f"limit_bytes={limit_bytes}: at least one byte is needed")
        self._shards = shards
        self._join_s = join_s
        self._buffers = _Buffers(limit_bytes)
        self._queue: deque[Opening | _ListingEnd] = deque()  # the reader takes from it
        self._unclosed: set[Opening] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._process = this_process()
        self._thread = threading.Thread(target=self._run, name="aisio-prefetch", daemon=True)

    def __enter__(self) -> Prefetch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Shard]:
        while (opening := self._next_opening()) is not None:
            open_shard = partial(self._open, opening)
            yield Shard(opening.info, open_shard, opening.part, opening.links)

    def stop(self) -> None:
        """End the thread and close what it has opened; in a forked child this does nothing."""
        if not self._process.is_current or sys.is_finalizing():
            return  # at a program's end threads stand still, perhaps with the lock in hand
        with self._changed:
            self._stopped = True
            unclosed = list(self._unclosed)
            self._changed.notify_all()
        for opening in unclosed:
            self._abandon(opening)
        # The garbage collector may close an iteration in the iteration's own thread.
        if threading.current_thread() is not self._thread:
            self._thread.join(self._join_s)

    def _next_opening(self) -> Opening | None:
        self._process.check("this iteration")
        with self._changed:
            self._changed.wait_for(lambda: self._queue)
            first = self._queue[0]
            if isinstance(first, Opening):
                self._queue.popleft()
                self._changed.notify_all()
                return first
        if first.error is not None:
            raise first.error
        return None

    def _open(self, opening: Opening) -> Opened:
        self._process.check("this iteration")
        with self._changed:
            opening.want()
            self._changed.notify_all()
            self._changed.wait_for(lambda: opening.body or opening.has_stopped)
            if opening.body is None:
                self._unclosed.discard(opening)
        if opening.body is None:
            assert opening.error is not None
            raise opening.error
        return Opened(self, opening)

    def next_piece(self, opening: Opening, done: memoryview | None) -> memoryview | None:
        """Take back a piece and return the next one; None if the reader is to read the body."""
        self._process.check("this iteration")
        with self._changed:
            self._free(done)
            self._changed.wait_for(lambda: opening.pieces or opening.has_stopped)
            if opening.pieces:
                return opening.pieces.popleft()
        if opening.error is not None:
            raise opening.error
        return None

    def close(self, opening: Opening, piece: memoryview | None) -> None:
        """Close a shard that the reader opened; a forked child closes its own copy."""
        if sys.is_finalizing():
            return
        if self._process.is_current:
            with self._changed:
                self._free(piece)
            self._abandon(opening)
        elif opening.body is not None:
            opening.body.close()

    def _abandon(self, opening: Opening) -> None:
        with self._changed:
            must_close = opening.abandon()
            self._unclosed.discard(opening)
            while opening.pieces:
                self._free(opening.pieces.popleft())
            self._changed.notify_all()
        if must_close and opening.body is not None:
            opening.body.close()

    def _free(self, piece: memoryview | None) -> None:
        if piece is not None:
            self._buffers.free(piece)
            self._changed.notify_all()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for shard in self._shards:
                opening = Opening(shard.info, shard.part, shard.links)
                if not self._enqueue(opening):
                    break
                self._prefetch(opening, shard)
        except BaseException as caught:  # of any kind: without it the epoch would just be short
            error = caught
        finally:
            with self._changed:
                self._queue.append(_ListingEnd(error))
                self._changed.notify_all()

    def _enqueue(self, opening: Opening) -> bool:
        """Offer a shard to the reader when the queue has space; False if the iteration ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._queue) < self._buffers.count)
            self._queue.append(opening)
            self._unclosed.add(opening)
            self._changed.notify_all()
            return not self._stopped

    def _prefetch(self, opening: Opening, shard: Shard) -> None:
        error: BaseException | None = None
        try:
            with self._changed:
                is_abandoned = opening.is_abandoned
            if not is_abandoned:
                body = shard.open()
                with self._changed:
                    opening.body = body
                    self._changed.notify_all()
                while self._read_chunk(opening, body):
                    pass
        except BaseException as caught:  # of any kind: the reader waits for this shard
            error = caught
        finally:
            with self._changed:
                opening.error = error
                must_close = opening.stop()
                self._changed.notify_all()
        if must_close and opening.body is not None:
            opening.body.close()

    def _read_chunk(self, opening: Opening, body: ShardStream) -> bool:
        """Fill one buffer; return whether to fill another."""
        chunk = self._take_buffer(opening)
        if chunk is None:
            return False
        done, count = 0, 1
        try:
            while count and done < len(chunk) and opening.is_prefetching:
                count = body.readinto(chunk[done:])
                done += count
        finally:
            with self._changed:
                if done and not opening.is_abandoned:
                    opening.pieces.append(chunk[:done])
                    self._changed.notify_all()
                else:
                    self._free(chunk)
        return bool(count) and opening.is_prefetching

    def _take_buffer(self, opening: Opening) -> memoryview | None:
        """Wait for a free buffer; return None if the thread is to stop instead."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or not opening.is_prefetching or self._buffers.has_free()
            )
            if self._stopped or not opening.is_prefetching:
                return None
            return self._buffers.take()


class Opened:
    """A shard that the reader has come to: its prefetched pieces, then the rest of its body."""

    def __init__(self, prefetch: Prefetch, opening: Opening) -> None:
        self._prefetch = prefetch
        self._opening = opening
        self._piece: memoryview | None = None
        self._used = 0
        self._body: ShardStream | None = None

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for Body."""
        if self._body is None and (self._piece is None or self._used == len(self._piece)):
            done, self._piece, self._used = self._piece, None, 0
            self._piece = self._prefetch.next_piece(self._opening, done)
            if self._piece is None:
                self._body = self._opening.body
        if self._piece is None:
            assert self._body is not None
            return self._body.readinto(buffer)
        count = min(len(buffer), len(self._piece) - self._used)
        buffer[:count] = self._piece[self._used : self._used + count]
        self._used += count
        return count

    def close(self) -> None:
        """Release the connection; what was not read is not verified."""
        piece, self._piece = self._piece, None
        self._prefetch.close(self._opening, piece)
