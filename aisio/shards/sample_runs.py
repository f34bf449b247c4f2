"""SampleRun: samples of one shard that one request reads, planned from their places in an index."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aisio.shards.index import ShardIndex

__all__ = ["MAX_RUN_BYTES", "SampleRun", "plan_runs"]

MAX_RUN_BYTES = 2 << 20
"""Maximum size of a request for several samples. From 1 MiB on, ranged requests in random order are
as fast as whole shards that are streamed."""

_MAX_GAP_BYTES = 128 << 10
"""Bytes between two samples that are read in vain rather than by another request, which would take
more of the processor's time."""


class SampleRun(NamedTuple):
    """Samples of one shard, in their order in it.

    Attributes:
        shard: Number of the shard.
        numbers: Numbers of the samples, ascending.
        offsets: Their first bytes; none where the shard cannot be read by ranges: it is read whole
            then.
        sizes: Their sizes in bytes.
        size_bytes: How many bytes are read.
    """

    shard: int
    numbers: list[int]
    offsets: list[int]
    sizes: list[int]
    size_bytes: int

    @property
    def start(self) -> int:
        """First byte of the shard that is read."""
        return self.offsets[0]


def plan_runs(
    index: ShardIndex, numbers: Iterable[int], *, max_bytes: int = MAX_RUN_BYTES
) -> Iterator[SampleRun]:
    """Plan the requests that read some samples: neighbours, and near ones, come together.

    Args:
        index: Has the places of the samples.
        numbers: Which samples, in any order; one that is named twice is read once.
        max_bytes: Maximum size of a request; a larger sample is alone.

    Yields:
        Runs in the order of their shards and bytes.

    Raises:
        IndexError: The index has no such sample.
    """
    ordered = sorted(set(numbers))
    first = 0
    while first < len(ordered):
        shard = index.shard_of(ordered[first])
        about = index.shard(shard)
        stop = bisect_left(ordered, about.first_sample + about.samples, first)
        found = ordered[first:stop]
        if about.is_ranged:
            yield from _ranged_runs(shard, found, *index.columns(found), max_bytes)
        else:
            yield SampleRun(shard, found, [], [], about.size_bytes)
        first = stop


def _ranged_runs(
    shard: int, numbers: list[int], offsets: list[int], sizes: list[int], max_bytes: int
) -> Iterator[SampleRun]:
    first, start, stop = 0, offsets[0], offsets[0]
    for place, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        end = offset + size
        if place > first and (offset - stop > _MAX_GAP_BYTES or end - start > max_bytes):
            run = slice(first, place)
            yield SampleRun(shard, numbers[run], offsets[run], sizes[run], stop - start)
            first, start = place, offset
        stop = end
    yield SampleRun(shard, numbers[first:], offsets[first:], sizes[first:], stop - start)
