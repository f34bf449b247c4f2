"""zstd frames: read block by block, so that their output is bounded, and refused in words."""

from __future__ import annotations

import io
import struct
import sys
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import MissingExtraError, ShardError
from aisio.formats.decompress import MAGIC_BYTES, Decompressed, compression_of
from aisio.formats.zstd_frame import ZstdFrame

URL = "ais://b/train.tar.zst"
MIB = 1 << 20


def compress(data: bytes, **options: Any) -> bytes:
    """Return one frame."""
    return zstandard.ZstdCompressor(**options).compress(data)


def skippable(data: bytes, number: int = 0) -> bytes:
    """Return a frame that holds no data."""
    return struct.pack("<II", 0x184D2A50 + number, len(data)) + data


def decompress(data: bytes, most: int = MIB) -> bytes:
    """Return what a stream unpacks to."""
    assert compression_of(data[:MAGIC_BYTES]) == "zstd"
    stream = Decompressed("zstd", b"", io.BytesIO(data), URL)
    buffer, pieces = memoryview(bytearray(most)), []
    while count := stream.readinto(buffer):
        pieces.append(bytes(buffer[:count]))
    return b"".join(pieces)


@given(
    parts=st.lists(st.binary(max_size=3000).map(lambda part: part * 97), max_size=4),
    level=st.sampled_from([-5, 1, 3, 19]),
    has_checksum=st.booleans(),
    has_size=st.booleans(),
    most=st.integers(1, 200_000),
)
def test_any_frames_are_one_stream(
    parts: list[bytes], level: int, has_checksum: bool, has_size: bool, most: int
):
    """With frames between them that are skipped, whatever the buffer is."""
    compressor = zstandard.ZstdCompressor(
        level=level, write_checksum=has_checksum, write_content_size=has_size
    )
    data = b"".join(
        skippable(b"x" * number, number) + compressor.compress(part)
        for number, part in enumerate(parts)
    )
    assert decompress(skippable(b"") + data, most) == b"".join(parts)


@pytest.mark.parametrize("flush_each", [False, True])
def test_blocks_of_a_stream_whose_size_is_not_known(flush_each: bool):
    """As `tar | zstd` writes it."""
    compressor = zstandard.ZstdCompressor().compressobj()
    pieces = []
    for number in range(200):
        pieces.append(compressor.compress(b"%d" % number * 999))
        if flush_each:
            pieces.append(compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    data = b"".join([*pieces, compressor.flush()])
    assert decompress(data) == b"".join(b"%d" % number * 999 for number in range(200))


def test_every_block_of_a_bomb_is_returned_by_itself():
    """64 KiB of blocks of one byte, repeated, unpack to 2 GiB: no call returns all of it."""
    block = struct.pack("<I", (128 * 1024 << 3) | 1 << 1)[:3] + b"\0"
    frame = ZstdFrame()
    header = b"\x28\xb5\x2f\xfd" + bytes([0, 0x38])  # a window of 128 KiB
    data = frame.decompress(header + block * 16_000, MIB)
    assert len(data) == 128 * 1024
    assert not frame.needs_input
    assert len(frame.decompress(b"", 1000)) == 1000


def test_a_frame_that_needs_a_dictionary_is_refused_in_words():
    """It is not damaged; nobody can read it without the dictionary."""
    samples: list[Any] = [b"sample %d of a dictionary" % number * 9 for number in range(999)]
    dictionary = zstandard.train_dictionary(4096, samples)
    data = compress(b"sample 7 of a dictionary" * 99, dict_data=dictionary)
    text = f"needs the dictionary {dictionary.dict_id()}; compress it without one"
    with pytest.raises(ShardError, match=text):
        decompress(data)


def test_a_window_that_is_too_large_is_refused_in_words():
    """`zstd --ultra --long=31` needs 2 GiB to decompress; `--long` alone is read."""

    def frame(window_log: int) -> bytes:
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
        compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        return compressor.compress(b"data" * 9) + compressor.flush()

    assert decompress(frame(27)) == b"data" * 9
    with pytest.raises(ShardError, match=r"more than 128 MiB of memory \(256 MiB\).*--long"):
        decompress(frame(28))


def test_a_whole_content_as_window_counts_too():
    """A frame of one segment needs memory for all its content, as its header has it."""
    header = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 40)
    with pytest.raises(ShardError, match=r"1,048,576 MiB"):
        decompress(header + bytes(9))


@pytest.mark.parametrize("data", [skippable(b"abc"), compress(b"data" * 99)])
def test_a_cut_frame_is_an_error_wherever_it_is_cut(data: bytes):
    """Also one that is skipped."""
    for stop in range(4, len(data)):
        with pytest.raises(ShardError, match=f"cut at compressed byte {stop}, inside its zstd"):
            decompress(data[:stop])


def test_a_block_of_a_reserved_type_is_damage():
    """And so is one that the library refuses."""
    frame = b"\x28\xb5\x2f\xfd\x00\x38"
    with pytest.raises(ShardError, match="damaged zstd data.*reserved"):
        decompress(frame + b"\x07\x00\x00" + bytes(9))
    with pytest.raises(ShardError, match="damaged zstd data"):
        decompress(frame + b"\x2d\x00\x00" + bytes(9))


def test_a_wrong_checksum_is_damage():
    """The library compares it at the end of the frame."""
    data = bytearray(compress(b"data" * 999, write_checksum=True))
    data[-1] ^= 1
    with pytest.raises(ShardError, match="damaged zstd data"):
        decompress(bytes(data))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the standard library has zstd")
def test_a_missing_library_names_its_extra(monkeypatch):
    """Zstandard is an extra before Python 3.14."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*zstandard.*extra zstd"):
        decompress(compress(b"data"))
