"""Blocks that readers have read ahead."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch  # noqa: F401 - the folder's conftest needs it

from aisio.integrations.lhotse.block_cache import NO_BLOCK, Block, BlockCache, shared_blocks


def test_a_reader_has_its_last_block() -> None:
    """And no other's."""
    cache = BlockCache(100)
    first, second = cache.new_number(), cache.new_number()
    cache.put(first, Block(0, b"old"))
    cache.put(first, Block(10, b"new"))
    assert cache.get(first) == Block(10, b"new")
    assert cache.get(first).stop == 13
    assert cache.get(second) == NO_BLOCK
    assert cache.cached_bytes == 3
    cache.drop(first)
    cache.drop(second)
    assert (cache.get(first), cache.cached_bytes) == (NO_BLOCK, 0)


def test_the_least_recently_used_block_is_forgotten_first() -> None:
    """All blocks together are bounded."""
    cache = BlockCache(10)
    numbers = [cache.new_number() for _ in range(4)]
    for number in numbers[:3]:
        cache.put(number, Block(0, bytes(3)))
    cache.get(numbers[0])
    cache.put(numbers[3], Block(0, bytes(4)))
    assert [len(cache.get(number).data) for number in numbers] == [3, 0, 3, 4]
    cache.put(numbers[1], Block(0, bytes(11)))  # larger than all together may be
    assert cache.cached_bytes == 0


def test_a_forked_child_begins_without_blocks() -> None:
    """Another thread may have held the lock when it was forked."""
    number = shared_blocks.new_number()
    shared_blocks.put(number, Block(0, b"data"))
    child = os.fork()
    if not child:
        os._exit(len(shared_blocks.get(number).data))
    assert os.waitpid(child, 0)[1] == 0
    assert shared_blocks.get(number).data == b"data"
    shared_blocks.drop(number)


class _Size(int):
    """A limit of bytes that drops a block when it is compared, as a garbage collection may."""

    def __new__(cls, value: int, drop: Callable[[], None]) -> _Size:
        size = super().__new__(cls, value)
        size.drop = drop
        return size

    drop: Callable[[], None]

    def __lt__(self, other: int) -> bool:
        self.drop()
        return super().__lt__(other)


def test_a_reader_may_be_collected_while_a_block_is_kept() -> None:
    """Its finalizer runs in the thread that holds the lock."""
    cache = BlockCache(100)
    first, second = cache.new_number(), cache.new_number()
    cache.put(first, Block(0, b"old"))
    cache.max_bytes = _Size(100, lambda: cache.drop(first))
    cache.put(second, Block(0, b"new"))
    assert cache.get(first) == NO_BLOCK
    assert cache.get(second) == Block(0, b"new")
    assert cache.cached_bytes == 3
