"""IndexRecorder: the bytes of each sample, whatever the shard is made of and however it arrives."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from aisio.errors import IntegrityError, ShardError
from aisio.formats.tar_write import END_OF_ARCHIVE, header
from aisio.records import Checksum, ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_build import build_shard_index
from aisio.shards.reader import read_samples
from aisio.transport.body import Body
from tests.tars import (
    LONG_NAME,
    gnu_sparse,
    pack,
    pack_by_gnu_tar,
    pack_by_tarfile,
    pax_sparse,
    typed,
)

INFO = ObjectInfo("ais://b", "a.tar", checksum=Checksum("md5", "00"))


class Pieces(io.BytesIO):
    """A response that gives a few bytes at a time."""

    def __init__(self, data: bytes, step_bytes: int = 1 << 30) -> None:
        super().__init__(data)
        self._step = step_bytes

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill at most a step."""
        return super().readinto(buffer[: self._step])


def build(data: bytes, *, step_bytes: int = 1 << 30) -> ShardIndex:
    """Return the index of a shard that arrives in pieces of this size."""
    return build_shard_index(lambda: Body(Pieces(data, step_bytes), INFO, len(data)), INFO)


def check(data: bytes, index: ShardIndex) -> None:
    """Compare an index with the samples of the whole shard, each read from its own bytes."""
    whole = list(read_samples(io.BytesIO(data), url="x", keys=None))
    assert list(index.keys()) == [sample.key for sample in whole]
    [shard] = index.shards
    assert (shard.url, shard.size_bytes, shard.pin) == (INFO.url, len(data), "md5:00")
    assert shard.is_ranged
    stops = [sample.offset for sample in whole[1:]] + [None]
    for number, sample in enumerate(whole):
        span = index.span(number)
        own = data[span.offset : span.offset + span.size_bytes]
        assert span.offset == sample.offset
        assert stops[number] in (None, span.offset + span.size_bytes)
        assert span.xxh3 == xxh3_64_intdigest(own)
        [alone] = read_samples(io.BytesIO(own + END_OF_ARCHIVE), url="x")
        assert (alone.key, alone.fields) == (sample.key, sample.fields)


STRAY = ("README", b"r" * 700)
LONG = ("d/" * 200 + "1.jpg", b"J" * 600)
SHARDS = {
    "plain": pack(("1.jpg", b"J" * 513), ("1.cls", b""), ("2.jpg", b""), ("3.jpg", bytes(2000))),
    "one": pack(("1.jpg", b"J")),
    "strays": pack(STRAY, ("1.jpg", b"J"), STRAY, ("1.cls", b"7"), STRAY, ("2.jpg", b"K"), STRAY),
    "pax names": pack(("1.jpg", b"J"), (LONG_NAME, b"J"), LONG, ("2.jpg", b"K")),
    "gnu names": pack_by_tarfile([LONG, (LONG_NAME, b"x"), ("9.jpg", b"9")], tarfile.GNU_FORMAT),
    "trailer": pack(("1.jpg", b"J"), ("2.jpg", b"J")) + bytes(10_240),
    "no trailer": pack(("1.jpg", b"J"))[:-512],
}


@pytest.mark.parametrize("step_bytes", [1, 511, 512, 513, 4096, 1 << 20])
@pytest.mark.parametrize("name", SHARDS)
def test_spans_and_hashes_of_each_sample(name: str, step_bytes: int):
    """Each span is a shard of its own sample: extension headers with it, strays behind it."""
    check(SHARDS[name], build(SHARDS[name], step_bytes=step_bytes))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1.a", "1.b", "2.a", "3.a", "README", LONG_NAME, "d/" * 99 + "4.a"]),
            st.integers(0, 3000),
        ),
        max_size=8,
    ),
    st.integers(1, 5000),
)
def test_any_shard_gives_what_the_reader_reads(members: list[tuple[str, int]], step_bytes: int):
    """Where the reader refuses a shard, there is no index, except for fields that come twice."""
    data = pack(*((name, b"x" * size) for name, size in members))
    names = [name for name, _ in members]
    if not names:
        return
    try:
        whole = list(read_samples(io.BytesIO(data), url="x", interleaved=True))
    except ShardError:
        if len(names) == len(set(names)):
            with pytest.raises(ShardError):
                build(data, step_bytes=step_bytes)
        return
    index = build(data, step_bytes=step_bytes)
    assert list(index.keys()) == [sample.key for sample in whole]
    if index.shard(0).is_ranged:
        check(data, index)


