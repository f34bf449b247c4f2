"""Checksums: AIStore's names, computed as AIStore computes them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.formats.checksums import HASHERS, new_hasher
from aisio.records import Checksum

KNOWN = [
    ("xxhash2", b"", "ef46db3751d8e999"),
    ("xxhash", b"", "ef46db3751d8e999"),
    ("xxhash2", b"hello", "26c7827d889f6da3"),
    ("crc32c", b"", "00000000"),
    ("crc32c", b"123456789", "e3069283"),
    ("crc64ecma", b"", "0" * 16),
    ("crc64ecma", b"123456789", "995dc9bbdf1939fa"),
    ("md5", b"hello", hashlib.md5(b"hello").hexdigest()),
    ("sha256", b"hello", hashlib.sha256(b"hello").hexdigest()),
    ("sha512", b"hello", hashlib.sha512(b"hello").hexdigest()),
]


@pytest.mark.parametrize(("kind", "data", "value"), KNOWN)
def test_known_values(kind: str, data: bytes, value: str) -> None:
    """The xxhash2 value of b"hello" is that of a live cluster; CRC-32C's is its check value."""
    hasher = HASHERS[kind]()
    hasher.update(data)
    assert hasher.hexdigest() == value


@pytest.mark.parametrize("kind", list(HASHERS))
@given(chunks=st.lists(st.binary(max_size=40), max_size=8))
def test_chunking_does_not_matter(kind: str, chunks: list[bytes]) -> None:
    """Bytes and views of them in any pieces give the checksum of the whole."""
    whole, pieces = HASHERS[kind](), HASHERS[kind]()
    whole.update(b"".join(chunks))
    for number, chunk in enumerate(chunks):
        pieces.update(memoryview(chunk) if number % 2 else chunk)
    assert pieces.hexdigest() == whole.hexdigest()


def test_every_hasher_is_new() -> None:
    """Two bodies are hashed at once."""
    checksum = Checksum("xxhash2", "")
    first, second = new_hasher(checksum), new_hasher(checksum)
    assert first is not None
    assert second is not None
    first.update(b"x")
    assert first.hexdigest() != second.hexdigest()


@pytest.mark.parametrize("checksum", [None, Checksum("none", ""), Checksum("md6", "00")])
def test_there_may_be_nothing_to_compute(checksum: Checksum | None) -> None:
    """No checksum, or one of a kind that is not known."""
    assert new_hasher(checksum) is None
