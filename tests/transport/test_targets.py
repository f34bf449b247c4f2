"""Targets: bytes at their offsets, and errors where there is no space for them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aisio.errors import ConfigError
from aisio.records import ObjectInfo
from aisio.transport.body import READ_PIECE_BYTES, Body
from aisio.transport.targets import BufferTarget, FileTarget, Target

LARGE = bytes(range(256)) * (READ_PIECE_BYTES // 128) + b"end"


def body_of(data: bytes) -> Body:
    """Return an open body."""
    return Body(io.BytesIO(data), ObjectInfo("ais://b", "o", len(data)), len(data))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[io.FileIO]:
    """Return an open file that holds something."""
    path = tmp_path / "o"
    path.write_bytes(b"old bytes")
    with path.open("r+b", buffering=0) as file:
        yield file


def written(target: Target, start: int, stop: int) -> bytes:
    """Return what a target has from one offset to another."""
    return b"".join(bytes(piece) for piece in target.pieces(start, stop))


def test_parts_go_to_their_place_in_memory() -> None:
    """In any order."""
    buffer = bytearray(6)
    target = BufferTarget(buffer)
    target.reserve(6, "ais://b/o")
    sizes: list[int] = []
    assert target.fill(body_of(b"def"), 3, 6, sizes.append) == 3
    assert target.fill(body_of(b"abc"), 0, 3, sizes.append) == 3
    assert (bytes(buffer), sizes) == (b"abcdef", [3, 3])
    assert written(target, 2, 5) == b"cde"


def test_a_buffer_takes_no_more_than_it_holds() -> None:
    """What is left of the body tells that there was more."""
    buffer, body = bytearray(2), body_of(b"abc")
    assert BufferTarget(buffer).fill(body, 0, None, lambda _: None) == 2
    assert (bytes(buffer), body.left_bytes) == (b"ab", 1)


def test_a_buffer_that_is_too_small_is_refused_before_anything_is_read() -> None:
    """The error names the object; an unknown size is not refused."""
    target = BufferTarget(bytearray(2))
    with pytest.raises(ConfigError, match="GET ais://b/o: 3 bytes do not fit into a buffer of 2"):
        target.reserve(3, "ais://b/o")
    target.reserve(None, "ais://b/o")


@pytest.mark.parametrize("buffer", [b"read-only", memoryview(bytearray(8))[::2], "text"])
def test_a_buffer_that_cannot_be_filled_is_refused(buffer: Any) -> None:
    """It is read-only, not contiguous, or none at all."""
    with pytest.raises(ConfigError, match="into="):
        BufferTarget(buffer)


def test_parts_go_to_their_place_in_a_file(file: io.FileIO) -> None:
    """Nothing of what it held before is left."""
    target = FileTarget(file.fileno())
    target.reserve(6, "ais://b/o")
    assert target.fill(body_of(b"def"), 3, 6, lambda _: None) == 3
    assert target.fill(body_of(b"abc"), 0, 3, lambda _: None) == 3
    assert file.read() == b"abcdef"
    assert written(target, 2, 5) == b"cde"


def test_a_large_part_passes_through_pieces(file: io.FileIO) -> None:
    """Of a bounded size; their sizes add up."""
    target = FileTarget(file.fileno())
    sizes: list[int] = []
    target.reserve(None, "ais://b/o")
    assert target.fill(body_of(LARGE), 0, None, sizes.append) == len(LARGE)
    assert (sum(sizes), max(sizes)) == (len(LARGE), READ_PIECE_BYTES)
    assert file.read() == LARGE
    assert written(target, 1, len(LARGE)) == LARGE[1:]


def test_a_file_that_was_cut_gives_what_is_left(file: io.FileIO) -> None:
    """The number of bytes shows that some are missing."""
    target = FileTarget(file.fileno())
    target.reserve(6, "ais://b/o")
    target.fill(body_of(b"abcdef"), 0, 6, lambda _: None)
    file.truncate(4)
    assert written(target, 2, 6) == b"cd"
