"""Reading a member of a zip, in pieces and in bounded memory.

Python's zipfile reads the directory of a zip. It is not used for the data of members, because it
decompresses all that it has read of a bzip2 or LZMA member at once: 1,700 bytes became 4 GiB.

Source:
    PKWARE's APPNOTE 6.3.9: 4.3.7 (the local header), 4.4.4 (the flags), 4.4.5 (the methods), 5.8
    (LZMA). "LZMA specification" by Igor Pavlov, for the header that LZMA data has in a file.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeAlias

from aisio.formats.decompress import Inflater

__all__ = ["ReadAt", "ZipEntry", "read_zip_member"]

ReadAt: TypeAlias = Callable[[int, int], bytes]
"""Returns bytes of the zip: so many, at an offset; fewer where it ends."""

_LOCAL_HEADER = struct.Struct("<4s22x2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_ENCRYPTED, _PATCHED, _HAS_END_MARKER = 0x1, 0x20, 0x2
_PIECE_BYTES = 1 << 20
_MAX_OFFSET = 1 << 62  # a directory may say 64 bits, and files have 63
# As much as a .tar.xz may need: reading what `xz -9` wrote takes 65 MiB, and a header may ask for
# 4 GiB.
_LZMA_MEMORY_BYTES = 128 << 20
_LZMA_PROPERTIES_BYTES = 5
_UNKNOWN_SIZE = (1 << 64) - 1


class ZipEntry(NamedTuple):
    """What the directory of a zip says about the data of a member.

    Attributes:
        offset: Byte of the zip where the header in front of the data begins.
        method: How it is compressed.
        flags: General purpose flags.
        compressed_bytes: Size of the data in the zip.
        size_bytes: Size of the content.
        crc: CRC-32 of the content.
    """

    offset: int
    method: int
    flags: int
    compressed_bytes: int
    size_bytes: int
    crc: int

    @classmethod
    def of(cls, info: zipfile.ZipInfo) -> ZipEntry:
        """Return the entry that zipfile has read."""
        data = info.compress_type, info.flag_bits, info.compress_size
        return cls(info.header_offset, *data, info.file_size, info.CRC)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def read_zip_member(entry: ZipEntry, read_at: ReadAt) -> Iterator[bytes]:
    """Yield the content of a member, in pieces of at most 1 MiB.

    The last piece comes after its CRC was compared.

    Args:
        entry: What the directory says.
        read_at: Reads the zip.

    Raises:
        BadZipFile: It is encrypted or of a method that is not read, or its data is cut or damaged.
        OSError, EOFError, zlib.error, lzma.LZMAError: The data is damaged.
    """
    decompressor, data = _decompressor(entry), _compressed(entry, read_at)
    left, crc = entry.size_bytes, 0
    if not left and entry.crc:
        raise zipfile.BadZipFile("its size is 0 in the directory, but not its CRC")
    while left:
        needs_input = decompressor.needs_input
        more = next(data, b"") if needs_input else b""
        piece = decompressor.decompress(more, min(_PIECE_BYTES, left))
        if not piece and (decompressor.eof or (needs_input and not more)):
            raise zipfile.BadZipFile(f"its data ends {left:,} bytes before its size is reached")
        left -= len(piece)
        crc = zlib.crc32(piece, crc)
        if not left and crc != entry.crc:
            raise zipfile.BadZipFile("its content has another CRC than the directory says")
        if piece:
            yield piece


def _compressed(entry: ZipEntry, read_at: ReadAt) -> Iterator[bytes]:
    """Yield the data as it is in the zip, behind the header in front of it."""
    size_bytes = _LOCAL_HEADER.size
    start = read_at(entry.offset, size_bytes) if 0 <= entry.offset < _MAX_OFFSET else b""
    if len(start) < size_bytes or not start.startswith(_LOCAL_MAGIC):
        raise zipfile.BadZipFile(f"it has no header at byte {entry.offset}")
    _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(start)
    at = entry.offset + size_bytes + name_bytes + extra_bytes
    stop = at + entry.compressed_bytes
    while at < stop and (piece := read_at(at, min(_PIECE_BYTES, stop - at))):
        yield piece
        at += len(piece)


def _decompressor(entry: ZipEntry) -> _Decompressor:
    if entry.flags & _ENCRYPTED:
        raise zipfile.BadZipFile("it is encrypted")
    if entry.flags & _PATCHED:
        raise zipfile.BadZipFile("it is a patch of another file")
    if entry.method == zipfile.ZIP_STORED:
        return _Stored()
    if entry.method == zipfile.ZIP_DEFLATED:
        return Inflater(-15)  # no header around the data
    if entry.method == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor()
    if entry.method == zipfile.ZIP_LZMA:
        return _Lzma(entry)
    raise zipfile.BadZipFile(f"it is compressed by method {entry.method}, which is not read")


class _Stored:
    """Data that is not compressed."""

    eof = False

    def __init__(self) -> None:
        self._rest = b""

    @property
    def needs_input(self) -> bool:
        return not self._rest

    def decompress(self, data: bytes, max_length: int) -> bytes:
        data = self._rest + data
        self._rest = data[max_length:]
        return data[:max_length]


class _Lzma:
    """LZMA data with the header that it has in a zip, read with the one that it has in a file."""

    def __init__(self, entry: ZipEntry) -> None:
        self._inner = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY_BYTES)
        self._start = b""
        size_bytes = _UNKNOWN_SIZE if entry.flags & _HAS_END_MARKER else entry.size_bytes
        self._size_field = struct.pack("<Q", size_bytes)
        self._has_begun = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._has_begun or self._inner.needs_input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if not self._has_begun:
            # Two bytes of version, two with the length of the properties, the properties.
            self._start += data
            stop = 4 + _LZMA_PROPERTIES_BYTES
            if len(self._start) < stop:
                return b""
            if self._start[2:4] != struct.pack("<H", _LZMA_PROPERTIES_BYTES):
                raise zipfile.BadZipFile("its LZMA header is damaged")
            data = self._start[4:stop] + self._size_field + self._start[stop:]
            self._has_begun = True
        return self._inner.decompress(data, max_length)
