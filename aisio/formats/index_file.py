"""The container of a shard index: named parts of bytes, each with a CRC-32; bytes in, views out.

All numbers are little-endian. A file is a header, a table of parts, and the parts:

    header   "<8sIIQI4x": magic, format version, number of parts, size of the whole file in bytes,
             CRC-32 of header and table, computed with zeros in its place
    table    "<24sQQII" a part: name (ASCII, zeros behind it), offset, size in bytes, CRC-32, and
             the bytes of one number (1, 4 or 8)
    parts    each at a multiple of 64 bytes, with zeros between them

The header and the table are checked when a file is opened, a part when it is first used. So a
mapped file costs nothing for the parts that nobody reads.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from aisio.errors import ConfigError, IntegrityError
from aisio.escapes import one_line

__all__ = ["FORMAT_VERSION", "INDEX_SUFFIX", "IndexFile", "PartBytes", "file_pieces"]

FORMAT_VERSION: Final = 1
INDEX_SUFFIX: Final = ".aisio-index"
"""Ending of the names of index files; sources leave such objects out of their listings."""

MAGIC: Final = b"\x89AISIDX\n"

_HEADER = struct.Struct("<8sIIQI4x")
_ENTRY = struct.Struct("<24sQQII")
_ALIGNMENT = 64
_MAX_PARTS = 64
_TYPECODES: Final = {1: "B", 4: "I", 8: "Q"}

PartBytes: TypeAlias = "bytes | bytearray | memoryview[int] | array[int]"
"""The content of a part: bytes, or an array of unsigned numbers of 4 or 8 bytes."""


class _Part(NamedTuple):
    """A line of the table.

    Attributes:
        offset: First byte of the part in the file.
        size_bytes: Its size.
        crc: CRC-32 of its bytes.
        item_bytes: Size of one number.
    """

    offset: int
    size_bytes: int
    crc: int
    item_bytes: int


def file_pieces(parts: Mapping[str, PartBytes]) -> Iterator[memoryview]:
    """Yield the bytes of an index file, piece by piece.

    Args:
        parts: Name of at most 24 ASCII characters -> content. An array is written little-endian.
    """
    views = {name: _little_endian(content) for name, content in parts.items()}
    offset = _aligned(_HEADER.size + _ENTRY.size * len(views))
    table = bytearray()
    for name, (view, item_bytes) in views.items():
        crc = zlib.crc32(view)
        table += _ENTRY.pack(name.encode("ascii"), offset, len(view), crc, item_bytes)
        offset += _aligned(len(view))
    start = _HEADER.pack(MAGIC, FORMAT_VERSION, len(views), offset, 0)
    crc = zlib.crc32(table, zlib.crc32(start))
    head = _HEADER.pack(MAGIC, FORMAT_VERSION, len(views), offset, crc) + table
    yield memoryview(head + bytes(-len(head) % _ALIGNMENT))
    for view, _ in views.values():
        yield view
        if len(view) % _ALIGNMENT:
            yield memoryview(bytes(-len(view) % _ALIGNMENT))


def _aligned(size: int) -> int:
    return size + -size % _ALIGNMENT


def _little_endian(content: PartBytes) -> tuple[memoryview, int]:
    if not isinstance(content, array):
        return memoryview(content).cast("B"), 1
    if sys.byteorder == "big":
        content = array(content.typecode, content)
        content.byteswap()
    return memoryview(content).cast("B"), content.itemsize


class IndexFile:
    """The parts of an index file.

    Args:
        buffer: The whole file, as bytes or as a memory map. The views that are returned share it.
        name: What errors call the file: its path or URL.

    Raises:
        IntegrityError: It is not an index, is cut, or its header or table is damaged.
        ConfigError: A newer version of aisio has written it.
    """

    def __init__(self, buffer: bytes | bytearray | memoryview, name: str) -> None:
        self.name = name
        self._view = memoryview(buffer).cast("B")
        self._parts = self._read_table()
        self._checked: set[str] = set()

    @property
    def view(self) -> memoryview:
        """All bytes of the file."""
        return self._view

    def __contains__(self, part: str) -> bool:
        return part in self._parts

    def count(self, part: str) -> int:
        """Return how many numbers a part has, by the table alone; 0 if there is no such part."""
        found = self._parts.get(part)
        return found.size_bytes // found.item_bytes if found else 0

    def raw(self, part: str) -> memoryview:
        """Return the bytes of a part.

        Raises:
            IntegrityError: There is no such part, or its bytes are damaged.
        """
        found = self._parts.get(part)
        if found is None:
            raise self._damaged(f"its part {part!r} is missing")
        view = self._view[found.offset : found.offset + found.size_bytes]
        if part not in self._checked:
            if zlib.crc32(view) != found.crc:
                raise self._damaged(
                    f"its part {part!r} (bytes {found.offset} to"
                    f" {found.offset + found.size_bytes}) has another CRC-32 than was written"
                )
            self._checked.add(part)
        return view

    def check(self) -> None:
        """Check the CRC-32 of all parts; errors as for `raw`."""
        for part in self._parts:
            self.raw(part)

    def numbers(self, part: str) -> memoryview[int]:
        """Return the numbers of a part; errors as for `raw`.

        On a big-endian machine this is a copy of the part.
        """
        view = self.raw(part)
        typecode = _TYPECODES[self._parts[part].item_bytes]
        if sys.byteorder == "big":
            copy = array(typecode)
            copy.frombytes(view)
            copy.byteswap()
            return memoryview(copy)
        return view.cast(typecode)  # type: ignore[call-overload, no-any-return]

    def _read_table(self) -> dict[str, _Part]:
        view = self._view
        if bytes(view[: len(MAGIC)]) != MAGIC:
            raise IntegrityError(f"{one_line(self.name)}: not a shard index of aisio")
        if len(view) < _HEADER.size:
            raise self._cut("its header")
        _, version, count, size_bytes, crc = _HEADER.unpack_from(view)
        if version > FORMAT_VERSION:
            raise ConfigError(
                f"{one_line(self.name)}: a shard index of format {version}, and this aisio reads"
                f" up to {FORMAT_VERSION}: update aisio, or build the index again"
            )
        table_end = _HEADER.size + count * _ENTRY.size
        if count > _MAX_PARTS:
            raise self._damaged("its header")
        if len(view) < table_end:
            raise self._cut("its table of parts")
        start = _HEADER.pack(MAGIC, version, count, size_bytes, 0)
        if zlib.crc32(view[_HEADER.size : table_end], zlib.crc32(start)) != crc:
            raise self._damaged("its header or table has another CRC-32 than was written")
        if len(view) != size_bytes:
            raise self._cut(f"{size_bytes:,} bytes")
        return self._unpack_table(view[_HEADER.size : table_end])

    def _unpack_table(self, table: memoryview) -> dict[str, _Part]:
        parts = {}
        for raw_name, *numbers in _ENTRY.iter_unpack(table):
            part = _Part(*numbers)
            is_whole = part.item_bytes in _TYPECODES and part.size_bytes % part.item_bytes == 0
            if not is_whole or part.offset + part.size_bytes > len(self._view):
                raise self._damaged("its table of parts")
            parts[raw_name.rstrip(b"\0").decode("ascii", "replace")] = part
        return parts

    def _cut(self, expected: str) -> IntegrityError:
        return IntegrityError(
            f"{one_line(self.name)}: this shard index has {len(self._view):,} bytes, and"
            f" {expected} should be there: it was cut; build it again"
        )

    def _damaged(self, what: str) -> IntegrityError:
        return IntegrityError(
            f"{one_line(self.name)}: this shard index is damaged: {what}; build it again"
        )
