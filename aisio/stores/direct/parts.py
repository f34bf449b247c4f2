"""HashedParts: what is put into S3, hashed as S3 does it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from aisio.transport.payload import Payload

__all__ = ["HashedParts"]

_PART_BYTES = 8 * 1024 * 1024
_MOST_PARTS = 9_000


class HashedParts:
    """A payload whose S3 ETag is computed while it is sent.

    Args:
        payload: What is put.

    Attributes:
        size_bytes: Its size.
        part_bytes: Size of all parts but the last.
        etag: What the store must have, once all was taken.
    """

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self.size_bytes = payload.size_bytes
        self.part_bytes = max(_PART_BYTES, -(-payload.size_bytes // _MOST_PARTS))
        self.etag = ""

    def whole(self) -> bytes | memoryview:
        """Return all of it, to be sent as one part."""
        chunks = [*self._payload.chunks()]
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self.etag = hashlib.md5(data).hexdigest()
        return data

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield it in pieces, to be sent in parts of `part_bytes`; the ETag is known in the end."""
        digests: list[bytes] = []
        part, room = hashlib.md5(), self.part_bytes
        for chunk in self._payload.chunks():
            view = memoryview(chunk)
            while view:
                head, view = view[:room], view[room:]
                part.update(head)
                room -= len(head)
                yield head
                if not room:
                    digests.append(part.digest())
                    part, room = hashlib.md5(), self.part_bytes
        if room < self.part_bytes:
            digests.append(part.digest())
        self.etag = f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
