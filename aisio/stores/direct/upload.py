"""HashedUpload: a payload with the ETag that S3 computes for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from aisio.transport.payload import Payload

__all__ = ["HashedUpload"]

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
        digests: list[bytes] = []
        part, missing_bytes = hashlib.md5(), self.part_bytes
        for chunk in self._payload.chunks():
            view = memoryview(chunk)
            while view:
                head, view = view[:missing_bytes], view[missing_bytes:]
                part.update(head)
                missing_bytes -= len(head)
                yield head
                if not missing_bytes:
                    digests.append(part.digest())
                    part, missing_bytes = hashlib.md5(), self.part_bytes
        if missing_bytes < self.part_bytes:
            digests.append(part.digest())
        self.etag = f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
