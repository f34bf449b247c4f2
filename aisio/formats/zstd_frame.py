"""Decompressing one zstd frame in constant memory, whatever it unpacks to.

Theory of operation. A frame is a header and blocks, of which each unpacks to at most 128 KiB. Here
their headers alone are read, and the library is given the bytes of one block at a time. So its
output is bounded, though 4 bytes of input may be a block, and it is known what the library does not
say: which dictionary and how much memory the frame needs.

    frame       magic 4 | descriptor 1 | window 0-1 | dictionary 0-4 | content size 0-8
                | blocks | checksum 0-4
    block       header 3: last 1 bit, type 2 bits, size 21 bits | data
    skippable   magic 4 (50 to 5f 2a 4d 18) | size 4 | bytes that are no data

Source:
    RFC 8878, "Zstandard Compression and the 'application/zstd' Media Type", sections 3.1.1 and
    3.1.2.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Final, Protocol

from aisio.extras import missing_extra

__all__ = ["ZSTD_MAGIC", "RefusedFrameError", "ZstdFrame"]

ZSTD_MAGIC: Final = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
"""Begins a frame; the second form one that is skipped, as `pzstd` writes before each other."""

_MAX_WINDOW_BYTES = 128 << 20
"""What `zstd` itself decompresses without being told a larger one: that of `--long=27`."""

_MAGIC_BYTES = 4
_SKIPPABLE_HEADER_BYTES = 8
_BLOCK_HEADER_BYTES = 3
_CHECKSUM_BYTES = 4
_RLE = 1  # a block of one byte, repeated
_RESERVED = 3
_DICTIONARY_BYTES = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)


class RefusedFrameError(Exception):
    """A frame that cannot be decompressed here, though it is not damaged.

    Args:
        what: Why.
        advice: What to do.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice


class _Library(Protocol):
    def decompress(self, data: bytes | memoryview, /) -> bytes: ...


