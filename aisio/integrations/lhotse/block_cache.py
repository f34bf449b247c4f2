"""The blocks that the readers of a process have read ahead: bounded for all readers together.

A job of thousands of shards has thousands of open readers, and most are read again only after a
long time. So a block belongs to the process, and the least recently used one is forgotten first.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from typing import NamedTuple

from aisio.forks import in_child

__all__ = ["MAX_CACHED_BYTES", "NO_BLOCK", "Block", "BlockCache", "shared_blocks"]

MAX_CACHED_BYTES = 64 * 1024 * 1024


class Block(NamedTuple):
    """Bytes of an object.

    Attributes:
        start: Offset of the first one.
        data: The bytes.
    """

    start: int
    data: bytes

    @property
    def stop(self) -> int:
        """One past the offset of the last one."""
        return self.start + len(self.data)


NO_BLOCK = Block(0, b"")


class BlockCache:
    """At most one block for each reader, and a number of bytes for all of them.

    Any number of threads may use it.

    Args:
        max_bytes: The size of all blocks together.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.cached_bytes = 0
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._numbers = itertools.count()
        self._dropped: deque[int] = deque()
        self._lock = threading.Lock()

    def new_number(self) -> int:
        """Return a number for a reader."""
        return next(self._numbers)

    def get(self, number: int) -> Block:
        """Return the block of a reader; an empty one if there is none, or none any more."""
        with self._lock:
            self._sweep()
            if number not in self._blocks:
                return NO_BLOCK
            self._blocks.move_to_end(number)
            return self._blocks[number]

    def put(self, number: int, block: Block) -> None:
        """Keep a block in place of the reader's last one."""
        with self._lock:
            self._sweep()
            self._forget(number)
            self._blocks[number] = block
            self.cached_bytes += len(block.data)
            while self.cached_bytes > self.max_bytes:
                self._forget(next(iter(self._blocks)))

    def drop(self, number: int) -> None:
        """Forget the block of a reader, without waiting.

        A garbage collection calls this at any point, also while its own thread holds the lock. Then
        the block is forgotten before the cache is next used.
        """
        self._dropped.append(number)
        if self._lock.acquire(blocking=False):
            try:
                self._sweep()
            finally:
                self._lock.release()

    def _sweep(self) -> None:
        while self._dropped:
            self._forget(self._dropped.popleft())

    def _forget(self, number: int) -> None:
        block = self._blocks.pop(number, NO_BLOCK)
        self.cached_bytes -= len(block.data)

    def reset_lock(self) -> None:
        """Begin with a free lock, and no blocks: another thread may have held it at the fork."""
        self._lock = threading.Lock()
        self._blocks.clear()
        self._dropped.clear()
        self.cached_bytes = 0


shared_blocks = BlockCache(MAX_CACHED_BYTES)
in_child(shared_blocks.reset_lock)
