"""The ETag that S3 computes of parts, and their size."""

from __future__ import annotations

import hashlib
import os

import pytest

from aisio.stores.direct.upload import PartsEtag, part_bytes_of

MIB = 1024 * 1024


@pytest.mark.parametrize("size", [1, 99, 100, 101, 250])
@pytest.mark.parametrize("step", [1, 7, 100, 250])
def test_data_in_parts_has_the_md5_of_the_md5s(size: int, step: int) -> None:
    """Whatever the pieces are; none that it yields crosses the end of a part."""
    data, parts = os.urandom(size), PartsEtag(100)
    view, taken = memoryview(data), list[bytes]()
    for start in range(0, size, step):
        taken += [bytes(piece) for piece in parts.update(view[start : start + step])]
    ends = {sum(map(len, taken[:count])) for count in range(len(taken) + 1)}
    assert b"".join(taken) == data
    assert {*range(0, size, 100)} <= ends
    digests = [hashlib.md5(data[start : start + 100]).digest() for start in range(0, size, 100)]
    assert parts.etag == f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def test_large_data_has_larger_parts() -> None:
    """S3 takes 10,000 parts at most."""
    size = 5 * MIB * MIB
    assert part_bytes_of(1) == 8 * MIB
    assert part_bytes_of(size) * 9_000 >= size > part_bytes_of(size) * 8_999
