"""Uploads in parts: how large these are, and the ETag that S3 computes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

__all__ = ["PartsEtag", "part_bytes_of"]

_PART_BYTES = 8 * 1024 * 1024
_MAX_PARTS = 9_000


def part_bytes_of(size_bytes: int) -> int:
    """Return the size of the parts of an object of this size."""
    return max(_PART_BYTES, -(-size_bytes // _MAX_PARTS))


class PartsEtag:
    """The ETag that S3 computes for an object that is uploaded in parts.

    Args:
        part_bytes: Size of all parts but the last.
    """

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._digests: list[bytes] = []
        self._part = hashlib.md5()
        self._missing_bytes = part_bytes

    def update(self, view: memoryview) -> Iterator[memoryview]:
        """Hash the next bytes; yield them in pieces, none of which crosses the end of a part."""
        while view:
            head, view = view[: self._missing_bytes], view[self._missing_bytes :]
            self._part.update(head)
            self._missing_bytes -= len(head)
            yield head
            if not self._missing_bytes:
                self._digests.append(self._part.digest())
                self._part, self._missing_bytes = hashlib.md5(), self._part_bytes

    @property
    def etag(self) -> str:
        """The ETag of all bytes so far."""
        digests = [*self._digests]
        if self._missing_bytes < self._part_bytes:
            digests.append(self._part.digest())
        return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
