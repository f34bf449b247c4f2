"""The next shards, opened and begun while the current one is read.

One thread an iteration lists, opens, and reads the beginnings of shards to come into a bounded
number of buffers. When the reader comes to a shard, it takes over: it empties the buffers and then
reads on from the socket itself, without this thread in between. So between two shards there is no
wait for a listing page, a request or a cold disk, while the bulk of a shard is copied no more often
than without prefetching.

The thread is a daemon and ends with the iteration; where it is inside a request then, with that
request. It belongs to one process: after a fork, nothing here is touched by the child.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import NamedTuple, Protocol

from aisio.errors import ConfigError, StorageError
from aisio.records import ObjectInfo

__all__ = ["Opened", "Prefetch", "Shard", "ShardStream"]

_CHUNK_BYTES = 1024 * 1024
_JOIN_S = 2.0


class ShardStream(Protocol):
    """An open shard: a Body, or one whose beginning was read ahead."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end."""

    def close(self) -> None:
        """Let go of the connection."""


class Shard(NamedTuple):
    """A shard to be read.

    Attributes:
        info: What the listing says of it.
        open: Opens it, or raises what became of that.
    """

    info: ObjectInfo
    open: Callable[[], ShardStream]


class _Head:
    """The beginning of one shard; whoever holds the Prefetch's lock may look and change."""

    def __init__(self, info: ObjectInfo) -> None:
        self.info = info
        self.body: ShardStream | None = None
        self.pieces: deque[memoryview] = deque()
        self.error: BaseException | None = None
        self.wanted = False  # the reader is here: hand over
        self.handed_over = False  # the thread will touch the body no more
        self.abandoned = False  # nobody will read on


