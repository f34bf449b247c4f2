"""Responses of a store that come in small pieces, and what the store says of them."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import xxhash

from aisio.records import Checksum, ObjectInfo


def info_of(data: bytes, **changes: Any) -> ObjectInfo:
    """Return what a store would say of these bytes."""
    checksum = Checksum("xxhash2", xxhash.xxh64_hexdigest(data))
    info = ObjectInfo("ais://b", "o", len(data), checksum)
    return msgspec.structs.replace(info, **changes)


class Dribble(io.BytesIO):
    """A response that gives at most `most` bytes a read, as a socket may."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._most if size is None or size < 0 else min(size, self._most)
        return super().read(wanted)

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
