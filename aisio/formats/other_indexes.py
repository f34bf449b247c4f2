"""Index files of other tools: where the samples of one tar are.

    DALI        text: "v1.2 SAMPLES", then a line for each sample, with "EXTENSION OFFSET SIZE NAME"
                for each of its files; the offset is that of the payload
    Lhotse      little-endian u64: the first header of each sample, then the size of the archive
    energon     the same, but the last number is the offset of the end-of-archive block

None of them has hashes, and none says of which version of the archive it is.

Source:
    NVIDIA DALI 1.5x, tools/wds2idx.py; lhotse 1.3x, lhotse/indexing.py; megatron-energon 7.4.1,
    flavors/webdataset/itar.py and prepare.py.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from aisio.errors import ShardError
from aisio.escapes import one_line
from aisio.formats.tar_header import BLOCK_BYTES

__all__ = ["OtherIndex", "parse_other_index"]

_DALI: Final = b"v1.2 "
_MAX_END_BYTES: Final = 1 << 20
"""Behind the end-of-archive block; tapes pad an archive to 10 KiB, some tools to more."""


class OtherIndex(NamedTuple):
    """What an index file says.

    Attributes:
        tool: Whose format it is.
        starts: Where each sample begins; with a file of DALI possibly before its first header.
        end: Where the last one ends, or a later byte of the archive's end.
        names: Of DALI: the names of all files, those of one sample together; else None.
    """

    tool: str
    starts: array[int]
    end: int
    names: Sequence[Sequence[str]] | None


def parse_other_index(data: bytes, *, name: str, size_bytes: int) -> OtherIndex:
    """Parse the index file of a tar.

    Args:
        data: Its content.
        name: Its URL, for errors.
        size_bytes: Size of the tar.

    Raises:
        ShardError: It is in none of these formats, or it cannot be that of a tar of this size.
    """
    index = _parse_dali(data, name) if data.startswith(b"v1.") else _parse_offsets(data, name)
    bounds = [*index.starts, index.end]
    if any(start % BLOCK_BYTES for start in bounds):
        raise _wrong(name, "an offset is no multiple of 512: there is no tar header")
    if not all(start < stop for start, stop in pairwise(bounds)):
        raise _wrong(name, "its offsets do not increase")
    if index.end > size_bytes or size_bytes - index.end > _MAX_END_BYTES:
        raise _wrong(
            name,
            f"it ends at byte {index.end:,}, and the archive has {size_bytes:,} bytes: it is that"
            " of another version",
        )
    return index


def _parse_offsets(data: bytes, name: str) -> OtherIndex:
    if len(data) % 8 or len(data) < 16:
        raise _wrong(name, f"{len(data)} bytes are not offsets of 8 bytes each, at least two")
    offsets = array("Q", data)
    if sys.byteorder == "big":
        offsets.byteswap()
    return OtherIndex("Lhotse or energon", offsets[:-1], offsets[-1], None)


def _parse_dali(data: bytes, name: str) -> OtherIndex:
    if not data.startswith(_DALI):
        raise _wrong(name, f"version {data.split()[0]!r} of DALI's format; v1.2 is read")
    try:
        first, *lines = data.decode("utf-8", "surrogateescape").splitlines()
        count = int(first.split()[1])
        samples = [list(_components(line)) for line in lines]
    except (ValueError, IndexError) as error:
        raise _wrong(name, f"a line is not as DALI writes it: {error}") from error
    if len(samples) != count or not all(samples):
        raise _wrong(name, f"it has {len(samples):,} samples, and says {count:,}: it was cut")
    starts, end = array("Q"), 0
    for sample in samples:
        # The headers of its first file are behind the payload of the file before it.
        starts.append(end)
        _, offset, size_bytes = sample[-1]
        end = offset + size_bytes + -size_bytes % BLOCK_BYTES
    names = [[component[0] for component in sample] for sample in samples]
    return OtherIndex("DALI", starts, end, names)


def _components(line: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, offset and size of the files of a sample."""
    words = line.split(" ")
    if len(words) % 4:
        raise ValueError(f"{line[:100]!r}: names with blanks cannot be told apart")
    for position in range(0, len(words), 4):
        _, offset, size_bytes, name = words[position : position + 4]
        yield name, int(offset), int(size_bytes)


def _wrong(name: str, what: str) -> ShardError:
    return ShardError(f"{one_line(name)}: this index of a tar cannot be used: {what}", url=name)