class Prefetch:
    """Reads ahead; `with` it, and take its shards in order.

    Args:
        shards: What to read. It is iterated by the thread alone.
        limit_bytes: Most bytes held for shards that the reader has not come to.
    """

    def __init__(self, shards: Iterable[Shard], limit_bytes: int) -> None:
        if limit_bytes < 1:
            raise ConfigError(f"limit_bytes={limit_bytes}: at least one byte is needed")
        self._shards = shards
        # Several also where little is allowed: each shard that is read ahead needs one.
        self._chunk_bytes = max(1, min(limit_bytes // 4, _CHUNK_BYTES))
        self._unmade = limit_bytes // self._chunk_bytes  # buffers that do not exist yet
        self._most_heads = self._unmade
        self._free: list[memoryview] = []
        self._heads: deque[_Head] = deque()  # to be taken by the reader
        self._live: set[_Head] = set()  # to be let go
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None  # of the listing
        self._stopped = False
        self._pid = os.getpid()
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
        while (head := self._next_head()) is not None:
            yield Shard(head.info, partial(self._open, head))

    def stop(self) -> None:
        """End the thread and let go of what it holds; in a forked child this does nothing."""
        if os.getpid() != self._pid or sys.is_finalizing():
            return  # at a program's end threads stand still, perhaps with the lock in hand
        with self._changed:
            self._stopped = True
            heads = list(self._live)
            self._changed.notify_all()
        for head in heads:
            self._abandon(head)
        # An epoch that nobody closed may be collected in its own thread.
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)

    def _next_head(self) -> _Head | None:
        self._check_process()
        with self._changed:
            self._changed.wait_for(lambda: self._heads or self._ended)
            if self._heads:
                head = self._heads.popleft()
                self._changed.notify_all()
                return head
        if self._error is not None:
            raise self._error
        return None

    def _open(self, head: _Head) -> Opened:
        self._check_process()
        with self._changed:
            head.wanted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: head.body or head.handed_over)
            if head.body is None:
                self._live.discard(head)
        if head.body is None:
            assert head.error is not None
            raise head.error
        return Opened(self, head)

    def next_piece(self, head: _Head, done: memoryview | None) -> memoryview | None:
        """Give a piece back and return the next one; None where the reader is to read on itself."""
        self._check_process()
        with self._changed:
            self._give_back(done)
            self._changed.wait_for(lambda: head.pieces or head.handed_over)
            if head.pieces:
                return head.pieces.popleft()
        if head.error is not None:
            raise head.error
        return None

    def _abandon(self, head: _Head) -> None:
        with self._changed:
            head.wanted = head.abandoned = True
            self._live.discard(head)
            while head.pieces:
                self._give_back(head.pieces.popleft())
            closed_here = head.handed_over
            self._changed.notify_all()
        if closed_here and head.body is not None:
            head.body.close()

    def close(self, head: _Head, piece: memoryview | None) -> None:
        """Let go of a shard that the reader opened; in a forked child, of this process's copy."""
        if sys.is_finalizing():
            return
        if os.getpid() == self._pid:
            with self._changed:
                self._give_back(piece)
            self._abandon(head)
        elif head.body is not None:
            head.body.close()

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise StorageError(
                "this iteration was begun before the fork: begin another in this process"
            )

    def _give_back(self, piece: memoryview | None) -> None:
        if piece is not None:
            self._free.append(memoryview(piece.obj))
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            for shard in self._shards:
                head = _Head(shard.info)
                if not self._offer(head):
                    break
                self._fill(head, shard)
        except BaseException as error:  # whatever it is: without it the epoch would just be short
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _offer(self, head: _Head) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._heads) < self._most_heads)
            self._heads.append(head)
            self._live.add(head)
            self._changed.notify_all()
            return not self._stopped

    def _fill(self, head: _Head, shard: Shard) -> None:
        try:
            with self._changed:
                abandoned = head.abandoned
            if not abandoned:
                body = shard.open()
                with self._changed:
                    head.body = body
                    self._changed.notify_all()
                while self._read_chunk(head, body):
                    pass
        except BaseException as error:  # whatever it is: somebody waits for this shard
            head.error = error
        finally:
            with self._changed:
                head.handed_over = True
                abandoned = head.abandoned
                self._changed.notify_all()
        if abandoned and head.body is not None:
            head.body.close()

    def _read_chunk(self, head: _Head, body: ShardStream) -> bool:
        """Read a buffer full, and say whether to go on."""
        chunk = self._free_chunk(head)
        if chunk is None:
            return False
        done, count = 0, 1
        try:
            while count and done < len(chunk) and not head.wanted:
                count = body.readinto(chunk[done:])
                done += count
        finally:
            with self._changed:
                if done and not head.abandoned:
                    head.pieces.append(chunk[:done])
                else:
                    self._give_back(chunk)
                self._changed.notify_all()
        return bool(count) and not head.wanted

    def _free_chunk(self, head: _Head) -> memoryview | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or head.wanted or self._free or self._unmade
            )
            if self._stopped or head.wanted:
                return None
            if self._free:
                return self._free.pop()
            self._unmade -= 1
        return memoryview(bytearray(self._chunk_bytes))


class Opened:
    """A shard that the reader has come to: its pieces, then its body."""

    def __init__(self, prefetch: Prefetch, head: _Head) -> None:
        self._prefetch = prefetch
        self._head = head
        self._piece: memoryview | None = None
        self._used = 0
        self._body: ShardStream | None = None

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for Body."""
        if self._body is None and (self._piece is None or self._used == len(self._piece)):
            done, self._piece, self._used = self._piece, None, 0
            self._piece = self._prefetch.next_piece(self._head, done)
            if self._piece is None:
                self._body = self._head.body
        if self._piece is None:
            assert self._body is not None
            return self._body.readinto(buffer)
        count = min(len(buffer), len(self._piece) - self._used)
        buffer[:count] = self._piece[self._used : self._used + count]
        self._used += count
        return count

    def close(self) -> None:
        """Let go of the connection; what was not read is not verified."""
        piece, self._piece = self._piece, None
        self._prefetch.close(self._head, piece)
