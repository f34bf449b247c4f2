"""Building the indexes of many shards at once, each kept in the cache when it is ready.

A build that was interrupted goes on where it ended: a shard whose index is in the cache, or beside
the data, is not read again unless it was replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from aisio.errors import AisioError
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_build import OnRead, build_shard_index
from aisio.shards.index_cache import IndexCache
from aisio.shards.index_loading import ShardLookup
from aisio.transport.body import Body

__all__ = ["BuiltShard", "ListedShard", "build_indexes", "in_threads"]


T = TypeVar("T")
R = TypeVar("R")


class ListedShard(NamedTuple):
    """A shard to be indexed.

    Attributes:
        info: What the listing says about it.
        open: Opens it at its start.
    """

    info: ObjectInfo
    open: Callable[[], Body]


@dataclass(frozen=True, slots=True)
class BuiltShard:
    """What became of a shard.

    Attributes:
        info: What the listing says about it.
        index: An index that has it; None if `error` says why not.
        number: Its number in that index.
        was_current: Whether the index was there before, and is still right.
        error: Why it has no index.
    """

    info: ObjectInfo
    index: ShardIndex | None
    number: int = 0
    was_current: bool = False
    error: AisioError | OSError | None = None


class _StoppedError(Exception):
    """Ends the reads of a build whose iterator was closed."""


def build_indexes(
    shards: Sequence[ListedShard],
    *,
    cache: IndexCache,
    lookup: ShardLookup | None = None,
    jobs: int = 4,
    on_read: OnRead = lambda count: None,
) -> Generator[BuiltShard, None, None]:
    """Index shards that have no index yet, several at once; yield all, in their order.

    Args:
        shards: What to index.
        cache: Where to keep the index of each shard.
        lookup: Where to look for indexes that exist; None builds all anew.
        jobs: How many shards to read at once, each in a thread.
        on_read: Called with the size of each piece that was read, from any thread.
    """
    work = partial(_build, cache=cache, lookup=lookup)
    return in_threads(work, shards, jobs=jobs, on_read=on_read)


def in_threads(
    work: Callable[[T, OnRead], R],
    items: Sequence[T],
    *,
    jobs: int,
    on_read: OnRead = lambda count: None,
) -> Generator[R, None, None]:
    """Call a function with each item, several at once; yield the results in the items' order.

    Closing the iterator, or an exception in it, ends the calls that run at their next read.

    Args:
        work: Called with an item, and with a function that it calls with the size of each piece
            that it has read.
        items: The items.
        jobs: How many threads call it.
        on_read: What that function calls.
    """
    stopped = threading.Event()

    def count(size_bytes: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        on_read(size_bytes)

    pool = ThreadPoolExecutor(jobs, thread_name_prefix="aisio-index")
    try:
        futures: list[Future[R]] = [pool.submit(work, item, count) for item in items]
        futures.reverse()
        while futures:
            yield futures.pop().result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


def _build(
    shard: ListedShard, on_read: OnRead, *, cache: IndexCache, lookup: ShardLookup | None
) -> BuiltShard:
    try:
        found = lookup.find(shard.info) if lookup is not None else None
        if found is not None:
            return BuiltShard(shard.info, *found, was_current=True)
        index = build_shard_index(shard.open, shard.info, on_read=on_read)
        cache.save_fragment(index)
        return BuiltShard(shard.info, index)
    except (AisioError, OSError) as error:
        return BuiltShard(shard.info, None, error=error)
