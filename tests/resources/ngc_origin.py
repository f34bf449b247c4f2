"""Origins in the tests' NVIDIA registry, and how tests read them."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.records import RetryPolicy
from aisio.resources.origins.ngc.origin import NgcOrigin
from tests.resources.ngc_server import NgcServer

TARGET = "nvidia/clara/esm:2.0"
QUICKLY = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)


def origin(filename: str = "a.bin", target: str = TARGET, kind: Any = "model") -> NgcOrigin:
    """Return an origin that retries at once."""
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


def assert_refused(
    registry: NgcServer, kind: type[Exception], *parts: str, **arguments: Any
) -> None:
    """Check that opening an origin fails, with registry, file and all these parts in the text."""
    with pytest.raises(kind) as caught:
        origin(**arguments).open()
    assert type(caught.value) is kind
    for part in (*parts, registry.url.removeprefix("https://"), "ngc://model/nvidia/clara"):
        assert part in str(caught.value)
