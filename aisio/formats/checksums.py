"""Incremental checksums by AIStore's names for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import google_crc32c
import xxhash

from aisio.records import Checksum


class Hasher(Protocol):
    """What hashlib's objects and xxhash's have in common."""

    def update(self, data: Any, /) -> None:
        """Take in the next bytes."""

    def hexdigest(self) -> str:
        """Return the checksum of all bytes so far."""

    def copy(self) -> Hasher:
        """Return another hasher with the same state."""


_COPY_BYTES = 256 * 1024


class _Crc32c:
    """CRC-32C with the interface of hashlib; the digits are big-endian, as AIStore writes them."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Any, /) -> None:
        if isinstance(data, bytes):
            self._value = google_crc32c.extend(self._value, data)
            return
        # It takes bytes only. Copies that stay in the processor's cache cost a quarter as much.
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _COPY_BYTES):
            self._value = google_crc32c.extend(
                self._value, bytes(view[start : start + _COPY_BYTES])
            )

    def hexdigest(self) -> str:
        return f"{self._value:08x}"

    def copy(self) -> _Crc32c:
        other = _Crc32c()
        other._value = self._value
        return other


HASHERS: Mapping[str, Callable[[], Hasher]] = {
    "xxhash2": lambda: xxhash.xxh64(seed=0),
    "xxhash": lambda: xxhash.xxh64(seed=0),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "crc32c": _Crc32c,
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
}
"""Makes a hasher, for each type of checksum that AIStore computes.

Source: cmn/cos/cksum.go of AIStore 5.0; both xxhash names are XXH64 with seed 0.
"""


def new_hasher(checksum: Checksum | None) -> Hasher | None:
    """Return a hasher of a checksum's type; None without a checksum, or for an unknown type."""
    make = HASHERS.get(checksum.kind) if checksum else None
    return make() if make else None
