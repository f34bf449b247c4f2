"""SampleRun: samples of one shard that one request reads, planned from their places in an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from aisio.shards.index import SampleSpan, ShardIndex

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
        spans: Where they are; none where the shard cannot be read by ranges: it is read whole then.
        size_bytes: How many bytes are read.
    """

    shard: int
    numbers: list[int]
    spans: list[SampleSpan]
    size_bytes: int

    @property
    def start(self) -> int:
        """First byte of the shard that is read."""
        return self.spans[0].offset


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
    places = ((number, index.span(number)) for number in sorted(set(numbers)))
    for shard, group in groupby(places, key=lambda place: place[1].shard):
        found, spans = map(list, zip(*group, strict=True))
        about = index.shard(shard)
        if about.is_ranged:
            yield from _ranged_runs(shard, found, spans, max_bytes)
        else:
            yield SampleRun(shard, found, [], about.size_bytes)


def _ranged_runs(
    shard: int, numbers: list[int], spans: list[SampleSpan], max_bytes: int
) -> Iterator[SampleRun]:
    first, start, stop = 0, spans[0].offset, spans[0].offset
    for place, span in enumerate(spans):
        end = span.offset + span.size_bytes
        if place > first and (span.offset - stop > _MAX_GAP_BYTES or end - start > max_bytes):
            yield SampleRun(shard, numbers[first:place], spans[first:place], stop - start)
            first, start = place, span.offset
        stop = end
    yield SampleRun(shard, numbers[first:], spans[first:], stop - start)