class ZstdFrame:
    """Decompresses one frame, with the interface of the standard library's decompressors.

    Raises:
        MissingExtraError: Neither the standard library has zstd nor zstandard is installed.
    """

    def __init__(self) -> None:
        self._decompress = _new_decompressor()
        self._header = b""  # of the frame or of a block, as far as it has come
        self._header_bytes = _MAGIC_BYTES
        self._in_frame = False
        self._is_last = False
        self._has_checksum = False
        self._left = 0  # bytes of the block, or to be skipped
        self._input = memoryview(b"")
        self._output = memoryview(b"")
        self._ended = False

    @property
    def eof(self) -> bool:
        """Whether all of the frame has been returned."""
        return self._ended and not self._output

    @property
    def needs_input(self) -> bool:
        """Whether `decompress` can return nothing without more input."""
        return not (self._ended or self._output or self._input)

    @property
    def unused_data(self) -> bytes:
        """What came behind the frame."""
        return bytes(self._input)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take in data, and return at most so many bytes of what the frame unpacks to.

        Raises:
            RefusedFrameError: It needs a dictionary, or too much memory.
            ValueError: It is damaged.
        """
        if data:
            self._input = memoryview(bytes(self._input) + data if self._input else data)
        while not self._output and self._input and not self._ended:
            if self._left:
                self._take_block()
            else:
                self._take_header()
        piece = self._output[:max_length]
        self._output = self._output[max_length:]
        return bytes(piece)

    def _take_block(self) -> None:
        count = min(self._left, len(self._input))
        self._left -= count
        self._give(self._take(count))
        if not self._left and self._is_last:
            self._ended = True

    def _take_header(self) -> None:
        self._header += self._take(self._header_bytes - len(self._header))
        if len(self._header) < self._header_bytes:
            return
        if self._in_frame:
            self._begin_block(self._header)
        else:
            self._begin_frame(self._header)

    def _begin_frame(self, header: bytes) -> None:
        if len(header) == _MAGIC_BYTES:
            # The next byte says how long the header of a frame is.
            is_frame = header[0] == 0x28
            self._header_bytes = _MAGIC_BYTES + 1 if is_frame else _SKIPPABLE_HEADER_BYTES
            return
        if header[0] != 0x28:
            self._decompress, self._is_last = _skip, True
            self._left = int.from_bytes(header[_MAGIC_BYTES:], "little")
            self._ended = not self._left
            return
        self._header_bytes = _frame_header_bytes(header[_MAGIC_BYTES])
        if len(header) < self._header_bytes:
            return
        _check_frame(header)
        self._has_checksum = bool(header[_MAGIC_BYTES] & 0x04)
        self._in_frame = True
        self._give(header)
        self._header, self._header_bytes = b"", _BLOCK_HEADER_BYTES

    def _begin_block(self, header: bytes) -> None:
        bits = int.from_bytes(header, "little")
        kind, size_bytes = bits >> 1 & 3, bits >> 3
        if kind == _RESERVED:
            raise ValueError("a block of a reserved type")
        self._is_last = bool(bits & 1)
        self._left = 1 if kind == _RLE else size_bytes
        if self._is_last and self._has_checksum:
            self._left += _CHECKSUM_BYTES
        self._header = b""
        self._give(header)
        if self._is_last and not self._left:
            self._ended = True

    def _take(self, count: int) -> memoryview:
        taken = self._input[:count]
        self._input = self._input[count:]
        return taken

    def _give(self, data: bytes | memoryview) -> None:
        """Give the library bytes, of no more than one block."""
        self._output = memoryview(self._decompress(data))


def _skip(data: bytes | memoryview) -> bytes:
    return b""


def _new_decompressor() -> Callable[[bytes | memoryview], bytes]:
    """Return a function that is called with the bytes of one frame, piece by piece.

    Raises:
        MissingExtraError: There is no library.
    """
    library, failure = _new_library()

    def decompress(data: bytes | memoryview) -> bytes:
        try:
            return library.decompress(data)
        except failure as error:
            raise ValueError(str(error)) from error

    return decompress


def _new_library() -> tuple[_Library, type[Exception]]:
    """Return the decompressor of a frame, and what it raises; errors as `_new_decompressor`."""
    if sys.version_info >= (3, 14):
        try:
            from compression import zstd
        except ImportError:  # a Python that was built without it
            pass
        else:
            return zstd.ZstdDecompressor(), zstd.ZstdError
    try:
        import zstandard
    except ImportError as error:
        raise missing_extra("zstandard", "zstd") from error
    return zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError


def _frame_header_bytes(descriptor: int) -> int:
    is_single = bool(descriptor & 0x20)
    content_size = _CONTENT_SIZE_BYTES[descriptor >> 6] or int(is_single)
    return _MAGIC_BYTES + 1 + (not is_single) + _DICTIONARY_BYTES[descriptor & 3] + content_size


def _check_frame(header: bytes) -> None:
    """Refuse what cannot be decompressed.

    Raises:
        RefusedFrameError: It needs a dictionary, or too much memory.
    """
    descriptor = header[_MAGIC_BYTES]
    is_single = bool(descriptor & 0x20)
    position = _MAGIC_BYTES + 1 + (not is_single)
    after = position + _DICTIONARY_BYTES[descriptor & 3]
    if dictionary := int.from_bytes(header[position:after], "little"):
        raise RefusedFrameError(
            f"its zstd data needs the dictionary {dictionary}", "compress it without one"
        )
    window_bytes = _window_bytes(header[position - 1])
    if is_single:
        content_size = int.from_bytes(header[after:], "little")
        window_bytes = content_size + 256 if descriptor >> 6 == 1 else content_size
    if window_bytes > _MAX_WINDOW_BYTES:
        raise RefusedFrameError(
            f"its zstd data needs more than {_MAX_WINDOW_BYTES >> 20} MiB of memory"
            f" ({window_bytes >> 20:,} MiB)",
            "compress it with a smaller window (`zstd --long` has 128 MiB)",
        )


def _window_bytes(descriptor: int) -> int:
    base = 1 << 10 + (descriptor >> 3)
    return base + base // 8 * (descriptor & 7)
