"""Writing a tar archive: the header before a payload, the padding behind it, and the archive's end.

Source:
    POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format".
"""

from __future__ import annotations

from typing import Final

from aisio.errors import ConfigError
from aisio.formats.tar_header import BLOCK_BYTES, MAX_SIZE_BYTES

__all__ = ["END_OF_ARCHIVE", "header", "header_bytes", "padding"]

END_OF_ARCHIVE: Final = bytes(2 * BLOCK_BYTES)
"""The end of an archive: two blocks of zeros. Padding to 10 KiB is left out: only tapes need it."""

_MAX_NAME_BYTES = 1 << 16
_OCTAL_LIMIT = 8**11


def header(name: str, size_bytes: int, *, mode: int = 0o644, mtime_s: int = 0) -> bytes:
    """Return the header of a regular file: ustar, preceded by a PAX header if that is too small.

    Owner and group are 0 and without names: the same arguments give the same bytes anywhere.

    Args:
        name: Member name; surrogates become the bytes that they stand for.
        size_bytes: Size of the payload that follows.
        mode: Permission bits.
        mtime_s: Last change in seconds since 1970.

    Returns:
        One block, or three and more if the name or size does not fit into one.

    Raises:
        ConfigError: No archive can hold the name or a number.
    """
    raw = name.encode("utf-8", "surrogateescape")
    if not raw or b"\0" in raw or raw.endswith(b"/") or len(raw) > _MAX_NAME_BYTES:
        raise ConfigError(f"{name[:200]!r} cannot be the name of a file in a tar archive")
    if not 0 <= size_bytes <= MAX_SIZE_BYTES:
        raise ConfigError(f"{name!r}: size_bytes={size_bytes} does not fit a tar archive")
    if not (0 <= mode < 8**7 and 0 <= mtime_s < _OCTAL_LIMIT):
        raise ConfigError(f"{name!r}: mode={mode}, mtime_s={mtime_s} do not fit a tar archive")
    records = b""
    prefix, short_name = _split_name(raw)
    if len(short_name) > 100:
        records += _record(b"path", raw)
        short_name = short_name[:100]
    if size_bytes >= _OCTAL_LIMIT:
        records += _record(b"size", b"%d" % size_bytes)
        size_bytes = 0
    block = _block(short_name, size_bytes, b"0", mode, mtime_s, prefix)
    if not records:
        return block
    extension = _block(b"PaxHeader", len(records), b"x", 0o644, 0, b"")
    return extension + records + padding(len(records)) + block


def header_bytes(name: str, size_bytes: int) -> int:
    """Return the length of a header; arguments and errors as for `header`."""
    is_short = name.isascii() and 0 < len(name) <= 100 and name[-1] != "/" and "\0" not in name
    if is_short and 0 <= size_bytes < _OCTAL_LIMIT:
        return BLOCK_BYTES
    return len(header(name, size_bytes))


def padding(size_bytes: int) -> bytes:
    """Return the zeros that follow a payload of this size, up to a whole block."""
    return bytes(-size_bytes % BLOCK_BYTES)


def _split_name(raw: bytes) -> tuple[bytes, bytes]:
    """Split a long name at a slash into ustar's prefix and name; (b"", raw) where none fits."""
    slash = raw.rfind(b"/", 0, 156)
    if len(raw) <= 100 or slash < 1 or len(raw) - slash - 1 > 100:
        return b"", raw
    return raw[:slash], raw[slash + 1 :]


def _record(keyword: bytes, value: bytes) -> bytes:
    body = b" " + keyword + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))  # its own digits count, and may add one
    return b"%d" % (len(body) + len(str(length))) + body


def _block(name: bytes, size: int, flag: bytes, mode: int, mtime_s: int, prefix: bytes) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, mtime_s)
    before = name.ljust(100, b"\0") + numbers
    after = flag + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\x000000000\0"
    after += prefix.ljust(167, b"\0")
    return before + b"%06o\0 " % (sum(before) + sum(after) + 8 * 0x20) + after
