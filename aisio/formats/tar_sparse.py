"""Sparse files in a tar: a map tells where in the file the stored bytes belong; the rest is zeros.

GNU tar has had four forms of the map; bsdtar writes the last one by default:

    "S"   the old format: 4 spans in the header, then 21 in each block that follows it
    0.0   PAX: a record GNU.sparse.offset and one GNU.sparse.numbytes for each span
    0.1   PAX: all of them in one record, GNU.sparse.map
    1.0   PAX: decimal numbers in lines, in whole blocks before the stored bytes

Source:
    GNU tar 1.34 manual, "Storing Sparse Files" and "Old GNU Format".
"""

from __future__ import annotations

from collections.abc import Mapping

from aisio.formats.tar_header import BLOCK_BYTES, MalformedHeaderError, read_number
from aisio.formats.tar_write import padding

__all__ = ["MAX_CONTENT_BYTES", "SparseFile", "check_sparse_sizes"]

MAX_CONTENT_BYTES = 1 << 30
"""Maximum size of the content: a small archive may hold a file of any size, all of it a hole."""

_MAX_MAP_BYTES = 64 << 20
"""Maximum size of a map: it has up to 40 bytes for each stored block of 512 or more."""

_OLD_GNU_MAGIC = b"ustar  "
_MAX_DIGITS = 19


class SparseFile:
    """A sparse file of an archive, before its stored bytes are read.

    Args:
        block: Its header.
        records: Of its extension headers.
        stored_bytes: How many bytes of it are stored, a map of version 1.0 included.

    Attributes:
        map_blocks: The blocks of a map in the old format; the parser appends them.
        stored_bytes: The argument.
        has_started: The parser is reading the stored bytes.
    """

    def __init__(self, block: bytes, records: Mapping[bytes, bytes], stored_bytes: int) -> None:
        self.map_blocks = bytearray()
        self.stored_bytes = stored_bytes
        self.has_started = False
        self._block = block
        self._records = records

    @property
    def size_bytes(self) -> int:
        """Size of the content.

        Raises:
            MalformedHeaderError: It is not valid.
        """
        if self._is_old:
            return read_number(self._block[483:495], "realsize")
        keyword = b"GNU.sparse.size" if self._is_version_0 else b"GNU.sparse.realsize"
        return _number(self._records.get(keyword, b""))

    @property
    def _is_old(self) -> bool:
        return self._block[156:157] == b"S"

    @property
    def _is_version_0(self) -> bool:
        return self._records.get(b"GNU.sparse.major", b"0") == b"0"

    def content(self, stored: bytes) -> bytes:
        """Return the content of the file.

        Args:
            stored: Its stored bytes.

        Raises:
            MalformedHeaderError: The map does not fit the stored bytes or the file's size, or see
                `check_sparse_sizes`.
        """
        start, size_bytes = 0, self.size_bytes
        check_sparse_sizes(size_bytes, len(stored))
        if self._is_old:
            numbers = self._old_map()
        elif self._is_version_0:
            numbers = self._map_record()
        else:
            numbers, start = self._leading_map(stored)
        spans = list(zip(numbers[::2], numbers[1::2], strict=True))
        _check(spans, len(stored) - start, size_bytes)
        return _with_holes(spans, memoryview(stored)[start:], size_bytes)

    def _old_map(self) -> list[int]:
        if not self._block[257:].startswith(_OLD_GNU_MAGIC):
            raise MalformedHeaderError("a sparse file of a form that is not GNU tar's")
        blocks = range(0, len(self.map_blocks), BLOCK_BYTES)
        more = b"".join(self.map_blocks[start : start + 504] for start in blocks)
        fields = self._block[386:482] + more
        numbers: list[int] = []
        for start in range(0, len(fields), 24):
            offset, size = fields[start : start + 12], fields[start + 12 : start + 24]
            if not size.strip(b" \0"):
                break  # behind the last span
            numbers += read_number(offset, "offset"), read_number(size, "numbytes")
        return numbers

    def _map_record(self) -> list[int]:
        text = self._records.get(b"GNU.sparse.map")
        numbers = [_number(part) for part in text.split(b",")] if text else []
        if len(numbers) % 2:
            raise MalformedHeaderError("the map of a sparse file has an offset without a size")
        return numbers

    def _leading_map(self, stored: bytes) -> tuple[list[int], int]:
        """Return the numbers of a map before the stored bytes, and where these begin.

        Raises:
            MalformedHeaderError: The map is cut or not valid.
        """
        parts = (self._records.get(b"GNU.sparse." + part, b"") for part in (b"major", b"minor"))
        version = b".".join(parts).decode("ascii", "backslashreplace")
        if version != "1.0":
            raise MalformedHeaderError(f"a sparse file of the unknown version {version}")
        count = 2 * _number(stored[: _MAX_DIGITS + 1].partition(b"\n")[0])
        lines = stored.split(b"\n", min(count, len(stored)) + 1)[:-1]
        if len(lines) != count + 1:
            raise MalformedHeaderError("the map of a sparse file is cut")
        map_bytes = sum(map(len, lines)) + len(lines)
        return [_number(line) for line in lines[1:]], map_bytes + len(padding(map_bytes))


def check_sparse_sizes(size_bytes: int, stored_bytes: int) -> None:
    """Refuse a sparse file that is too large, before its stored bytes are read.

    Args:
        size_bytes: Size of the content.
        stored_bytes: How many bytes of it are in the archive, with the map and the headers if that
            is easier for the caller.

    Raises:
        MalformedHeaderError: The content is over MAX_CONTENT_BYTES, or more is stored than it and a
            map need.
    """
    if size_bytes > MAX_CONTENT_BYTES:
        raise MalformedHeaderError(
            f"a sparse file of {size_bytes:,} bytes, over {MAX_CONTENT_BYTES:,}: repack it as a "
            "plain file"
        )
    if stored_bytes > size_bytes + _MAX_MAP_BYTES:
        raise MalformedHeaderError(
            f"{stored_bytes:,} bytes are stored of a sparse file of {size_bytes:,}"
        )


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise MalformedHeaderError(f"{text[:40]!r} in the map of a sparse file is no number")
    return int(text)


def _check(spans: list[tuple[int, int]], stored_bytes: int, size_bytes: int) -> None:
    end = 0
    for offset, count in spans:
        if offset < end or count < 0:
            raise MalformedHeaderError("the spans of a sparse file overlap or are out of order")
        end = offset + count
    if end > size_bytes:
        raise MalformedHeaderError(
            f"a span of a sparse file ends at byte {end:,} of {size_bytes:,}"
        )
    if (mapped := sum(count for _, count in spans)) != stored_bytes:
        raise MalformedHeaderError(
            f"{stored_bytes:,} bytes of a sparse file are stored, and its map has {mapped:,}"
        )


def _with_holes(spans: list[tuple[int, int]], data: memoryview, size_bytes: int) -> bytes:
    pieces: list[bytes | memoryview] = []
    end = start = 0
    for offset, count in spans:
        pieces += bytes(offset - end), data[start : start + count]
        end, start = offset + count, start + count
    return b"".join([*pieces, bytes(size_bytes - end)])
