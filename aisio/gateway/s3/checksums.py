"""The checksums that S3 clients send: their algorithms, and how they are written in headers. Pure.

Source: Amazon S3 User Guide, "Checking object integrity"; CRC-64/NVME: NVM Express NVM Command Set
Specification 1.0d, section 5.2.1.3.4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import sys
import zlib
from array import array
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Protocol

import google_crc32c
import xxhash

from aisio.gateway.protocol.refusals import Refusal

PREFIX = "x-amz-checksum-"

_CRC64_NVME = 0x9A6C9329AC4BC9B5
"""The polynomial, with its bits reflected."""

_MASK_64 = (1 << 64) - 1


class BinaryHasher(Protocol):
    """A hasher that returns bytes."""

    def update(self, data: bytes, /) -> None:
        """Take in the next bytes."""

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""


class _Crc:
    """A cyclic redundancy check, with the interface of hashlib.

    Args:
        extend: Returns the check of data behind data whose check is given.
        size_bytes: Size of the result, which is big-endian.
    """

    def __init__(self, extend: Callable[[bytes, int], int], size_bytes: int) -> None:
        self._extend = extend
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._extend(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


def crc64_nvme(data: bytes, value: int = 0) -> int:
    """Return the CRC-64/NVME of data behind data whose check is `value`.

    The package awscrt computes it where it is installed. Otherwise Python does, which is slow.
    """
    if (fast := _awscrt()) is not None:
        return fast(data, value)
    table, crc, even = _table(), value ^ _MASK_64, len(data) & ~1
    pairs = array("H", data[:even])
    if sys.byteorder == "big":
        pairs.byteswap()
    for pair in pairs:
        crc = table[(crc ^ pair) & 0xFFFF] ^ (crc >> 16)
    if len(data) > even:
        crc ^= data[-1]
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC64_NVME if crc & 1 else 0)
    return crc ^ _MASK_64


@lru_cache(maxsize=1)
def _awscrt() -> Callable[[bytes, int], int] | None:
    try:
        checksums = import_module("awscrt.checksums")
    except ImportError:
        return None
    found: Callable[[bytes, int], int] | None = getattr(checksums, "crc64nvme", None)
    return found


@lru_cache(maxsize=1)
def _table() -> list[int]:
    """Return what each pair of bytes does to a check."""
    table = []
    for value in range(1 << 16):
        crc = value
        for _ in range(16):
            crc = crc >> 1 ^ (_CRC64_NVME if crc & 1 else 0)
        table.append(crc)
    return table


ALGORITHMS: Mapping[str, Callable[[], BinaryHasher]] = {
    "crc32": lambda: _Crc(zlib.crc32, 4),
    "crc32c": lambda: _Crc(lambda data, value: google_crc32c.extend(value, data), 4),
    "crc64nvme": lambda: _Crc(crc64_nvme, 8),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "xxhash3": xxhash.xxh3_64,
    "xxhash64": xxhash.xxh64,
    "xxhash128": xxhash.xxh3_128,
}
"""Makes a hasher, by what follows PREFIX in the name of a header or trailer."""


def decode_base64(text: str, size_bytes: int, header: str) -> bytes:
    """Return the checksum that a header holds.

    Raises:
        Refusal: It is not base64, or of another length.
    """
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != size_bytes:
        message = f"the value of {header} is not a checksum of {size_bytes} bytes in base64"
        raise Refusal(400, message, tcode="InvalidDigest")
    return value
