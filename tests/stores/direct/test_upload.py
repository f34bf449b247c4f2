"""HashedUpload: the ETag that S3 computes, of one request and of parts."""

from __future__ import annotations

import hashlib
import os
from types import SimpleNamespace
from typing import Any

import pytest

from aisio.stores.direct.upload import HashedUpload
from aisio.transport.payload import Payload

MIB = 1024 * 1024


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(100_000)], ids=len)
def test_data_of_one_request_has_the_md5_as_its_etag(data: bytes) -> None:
    """S3 API Reference, "Common response headers"."""
    with Payload(data) as payload:
        upload = HashedUpload(payload)
        assert bytes(upload.whole()) == data
    assert upload.etag == hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("size", [1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 17 * MIB])
def test_data_in_parts_has_the_md5_of_the_md5s(size: int) -> None:
    """Whatever the pieces in which the data is read."""
    data = os.urandom(1024) * (size // 1024 + 1)
    data = data[:size]
    with Payload(data) as payload:
        upload = HashedUpload(payload)
        assert b"".join(upload.chunks()) == data
    starts = range(0, size, upload.part_bytes)
    digests = [hashlib.md5(data[start : start + upload.part_bytes]).digest() for start in starts]
    assert upload.etag == f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def test_large_data_has_larger_parts() -> None:
    """S3 takes 10,000 parts at most."""
    payload: Any = SimpleNamespace(size_bytes=5 * MIB * MIB)
    upload = HashedUpload(payload)
    assert upload.part_bytes * 9_000 >= upload.size_bytes > upload.part_bytes * 8_999
