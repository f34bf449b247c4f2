"""The index of a tar that Alibaba's OSS connector reads and writes: where each regular file is.

    0x000  8 bytes  "TarIdx", two zeros
    0x008  u16      version: 1
    0x00a  u8       compression: 1 for zlib
    0x00b  u8       level of the compression; of no meaning to a reader
    0x00c  8 bytes  zeros
    0x014  u64      size of the body in bytes
    0x01c  u64      number of entries: the regular files, and one more
    0x024  u32      CRC of the body
    0x028  ...      zeros
    0x1fc  u32      CRC of this header, with zeros in place of the CRC
    0x200  ...      the body

All numbers are little-endian. The body is a zlib stream of one u32 for each entry: how many blocks
of 512 bytes it is behind the entry before it. An entry is the first block of a file, its extension
headers included; the last entry is the end-of-archive block. Folders, links and hard links have no
entry: their blocks come behind the file before them. There are no names and no hashes.

The CRC has the polynomial of CRC-32C, but begins with 0, and its bits are not inverted at the end.

Source:
    Files that osstorchconnector 1.2.3 has written, and which of ours it reads.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

import google_crc32c

from aisio.errors import ConfigError, ShardError
from aisio.escapes import one_line
from aisio.formats.tar_header import BLOCK_BYTES

__all__ = ["TAR_INDEX_MAGIC", "MemberSpans", "decode_tar_index", "encode_tar_index"]

TAR_INDEX_MAGIC: Final = b"TarIdx\0\0"

_HEADER: Final = struct.Struct("<8sHBB8xQQI468xI")
_CRC_AT: Final = 508
_VERSION, _ZLIB, _LEVEL = 1, 1, 6
_MAX_BLOCKS = (1 << 32) - 1
_MAX_RATIO = 1032
"""Of deflate: so many bytes come out of one at most."""


class MemberSpans(NamedTuple):
    """Where the regular files of a tar are.

    Attributes:
        starts: The first byte of each, extension headers included.
        end: The byte of the end-of-archive block.
    """

    starts: array[int]
    end: int


def encode_tar_index(starts: Sequence[int], end: int) -> bytes:
    """Return the index of a tar.

    Args:
        starts: First byte of each regular file, extension headers included, in their order.
        end: Byte of the end-of-archive block.

    Raises:
        ConfigError: These are not offsets of a tar, or more than 2 TiB are between two of them.
    """
    bounds = [0, *starts, end]
    if any(bound % BLOCK_BYTES for bound in bounds) or not _increase(bounds[1:]):
        raise ConfigError("these are not the offsets of the files of a tar, in their order")
    steps = [(stop - start) // BLOCK_BYTES for start, stop in pairwise(bounds)]
    if max(steps) > _MAX_BLOCKS:
        raise ConfigError("an index of this form cannot have a file of 2 TiB or more")
    body = zlib.compress(_little_endian(array("I", steps)).tobytes(), _LEVEL)
    fields = (TAR_INDEX_MAGIC, _VERSION, _ZLIB, _LEVEL, len(body), len(steps), _crc(body))
    header = _HEADER.pack(*fields, 0)
    return _HEADER.pack(*fields, _crc(header)) + body


def decode_tar_index(data: bytes, *, name: str) -> MemberSpans:
    """Return what an index says.

    Args:
        data: Its content.
        name: Its URL, for errors.

    Raises:
        ShardError: It is no such index, or it is damaged; the text says where.
    """
    if not data.startswith(TAR_INDEX_MAGIC):
        raise _unusable(name, f"it begins with {data[:8]!r}, and not with {TAR_INDEX_MAGIC!r}")
    if len(data) < _HEADER.size:
        raise _unusable(name, f"it has {len(data)} bytes, and its header alone has 512: it was cut")
    _, version, compression, _, body_bytes, count, body_crc, crc = _HEADER.unpack_from(data)
    if _crc(data[:_CRC_AT] + bytes(4)) != crc:
        raise _unusable(name, "its header is damaged: the CRC of the header is another one")
    if (version, compression) != (_VERSION, _ZLIB):
        what = f"version {version}, compression {compression}"
        raise _unusable(name, f"it has {what}; version 1 is read, with compression 1")
    body = data[_HEADER.size :]
    if len(body) != body_bytes:
        what = "was cut" if len(body) < body_bytes else "has other bytes behind it"
        raise _unusable(name, f"its body has {len(body):,} bytes, not {body_bytes:,}: it {what}")
    if _crc(body) != body_crc:
        raise _unusable(name, "its body is damaged: the CRC of the body is another one")
    return _spans(_inflated(body, count, name), name)


def _inflated(body: bytes, count: int, name: str) -> array[int]:
    """Return the numbers of the body."""
    size_bytes = 4 * count
    if not count or size_bytes > _MAX_RATIO * len(body):
        raise _unusable(name, f"its header says {count:,} entries, which its body cannot have")
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(body, size_bytes + 1)
    except zlib.error as error:
        raise _unusable(name, f"its body cannot be inflated: {error}") from error
    if len(content) != size_bytes:
        what = "more" if len(content) > size_bytes else "fewer"
        raise _unusable(name, f"its header says {count:,} entries, and its body has {what} bytes")
    if not inflater.eof or inflater.unused_data:
        raise _unusable(name, "its body does not end where the zlib stream in it does")
    return _little_endian(array("I", content))


def _spans(steps: array[int], name: str) -> MemberSpans:
    if sum(steps) > sys.maxsize // BLOCK_BYTES:
        raise _unusable(name, "its offsets are beyond the end of any tar")
    blocks = list(accumulate(steps))
    if not _increase(blocks):
        raise _unusable(name, "its offsets do not increase")
    return MemberSpans(array("Q", (block * BLOCK_BYTES for block in blocks[:-1])), blocks[-1] * 512)


def _increase(numbers: Sequence[int]) -> bool:
    return all(one < next_one for one, next_one in pairwise(numbers))


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _crc(data: bytes) -> int:
    # `extend` inverts the bits of what it is given, and of what it returns.
    inverted: int = google_crc32c.extend(0xFFFFFFFF, data)
    return inverted ^ 0xFFFFFFFF


def _unusable(name: str, what: str) -> ShardError:
    text = f"{one_line(name)}: this index of a tar cannot be used: {what}; make it anew"
    return ShardError(text, url=name)
