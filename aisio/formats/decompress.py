"""Decompressing shards: .tar.gz, .bz2, .xz, .lz4 and .zst, recognized by their first bytes.

Names are not reliable: a browser, a bucket rule or a tool may have changed one. Streams of any
length are decompressed in constant memory, also if a small shard unpacks to a huge one. The
decompressor checks its format's own checksum of the contents; the store's checksum is of the
compressed bytes.

Several members one after the other are one stream, as `gzip` and `pigz` write them, with zeros
between or behind them; anything else behind the last member is an error. zstd calls them frames.

Source:
    RFC 1952 (gzip), section 2.2; "The .xz File Format" 1.1.0, section 2; bzip2 1.0.8 (its magic is
    followed by that of a block or of the end); "LZ4 Frame Format" 1.6.3, "General Structure".
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable
from typing import NoReturn, Protocol

from aisio.errors import ShardError
from aisio.escapes import one_line
from aisio.extras import missing_extra
from aisio.formats.zstd_frame import ZSTD_MAGIC, RefusedFrameError, ZstdFrame

__all__ = ["MAGIC_BYTES", "Decompressed", "Inflater", "ReadIntoStream", "compression_of"]

MAGIC_BYTES = 10
"""How many first bytes distinguish each format from a tar, which begins with a member's name."""

_MAGICS = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "lz4": re.compile(rb"\x04\x22\x4d\x18"),
    "zstd": ZSTD_MAGIC,
}
_INPUT_BYTES = 64 * 1024
# Reading the output of `xz -9` needs 65 MiB; a header may demand 4 GiB.
_XZ_MEMORY_BYTES = 128 * 1024 * 1024
_XZ_MEMORY_TEXT = "Memory usage limit exceeded"  # lzma has no exception class for this


class ReadIntoStream(Protocol):
    """A stream of a shard's bytes: any binary file, raw or buffered."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read bytes into the buffer; return their number, 0 at the end."""


class _Decompressor(Protocol):
    """The interface of the decompressors of bz2, lzma and lz4."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Inflater:
    """zlib's decompressor with the interface of those of bz2 and lzma.

    Args:
        wbits: What is around the data, as `zlib.decompressobj` takes it.
    """

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        """Whether the data has ended."""
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        """Whether more output needs more input."""
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """What came behind the end of the data."""
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return up to so many bytes of the content, of this data and what came before."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _lz4() -> _Decompressor:
    try:
        from lz4.frame import LZ4FrameDecompressor
    except ImportError as error:
        raise missing_extra("lz4", "lz4") from error
    decompressor: _Decompressor = LZ4FrameDecompressor()
    return decompressor


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    "gzip": lambda: Inflater(31),  # 15 + 16: a gzip header and trailer
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES),
    "lz4": _lz4,
    "zstd": ZstdFrame,
}


def compression_of(start: bytes) -> str:
    """Return the compression of a stream.

    Args:
        start: Its first MAGIC_BYTES bytes, or all if there are fewer.

    Returns:
        "gzip", "bzip2", "xz", "lz4", "zstd", or "" for none of these.
    """
    return next((kind for kind, magic in _MAGICS.items() if magic.match(start)), "")


class Decompressed:
    """The decompressed bytes of a compressed stream, as a stream.

    Args:
        kind: From compression_of().
        start: The first bytes of the stream, which the caller has read.
        stream: The rest; it is read to its end and not closed.
        url: The shard's URL, for errors.

    Raises:
        MissingExtraError: The library for this format is not installed.
    """

    def __init__(self, kind: str, start: bytes, stream: ReadIntoStream, url: str) -> None:
        self._kind = kind
        self._stream = stream
        self._url = url
        self._input = memoryview(bytearray(_INPUT_BYTES))
        self._pending = start  # read, and not yet decompressed
        self._consumed = len(start)
        self._decompressor = _DECOMPRESSORS[kind]()
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes into the buffer; return their number, 0 at the end.

        Raises:
            ShardError: The stream is cut or damaged, or other data follows it.
        """
        while not self._ended:
            if self._decompressor.eof:
                self._start_member(self._decompressor.unused_data or b"")
            elif data := self._decompress(len(buffer)):
                buffer[: len(data)] = data
                return len(data)
        return 0

    def _decompress(self, max_bytes: int) -> bytes:
        inner = self._decompressor
        needs_input = inner.needs_input
        compressed = self._read_input() if needs_input else b""
        try:
            data = inner.decompress(compressed, max_bytes)
        except RefusedFrameError as error:
            self._fail(error.what, error.advice)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError) as error:
            if str(error) == _XZ_MEMORY_TEXT:
                self._fail(
                    f"its xz data needs more than {_XZ_MEMORY_BYTES >> 20} MiB of memory",
                    "compress it with a smaller dictionary (`xz -9` has 64 MiB)",
                )
            self._fail(f"damaged {self._kind} data near compressed byte {self._consumed}: {error}")
        if needs_input and not (compressed or data or inner.eof):
            self._fail(f"cut at compressed byte {self._consumed}, inside its {self._kind} data")
        return data

    def _read_input(self) -> bytes:
        """Return the next compressed bytes; b"" at the end."""
        data, self._pending = self._pending, b""
        if not data:
            count = self._stream.readinto(self._input) or 0
            data = self._input[:count].tobytes()
            self._consumed += count
        return data

    def _start_member(self, start: bytes) -> None:
        start = start.lstrip(b"\0")
        while len(start) < MAGIC_BYTES and (more := self._read_input()):
            start = (start + more).lstrip(b"\0")
        if not start:
            self._ended = True
        elif compression_of(start) == self._kind:
            self._pending = start
            self._decompressor = _DECOMPRESSORS[self._kind]()
        else:
            at = self._consumed - len(start)
            self._fail(f"other data behind its {self._kind} data, at compressed byte {at}")

    def _fail(self, what: str, advice: str = "write or copy the shard again") -> NoReturn:
        text = f"{one_line(self._url)}: {what}; {advice}"
        raise ShardError(text, url=self._url) from None
