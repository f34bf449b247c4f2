"""AISRangeReader: what Lhotse's own does, with fewer requests, verified."""

from __future__ import annotations

import copy
import io
import os
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest
import torch  # noqa: F401 - the folder's conftest needs it

from aisio import Bucket, Client, ConfigError, IntegrityError, NotFoundError
from aisio.errors import UrlError
from aisio.integrations.lhotse import AISRangeReader, range_reader
from aisio.integrations.lhotse.block_cache import shared_blocks
from aisio.integrations.lhotse.range_reader import FIRST_WINDOW_BYTES, MAX_WINDOW_BYTES
from aisio.testing import FaultProxy
from aisio.testing.fault_proxy import Corrupt, Cut, Status
from tests.tars import pack

URL = "ais://speech/large"
LARGE = bytes(range(251)) * 16_000  # 4 MB


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[FaultProxy]:
    """Return a proxy before the cluster, which has a large object."""
    bucket.object("large").put(LARGE)
    with FaultProxy(bucket.client.endpoint) as proxy:
        yield proxy


@pytest.fixture
def reader(proxy: FaultProxy) -> AISRangeReader:
    """Return a reader of the large object."""
    return AISRangeReader(URL, client=Client(proxy.endpoint))


def ranges(proxy: FaultProxy) -> list[str]:
    """Return the ranges that were requested, and HEAD where that was."""
    sent = [one for one in proxy.requests if one.path == "/v1/objects/speech/large"]
    return [one.headers.get("range", one.method).removeprefix("bytes=") for one in sent]


def test_it_reads_seeks_and_tells_like_a_file(reader: AISRangeReader) -> None:
    """Beside a file in memory."""
    file = io.BytesIO(LARGE)
    size = len(LARGE)
    for offset, whence in ((0, 0), (100, 0), (50, 1), (-10, 2), (-size, 2), (5, 2), (70_000, 0)):
        assert reader.seek(offset, whence) == file.seek(offset, whence)
        for count in (0, 1, 600, 100_000):
            assert reader.read(count) == file.read(count)
            assert reader.tell() == file.tell()
    assert reader.seek(size - 1000) == size - 1000
    assert reader.read() == LARGE[-1000:]
    assert reader.read() == b""
    assert reader.seek(0) == 0
    assert reader.read(-1) == LARGE
    assert (reader.size, reader.readable(), reader.seekable()) == (size, True, True)
    assert not reader.writable()


def test_nothing_is_sent_before_the_first_read(reader: AISRangeReader, proxy: FaultProxy) -> None:
    """Nor is the size looked up for it."""
    reader.seek(1000)
    assert proxy.requests == []
    assert reader.read(10) == LARGE[1000:1010]
    assert ranges(proxy) == [f"1000-{1000 + 10 + FIRST_WINDOW_BYTES - 1}"]
    assert reader.size == len(LARGE)
    assert len(ranges(proxy)) == 1


def test_the_parts_of_a_sample_come_by_one_request(
    reader: AISRangeReader, proxy: FaultProxy
) -> None:
    """As Lhotse reads them: header, audio, header, JSON."""
    position = 1_000_000
    for count in (512, 30_000, 512, 900):
        reader.seek(position)
        assert reader.read(count) == LARGE[position : position + count]
        position += count
    assert len(ranges(proxy)) == 1


def test_samples_at_random_come_by_one_request_each(
    reader: AISRangeReader, proxy: FaultProxy
) -> None:
    """Once it is known how large they are."""
    for number, sample in enumerate((7, 1, 9, 4)):
        position = 300_000 * sample
        for count in (512, 250_000, 512, 900):
            reader.seek(position)
            assert reader.read(count) == LARGE[position : position + count]
            position += count
        assert len(ranges(proxy)) == number + 2


def test_reading_on_asks_for_more_each_time(reader: AISRangeReader, proxy: FaultProxy) -> None:
    """Up to a limit."""
    while reader.read(1000):
        pass
    assert reader.tell() == len(LARGE)
    sizes = [
        int(last) - int(first) + 1 for first, last in (one.split("-") for one in ranges(proxy))
    ]
    assert len(sizes) == 6
    assert sizes[0] < FIRST_WINDOW_BYTES + 1001
    assert max(sizes) <= MAX_WINDOW_BYTES + 1000


def test_a_large_read_comes_at_once(reader: AISRangeReader, proxy: FaultProxy) -> None:
    """With what is behind it, which is kept; the bytes themselves are not."""
    before = shared_blocks.cached_bytes
    assert reader.read(3_000_000) == LARGE[:3_000_000]
    assert reader.read(50) == LARGE[3_000_000:3_000_050]
    assert len(ranges(proxy)) == 1
    assert shared_blocks.cached_bytes - before == FIRST_WINDOW_BYTES
    reader.close()
    assert shared_blocks.cached_bytes == before


def test_a_dropped_reader_leaves_no_block(reader: AISRangeReader) -> None:
    """Jobs make thousands."""
    before = shared_blocks.cached_bytes
    other = copy.copy(reader)
    other.read(10)
    assert shared_blocks.cached_bytes > before
    del other
    assert shared_blocks.cached_bytes == before


