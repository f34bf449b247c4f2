"""Origins in the stand-in of NVIDIA's registry, and how tests read them."""

from __future__ import annotations

from typing import Any

from aisio.records import RetryPolicy
from aisio.resources.origins.ngc.origin import NgcOrigin

TARGET = "nvidia/clara/esm:2.0"
QUICKLY = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)


def origin(filename: str = "a.bin", target: str = TARGET, kind: Any = "model") -> NgcOrigin:
    """Return an origin that tries again at once."""
    return NgcOrigin(target, kind, filename, retry=QUICKLY)


def read(source: NgcOrigin, start: int = 0) -> bytes:
    """Read a file from a byte on, in small pieces."""
    reply, data, piece = source.open(start), bytearray(), memoryview(bytearray(5000))
    try:
        while count := reply.readinto(piece):
            data += piece[:count]
        return bytes(data)
    finally:
        reply.close()