class Zeros(io.RawIOBase):
    """A response that begins with some bytes, and has zeros behind them."""

    def __init__(self, start: bytes) -> None:
        self._start = io.BytesIO(start)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill the buffer."""
        count = self._start.readinto(buffer)
        if not count:
            buffer[:] = bytes(len(buffer))
        return count or len(buffer)


@pytest.mark.parametrize(
    ("start", "size_bytes"),
    [(header("1.bin", 32 << 20), 512 + (32 << 20)), (pack(("1.jpg", b"J")), 1024)],
)
def test_neither_a_large_sample_nor_a_long_trailer_is_held(start: bytes, size_bytes: int):
    """Memory holds the parser's buffer and the recorder's; both may be any number of gigabytes."""
    tracemalloc.start()
    index = build_shard_index(lambda: Body(Zeros(start), INFO, 40 << 20), INFO)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20
    own = (start + bytes(32 << 20))[:size_bytes]
    assert index.span(0) == (0, 0, size_bytes, xxh3_64_intdigest(own))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_compressed_shard_is_counted(compress):
    """Its samples have names, and no bytes of their own."""
    index = build(compress(SHARDS["plain"]), step_bytes=10)
    assert list(index.keys()) == ["1", "2", "3"]
    assert not index.shard(0).is_ranged
    assert index.span(2) == (0, 0, 0, None)
    assert index.shard(0).size_bytes == len(compress(SHARDS["plain"]))


def test_interleaved_shard_is_counted():
    """In the order of the first members, as the reader yields them."""
    data = pack(("2.jpg", b"J2"), ("1.jpg", b"J1"), ("1.cls", b"C1"), ("2.cls", b"C2"))
    index = build(data)
    assert list(index.keys()) == ["2", "1"]
    assert not index.shard(0).is_ranged


def test_global_records_are_not_in_a_slice():
    """A sample's own bytes would give it another name than the shard does."""
    index = build(typed(b"g", "g", b"16 mtime=123456\n") + SHARDS["plain"])
    assert list(index.keys()) == ["1", "2", "3"]
    assert not index.shard(0).is_ranged
    # git writes one with the commit alone, which says nothing of members.
    archive = typed(b"g", "g", b"19 comment=1234567\n") + SHARDS["plain"]
    check(archive, build(archive))


def test_links_and_sparse_files_are_up_to_the_reader(tmp_path: Path):
    """A reader may leave the field out; one that wants it gets the same error, or file, as ever."""
    (tmp_path / "1.jpg").write_bytes(b"J")
    (tmp_path / "2.jpg").symlink_to("1.jpg")
    index = build(pack_by_gnu_tar(tmp_path))
    assert list(index.keys()) == ["1", "2"]
    assert index.shard(0).is_ranged


@pytest.mark.parametrize("stop", [100, 512, 1000, 1536, 2048])
def test_cut_shard_has_no_index(stop: int):
    """Nor does a damaged one."""
    with pytest.raises(ShardError, match="cut at byte"):
        build(SHARDS["plain"][:stop])


def test_shard_without_samples():
    """An empty archive has an empty index; files without a sample are an error, as in a read."""
    with pytest.warns(UserWarning, match="a shard without files"):
        index = build(END_OF_ARCHIVE)
    assert (len(index), index.shard(0).is_ranged) == (0, True)
    with pytest.raises(ShardError, match="no sample: none of its 1 files"):
        build(pack(STRAY))


def test_wrong_bytes_have_no_index():
    """The checksum shows at the end of the stream."""
    data = SHARDS["plain"]
    with pytest.raises(IntegrityError, match="md5"):
        build_shard_index(lambda: Body(Pieces(data), INFO, len(data), INFO.checksum), INFO)


def test_pin_is_that_of_the_listing_or_else_of_the_response():
    """Later listings are compared with it."""
    data = SHARDS["plain"]
    received = ObjectInfo("ais://b", "a.tar", len(data), etag="e")
    open_shard = partial(Body, io.BytesIO(data), received, len(data))
    index = build_shard_index(open_shard, ObjectInfo("ais://b", "a.tar"))
    assert index.shard(0).pin == "etag:e"


def test_reading_is_reported_and_can_be_ended():
    """The bytes of each piece; an error of the callback ends the read."""
    data = SHARDS["plain"]
    counts: list[int] = []
    build_shard_index(lambda: Body(Pieces(data, 700), INFO, len(data)), INFO, on_read=counts.append)
    assert sum(counts) == len(data)

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_shard_index(lambda: Body(Pieces(data), INFO, len(data)), INFO, on_read=stop)


@pytest.mark.parametrize("make", [gnu_sparse, pax_sparse])
def test_sparse_sample_can_be_read_from_its_span(make):
    """Its map is among its own bytes."""
    data = pack(("0.a", b"0"))[:-1024] + make("1.jpg") + pack(("1.cls", b"7"), ("2.a", b"2"))
    check(data, build(data, step_bytes=1000))
