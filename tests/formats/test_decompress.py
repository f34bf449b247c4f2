"""Compressed shards: told by their first bytes, read in constant memory, never cut unnoticed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tracemalloc
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard

from aisio.errors import MissingExtraError, ShardError
from aisio.formats.decompress import MAGIC_BYTES, compression_of
from aisio.shards.reader import read_samples
from tests.tars import pack

URL = "ais://b/train.tgz"
SHARD = pack(("1.jpg", b"J" * 70_000), ("1.cls", b"7"), ("2.jpg", b"K"))
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
ALL = pytest.mark.parametrize("kind", sorted(COMPRESSORS))


class Dripping:
    """A stream that returns few bytes at a time."""

    def __init__(self, data: bytes, step_bytes: int) -> None:
        self._file = io.BytesIO(data)
        self._step = step_bytes

    def readinto(self, buffer: memoryview, /) -> int:
        return self._file.readinto(buffer[: self._step])


def samples_of(data: bytes, step_bytes: int = 1 << 20) -> list[tuple[str, list[str]]]:
    """Read a shard."""
    found = read_samples(Dripping(data, step_bytes), url=URL)
    return [(sample.key, sorted(sample.fields)) for sample in found]


@ALL
@pytest.mark.parametrize("step_bytes", [1, 7, 1 << 20])
def test_compressed_shards_give_their_samples(kind: str, step_bytes: int):
    """For any pieces of input and any name of the object."""
    data = COMPRESSORS[kind](SHARD)
    assert compression_of(data[:MAGIC_BYTES]) == kind
    assert samples_of(data, step_bytes) == [("1", ["cls", "jpg"]), ("2", ["jpg"])]


@ALL
def test_several_members_are_one_stream(kind: str):
    """As pigz and pbzip2 write them; zeros behind them are padding."""
    compress = COMPRESSORS[kind]
    data = b"".join(compress(SHARD[at : at + 30_000]) for at in range(0, len(SHARD), 30_000))
    for step_bytes in (3, 1 << 20):
        assert len(samples_of(data + bytes(20), step_bytes)) == 2


@ALL
def test_a_cut_stream_is_an_error_wherever_it_is_cut(kind: str):
    """Also if the tar in it is complete already."""
    data = COMPRESSORS[kind](SHARD)
    for stop in {*range(MAGIC_BYTES, len(data), 37), len(data) - 1}:
        with pytest.raises(ShardError, match=f"{URL}: cut at compressed byte {stop}, inside"):
            samples_of(data[:stop])


@ALL
def test_other_data_behind_the_end_is_an_error(kind: str):
    """It may be data that was lost."""
    data = COMPRESSORS[kind](SHARD)
    with pytest.raises(ShardError, match=f"other data behind its {kind} data.* {len(data)};"):
        samples_of(data + b"garbage!" * 3)


@pytest.mark.parametrize("kind", ["bzip2", "gzip", "xz", "zstd"])
def test_a_damaged_stream_is_an_error(kind: str):
    """The format's own checksum is checked (lz4 has none by default)."""
    data = bytearray(COMPRESSORS[kind](SHARD))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ShardError, match=f"{URL}.*(damaged|cut|other data)"):
        samples_of(bytes(data))


def test_a_dictionary_that_is_too_large_is_an_error():
    """The data is not damaged: it needs more memory than a shard may take."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 256 << 20}]
    data = lzma.compress(SHARD, filters=filters)
    with pytest.raises(ShardError, match="xz data needs more than 128 MiB of memory.* dictionary"):
        samples_of(data)


def test_offsets_in_errors_say_what_they_count():
    """A byte of the tar is no byte of the object."""
    with pytest.raises(ShardError, match=r"gzip; bytes are counted unpacked\): cut at byte 1024"):
        samples_of(gzip.compress(SHARD[:1024]))
    with pytest.raises(ShardError, match="bytes are counted unpacked") as caught:
        samples_of(gzip.compress(pack(("1.jpg", b""), ("1.jpg", b""))))
    assert (caught.value.url, caught.value.offset) == (URL, 512)


def test_a_tar_whose_first_member_begins_like_a_magic_is_a_tar():
    """bzip2 data does not begin with "BZh" only."""
    assert samples_of(pack(("BZh91.jpg", b"J"))) == [("BZh91", ["jpg"])]


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_memory_stays_small_where_a_shard_unpacks_to_much(kind: str):
    """100 MB of zeros, in 100 KB of gzip, are decompressed piece by piece."""
    data = COMPRESSORS[kind](pack(*((f"{n}.bin", bytes(1_000_000)) for n in range(100))))
    tracemalloc.start()
    count = sum(1 for _ in read_samples(io.BytesIO(data), url=URL))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100
    assert peak < 4_000_000


def test_a_missing_library_names_its_extra(monkeypatch):
    """lz4 is an extra; where it is not installed, the error has the command that installs it."""
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lz4>="):
        samples_of(COMPRESSORS["lz4"](SHARD))