def test_a_broken_response_goes_on_behind_the_last_good_byte(
    reader: AISRangeReader, proxy: FaultProxy
) -> None:
    """And a busy server is asked again."""
    proxy.add(Status(503, retry_after_s=0), path="/v1/objects/*", times=1)
    proxy.add(Cut(after_bytes=20_000), path="/v1/objects/*", times=1)
    reader.seek(500)
    assert reader.read(40_000) == LARGE[500:40_500]
    first, resumed = ranges(proxy)[-2:]
    assert int(resumed.split("-")[0]) > int(first.split("-")[0])


def test_an_object_that_is_replaced_meanwhile_is_an_error(bucket: Bucket) -> None:
    """Its index is of the old one. A closed reader opens the new one."""
    target = bucket.object("large")
    target.put(LARGE)
    reader = AISRangeReader(URL)
    reader.read(10)
    target.put(LARGE[::-1])
    reader.seek(2_000_000)
    with pytest.raises(IntegrityError, match="ais://speech/large: the object was replaced while"):
        reader.read(10)
    reader.close()
    assert reader.read(10) == LARGE[::-1][2_000_000:2_000_010]


@pytest.mark.parametrize("data", [b"", b"a"])
def test_reads_at_and_behind_the_end_are_empty(bucket: Bucket, data: bytes) -> None:
    """Also as the first read, and of an empty object."""
    bucket.object("tiny").put(data)
    for position in (len(data), 10):
        reader = AISRangeReader("ais://speech/tiny")
        reader.seek(position)
        assert reader.read(5) == b""
        assert reader.read() == b""
        assert reader.size == len(data)


def test_a_small_object_is_verified_by_its_checksum(bucket: Bucket, proxy: FaultProxy) -> None:
    """One request has all of it; larger ones are verified by their lengths."""
    bucket.object("tiny").put(b"right" * 100)
    proxy.add(Corrupt(at_byte=300), path="/v1/objects/speech/tiny", times=1)
    reader = AISRangeReader("ais://speech/tiny", client=Client(proxy.endpoint))
    with pytest.raises(IntegrityError, match="ais://speech/tiny"):
        reader.read(10)
    assert reader.read(10) == b"rightright"


def test_what_is_wrong_is_said(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name."""
    with pytest.raises(UrlError, match="names no object"):
        AISRangeReader("ais://speech/")
    with pytest.raises(UrlError, match="not a URL"):
        AISRangeReader("speech/a.tar")
    reader = AISRangeReader("ais://speech/none.tar")
    with pytest.raises(NotFoundError, match=r"ais://speech/none\.tar"):
        reader.read(1)
    with pytest.raises(NotFoundError, match=r"ais://speech/none\.tar"):
        _ = reader.size
    with pytest.raises(ValueError, match="before the first byte"):
        reader.seek(-1)
    with pytest.raises(ValueError, match="whence=3"):
        reader.seek(0, 3)
    monkeypatch.delenv("AIS_ENDPOINT")
    with pytest.raises(ConfigError, match="AIS_ENDPOINT"):
        AISRangeReader("ais://speech/none.tar").read(1)


def test_it_pickles_with_its_position(reader: AISRangeReader) -> None:
    """And copies: a copy reads on alone."""
    reader.read(100)
    for twin in (pickle.loads(pickle.dumps(reader)), copy.copy(reader)):
        assert twin.read(10) == LARGE[100:110]
    assert reader.tell() == 100


def test_a_forked_child_reads_on(reader: AISRangeReader) -> None:
    """At the position of its parent."""
    reader.read(100)
    child = os.fork()
    if not child:
        os._exit(0 if reader.read(600) == LARGE[100:700] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert reader.read(600) == LARGE[100:700]


def test_it_may_be_closed_at_exit(reader: AISRangeReader) -> None:
    """As Lhotse does, by `__del__`, when the variables of modules are None already."""
    reader.read(10)
    names = dict.fromkeys(vars(range_reader)) | {"__builtins__": __builtins__}
    FunctionType(AISRangeReader.close.__code__, names)(reader)
    assert reader.tell() == 10


def test_libraries_take_it_for_a_file(bucket: Bucket) -> None:
    """It fills buffers, closes by `with`, and tarfile reads it."""
    bucket.object("a.tar").put(pack(("a", b"1"), ("b", b"22")))
    reader = AISRangeReader("ais://speech/a.tar")
    with reader, tarfile.open(fileobj=reader) as tar:  # type: ignore[call-overload]
        assert tar.getnames() == ["a", "b"]
    buffer = bytearray(5)
    reader.seek(0)
    assert reader.readinto(buffer) == 5
    assert buffer == b"a\0\0\0\0"
    assert repr(reader) == "AISRangeReader('ais://speech/a.tar')"


def test_it_reads_a_local_file(tmp_path: Path) -> None:
    """As any store."""
    (tmp_path / "a").write_bytes(LARGE)
    reader = AISRangeReader(f"file://{tmp_path}/a")
    reader.seek(77)
    assert reader.read(10) == LARGE[77:87]
    assert reader.size == len(LARGE)
