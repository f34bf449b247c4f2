"""Reads the samples of a run, whose bytes are in memory.

Bytes that have the hash of the index are those that were parsed when the shard was indexed: their
headers are valid, and no checksum of one has to be computed again. So a sample of plain files,
which most are, is read in a quarter of the time that a parser takes (14 us, of three fields). Any
other member, as one with a long name, is left to `TarPart`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import Final

from aisio.formats.tar_header import BLOCK_BYTES
from aisio.formats.tar_part import TarPart
from aisio.shards.linked_files import Links
from aisio.shards.reader import read_part
from aisio.shards.sample_runs import SampleRun
from aisio.shards.samples import Sample, split_name

__all__ = ["parse_run"]

_HEADER = struct.Struct("100s24x11sc20xc188xc")
"""Name, digits of the size, what ends them, typeflag, the prefix's first byte: `tar_header`."""

_ENDS_OF_DIGITS: Final = (b"\0", b" ")


def parse_run(
    run: SampleRun,
    data: bytearray,
    part: TarPart,
    *,
    url: str,
    keys: Collection[str] | None = None,
    is_verified: bool,
    links: Links | None = None,
) -> list[Sample]:
    """Return the samples of a run, in their order.

    Args:
        run: Where they are.
        data: The bytes of the run, and perhaps others behind them.
        part: A parser; what it parsed before does not matter.
        url: The shard's URL.
        keys: Copy only these fields. Others are left out; a sample that has none of these is not.
        is_verified: Whether the bytes of all samples have the hashes of the index.
        links: See `ShardPass`.

    Raises:
        ShardError: As from `read_part`.
    """
    if is_verified and (samples := _plain_samples(run, memoryview(data), url, keys)):
        return samples
    samples = []
    part.url = url
    for start, stop in _adjacent(run):
        part.begin(data, start - run.start, stop - run.start, start)
        samples += read_part(part, url=url, keys=keys, links=links)
    return samples


def _plain_samples(
    run: SampleRun, data: memoryview, url: str, keys: Collection[str] | None
) -> list[Sample]:
    """Return the samples; none if one of them has any member but plain files of its own."""
    samples: list[Sample] = []
    for offset, size_bytes in zip(run.offsets, run.sizes, strict=True):
        start = offset - run.start
        sample = _plain_sample(data[start : start + size_bytes], url, offset, keys)
        if sample is None:
            return []
        samples.append(sample)
    return samples


def _plain_sample(
    data: memoryview, url: str, offset: int, keys: Collection[str] | None
) -> Sample | None:
    key, position, stop = "", 0, len(data)
    fields: dict[str, bytes] = {}
    left_out: list[str] = []
    while position < stop:
        try:
            name, digits, end, typeflag, prefix = _HEADER.unpack_from(data, position)
            size_bytes = int(digits, 8)
        except (struct.error, ValueError):  # as where the size is in base 256
            return None
        if typeflag != b"0" or prefix != b"\0" or end not in _ENDS_OF_DIGITS:
            return None
        split = split_name(name.partition(b"\0")[0].decode("utf-8", "surrogateescape"))
        if split is None or (key and key != split[0]) or size_bytes < 0:
            return None
        key, extension = split
        start = position + BLOCK_BYTES
        position = start + size_bytes + -size_bytes % BLOCK_BYTES
        if extension in fields:
            return None
        if keys is None or extension in keys:
            fields[extension] = data[start : start + size_bytes].tobytes()
        else:
            left_out.append(extension)
    if position != stop:
        return None
    return Sample(url, key, key[key.rfind("/") + 1 :], fields, offset, left_out)


def _adjacent(run: SampleRun) -> Iterator[tuple[int, int]]:
    """Yield first byte and end of those of the samples that follow each other without a gap."""
    start = stop = run.start
    for offset, size in zip(run.offsets, run.sizes, strict=True):
        if offset != stop:
            yield start, stop
            start = offset
        stop = offset + size
    yield start, stop
