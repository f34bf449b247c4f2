"""Compressed shards: .tar.gz, .tar.bz2, .tar.xz and .tar.lz4, told by how they begin.

Names lie (a browser, a bucket rule or a helpful tool may have changed one), the first bytes do not.
What is read is a stream of any length in constant memory, also where a small shard unpacks to a
huge one. Each format's own check of its contents is made, and so is that of the store, which is of
the compressed bytes.

Several members one after the other are one stream, as `gzip` and `pigz` write them, with zeros
between or behind them; anything else behind the last one is an error.

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

__all__ = ["MAGIC_BYTES", "Decompressed", "ReadIntoStream", "compression_of"]

MAGIC_BYTES = 10
"""So many first bytes tell each format from a tar, whose first bytes are a member's name."""

_MAGICS = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "lz4": re.compile(rb"\x04\x22\x4d\x18"),
}
_INPUT_BYTES = 64 * 1024
# `xz -9` needs 65 MiB to be read; a header may ask for 4 GiB.
_XZ_MEMORY_BYTES = 128 * 1024 * 1024
_XZ_MEMORY_TEXT = "Memory usage limit exceeded"  # lzma has no class of its own for this


class ReadIntoStream(Protocol):
    """What a shard is read from: any binary file, raw or buffered."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer from its start; return how many bytes that were, 0 at the end."""


class _Decompressor(Protocol):
    """What the decompressors of bz2, lzma and lz4 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gunzip:
    """zlib's decompressor, in the form of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)  # 15 + 16: a gzip header and trailer

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _lz4() -> _Decompressor:
    try:
        from lz4.frame import LZ4FrameDecompressor
    except ImportError as error:
        raise missing_extra("lz4", "lz4") from error
    decompressor: _Decompressor = LZ4FrameDecompressor()
    return decompressor


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    "gzip": _Gunzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES),
    "lz4": _lz4,
}


def compression_of(start: bytes) -> str:
    """Tell how a stream is compressed.

    Args:
        start: Its first MAGIC_BYTES bytes, or all of them.

    Returns:
        "gzip", "bzip2", "xz", "lz4", or "" for none of these.
    """
    return next((kind for kind, magic in _MAGICS.items() if magic.match(start)), "")


class Decompressed:
    """What a compressed stream unpacks to, as a stream.

    Args:
        kind: From compression_of().
        start: The first bytes of the stream, already read from it.
        stream: The rest; it is read to its end and not closed.
        url: The shard's URL, for the text of errors.

    Raises:
        MissingExtraError: The library for this format is not installed.
    """

    def __init__(self, kind: str, start: bytes, stream: ReadIntoStream, url: str) -> None:
        self._kind = kind
        self._stream = stream
        self._url = url
        self._input = memoryview(bytearray(_INPUT_BYTES))
        self._next = start  # compressed bytes that no decompressor has seen
        self._taken = len(start)
        self._decompressor = _DECOMPRESSORS[kind]()
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end.

        Raises:
            ShardError: The stream is cut or damaged, or something else comes behind it.
        """
        while not self._ended:
            if self._decompressor.eof:
                self._begin_member(self._decompressor.unused_data or b"")
            elif data := self._decompress(len(buffer)):
                buffer[: len(data)] = data
                return len(data)
        return 0

    def _decompress(self, most_bytes: int) -> bytes:
        inner = self._decompressor
        wanted = inner.needs_input
        given = self._take() if wanted else b""
        try:
            data = inner.decompress(given, most_bytes)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError) as error:
            if str(error) == _XZ_MEMORY_TEXT:
                self._fail(
                    f"its xz data needs more than {_XZ_MEMORY_BYTES >> 20} MiB of memory",
                    "compress it with a smaller dictionary (`xz -9` has 64 MiB)",
                )
            self._fail(f"damaged {self._kind} data near compressed byte {self._taken}: {error}")
        if wanted and not (given or data or inner.eof):
            self._fail(f"cut at compressed byte {self._taken}, inside its {self._kind} data")
        return data

    def _take(self) -> bytes:
        """Return the next compressed bytes; b"" at their end."""
        data, self._next = self._next, b""
        if not data:
            count = self._stream.readinto(self._input) or 0
            data = self._input[:count].tobytes()
            self._taken += count
        return data

    def _begin_member(self, start: bytes) -> None:
        start = start.lstrip(b"\0")
        while len(start) < MAGIC_BYTES and (more := self._take()):
            start = (start + more).lstrip(b"\0")
        if not start:
            self._ended = True
        elif compression_of(start) == self._kind:
            self._next = start
            self._decompressor = _DECOMPRESSORS[self._kind]()
        else:
            at = self._taken - len(start)
            self._fail(f"other data behind its {self._kind} data, at compressed byte {at}")

    def _fail(self, what: str, advice: str = "write or copy the shard again") -> NoReturn:
        text = f"{one_line(self._url)}: {what}; {advice}"
        raise ShardError(text, url=self._url) from None
