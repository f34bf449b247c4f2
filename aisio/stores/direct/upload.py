"""HashedUpload: a payload with the ETag that S3 computes for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from aisio.transport.payload import Payload

__all__ = ["HashedUpload", "PartsEtag"]

_PART_BYTES = 8 * 1024 * 1024
_MAX_PARTS = 9_000


class HashedUpload:
    """A payload whose S3 ETag is computed while it is sent.

    Args:
        payload: The data.

    Attributes:
        size_bytes: Size of the data.
        part_bytes: Size of all parts but the last.
        etag: The ETag that the store must show; known once all data has been taken.
    """

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self.size_bytes = payload.size_bytes
        self.part_bytes = max(_PART_BYTES, -(-payload.size_bytes // _MAX_PARTS))
        self.etag = ""

    def whole(self) -> bytes | memoryview:
        """Return all data, to be sent by one request."""
        chunks = [*self._payload.chunks()]
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self.etag = hashlib.md5(data).hexdigest()
        return data

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the data in pieces, to be sent in parts of `part_bytes`."""
        parts = PartsEtag(self.part_bytes)
        for chunk in self._payload.chunks():
            yield from parts.update(memoryview(chunk))
        self.etag = parts.etag


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
