"""SampleReader: samples by ranges, verified one by one."""

from __future__ import annotations

import gzip
import io
import pickle
import threading
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aisio.client.client import Client
from aisio.errors import IntegrityError, NotFoundError, ShardError
from aisio.formats.tar_write import END_OF_ARCHIVE
from aisio.gateway import Gateway
from aisio.records import ByteRange, Checksum, Concurrency, ObjectInfo
from aisio.shards.index import ShardIndex, one_shard
from aisio.shards.index_build import build_shard_index
from aisio.shards.sample_reader import SampleReader
from aisio.stores import AisStore, LocalStore
from aisio.transport.body import Body
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.urls import ObjectUrl
from tests.indexed import index_of, local
from tests.tars import pack, typed


def shard(name: str, samples: int = 4) -> bytes:
    """Return a shard whose samples have two fields, with a file between them that has none."""
    members: list[tuple[str, bytes]] = []
    for number in range(samples):
        members += [
            (f"{name}/{number}.bin", f"{name}{number}".encode() * 300),
            (f"{name}/{number}.cls", b"%d" % number),
            ("README", b"between samples"),
        ]
    return pack(*members)


class CountingStore(LocalStore):
    """A store that notes what is read of it, and changes bytes on the way for a while."""

    def __init__(self) -> None:
        self.ranges: list[tuple[str, ByteRange | None]] = []
        self.flips: list[int] = []  # the byte of the next response that is wrong
        self.lock = threading.Lock()

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """Return a body, perhaps with a wrong byte."""
        with self.lock:
            self.ranges.append((url.name.rpartition("/")[2], byte_range))
            body = super().get(url, byte_range)
            if self.flips:
                data = bytearray(body.readall())
                data[self.flips.pop(0)] ^= 1
                return Body(io.BytesIO(data), body.info, len(data))
            return body


class RangeChecksums(AisStore):
    """A cluster whose bucket can be set to send the checksum of a range with it."""

    sends_range_checksums = False

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        """Return a body, perhaps with another checksum than that of the object."""
        body = super().get(url, byte_range)
        if byte_range is not None and self.sends_range_checksums:
            body.info = replace(body.info, checksum=Checksum("xxhash2", "0"))
        return body

    def is_same(self, url: ObjectUrl, first: ObjectInfo, now: ObjectInfo) -> bool:
        """Do not compare checksums then; see `Object.is_same`."""
        if self.sends_range_checksums:
            now = replace(now, checksum=first.checksum)
        return super().is_same(url, first, now)


class Scene:
    """Two shards, a compressed and an interleaved one, and a reader of them."""

    def __init__(self, folder: Path) -> None:
        interleaved = pack(("1.a", b"1a"), ("2.a", b"2a"), ("1.b", b"1b"))
        shards = {
            "a.tar": shard("a"),
            "b.tar": shard("b"),
            "c.tar.gz": gzip.compress(shard("c")),
            "d.tar": interleaved,
        }
        self.folder = folder
        self.index, self.urls = local(folder, shards)
        self.store = CountingStore()
        self.reader = self.reader_of()

    def reader_of(self, index: ShardIndex | None = None, **options: Any) -> SampleReader:
        """Return a reader of the shards."""
        places = [(self.store, url) for url in self.urls]
        return SampleReader(index or self.index, places, reader="Reader", **options)

    def keys(self, *numbers: int) -> list[str]:
        """Read samples and return their keys, in the order in which they come."""
        return [sample.key for run in self.reader.read(numbers) for _, sample in run]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return shards with 4, 4, 4 and 2 samples."""
    return Scene(tmp_path)


def test_samples_come_by_their_numbers(scene: Scene) -> None:
    """Each once, in the order of shards and bytes; neighbours by one request."""
    assert scene.keys(5, 1, 4, 2, 1) == ["a/1", "a/2", "b/0", "b/1"]
    assert [name for name, _ in scene.store.ranges] == ["a.tar", "b.tar"]
    [[(number, sample)]] = scene.reader.read([6])
    assert (number, sample.fields) == (6, {"bin": b"b2" * 300, "cls": b"2"})
    assert sample.offset == scene.index.span(6).offset
    assert sample.url == str(scene.urls[1])


def test_a_gap_between_samples(scene: Scene) -> None:
    """What is read in vain is not parsed."""
    assert scene.keys(0, 3) == ["a/0", "a/3"]
    assert len(scene.store.ranges) == 1


def test_only_wanted_fields_are_copied(scene: Scene) -> None:
    """Others are named."""
    [sample] = scene.reader_of(keys=["cls"]).read_one(1)
    assert (sample.fields, sample.left_out) == ({"cls": b"1"}, ["bin"])


def test_shards_without_ranges_are_read_whole(scene: Scene) -> None:
    """The last one is kept, for those who read one sample after the other."""
    assert scene.keys(11, 8) == ["c/0", "c/3"]
    assert scene.keys(9) == ["c/1"]
    assert [part for _, part in scene.store.ranges] == [None]
    assert scene.keys(12, 13, 10) == ["c/2", "1", "2"]
    [sample] = scene.reader.read_one(12)
    assert sample.fields == {"a": b"1a", "b": b"1b"}
    # The interleaved one takes a second pass, once.
    assert [name for name, _ in scene.store.ranges] == ["c.tar.gz", "d.tar", "d.tar"]


def test_a_large_shard_without_ranges_is_not_kept(scene: Scene) -> None:
    """Memory is bounded; each read costs the whole shard."""
    scene.reader = scene.reader_of(kept_shard_bytes=700)
    assert [scene.keys(11), scene.keys(8)] == [["c/3"], ["c/0"]]
    assert len(scene.store.ranges) == 2


def test_a_flipped_bit_is_read_once_more(scene: Scene) -> None:
    """Wherever in the sample it is."""
    for byte in (0, 600, scene.index.span(1).size_bytes - 1):
        scene.store.flips = [byte]
        assert scene.keys(1, 2) == ["a/1", "a/2"]
    assert len(scene.store.ranges) == 6


def test_wrong_bytes_are_an_error(scene: Scene) -> None:
    """It says where: shard, sample and byte."""
    span = scene.index.span(2)
    data = bytearray((scene.folder / "a.tar").read_bytes())
    data[span.offset + 700] ^= 1
    index = ShardIndex.from_buffer(scene.index.to_bytes())
    path = scene.folder / "a.tar"
    path.write_bytes(data)
    pinned = _with_pins_of(scene, index)
    reader = scene.reader_of(pinned)
    with pytest.raises(IntegrityError, match=rf"a.tar: sample 'a/2' at byte {span.offset}: ") as e:
        list(reader.read([1, 2, 3]))
    assert str(e.value).startswith("<Reader> ")
    [sample] = reader.read_one(1)
    assert sample.key == "a/1"


def _with_pins_of(scene: Scene, index: ShardIndex) -> ShardIndex:
    """Return an index whose first shard has the pin of the file that is there now."""
    now = index_of(LocalStore(), scene.urls[:1]).shard(0)
    spans = [index.span(number) for number in range(4)]
    columns = (
        array("Q", (span.offset for span in spans)),
        array("Q", (span.size_bytes for span in spans)),
        array("Q", (span.xxh3 or 0 for span in spans)),
    )
    keys = list(index.keys(0, 4))
    return one_shard(now.url, now.size_bytes, now.pin, spans=columns, samples=4, keys=keys)


@pytest.mark.parametrize("data", [shard("a"), shard("x"), shard("a", 3), b"", b"\0" * 1024])
def test_a_replaced_shard_is_an_error(scene: Scene, data: bytes) -> None:
    """Also where its bytes are the same: nobody knows that before they are read."""
    (scene.folder / "a.tar").unlink()
    (scene.folder / "a.tar").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"a.tar: the shard was replaced since .*`aisio index"):
        scene.keys(2)


@pytest.mark.parametrize(
    "data", [gzip.compress(shard("c", 5), mtime=0), gzip.compress(shard("c"), 1, mtime=0)]
)
def test_a_replaced_shard_without_ranges_is_an_error(scene: Scene, data: bytes) -> None:
    """By its version."""
    (scene.folder / "c.tar.gz").unlink()
    (scene.folder / "c.tar.gz").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"c.tar.gz: the shard was replaced"):
        scene.keys(9)


def test_a_missing_shard_is_an_error(scene: Scene) -> None:
    """Of its own kind."""
    (scene.folder / "b.tar").unlink()
    with pytest.raises(NotFoundError, match=r"b.tar"):
        scene.keys(0, 4)


def foreign(scene: Scene, offsets: list[int], sizes: list[int]) -> SampleReader:
    """Return a reader by an index without hashes, names and versions."""
    spans = (array("Q", offsets), array("Q", sizes), None)
    size = len(shard("a"))
    index = one_shard(str(scene.urls[0]), size, "", spans=spans, samples=len(sizes), keys=None)
    return scene.reader_of(index)


def test_an_index_without_hashes(scene: Scene) -> None:
    """The last sample may end where the shard does, as others' indexes have it."""
    offsets = [scene.index.span(number).offset for number in range(4)]
    ends = [*offsets[1:], len(shard("a"))]
    sizes = [end - start for start, end in zip(offsets, ends, strict=True)]
    got = [sample.key for run in foreign(scene, offsets, sizes).read(range(4)) for _, sample in run]
    assert got == ["a/0", "a/1", "a/2", "a/3"]


@pytest.mark.parametrize(
    ("offset", "size", "message"),
    [
        (512, 1024, "cut at byte|due here|damaged"),
        (0, 512, "cut at byte 512"),
        (0, 100, "cut at byte 100"),
    ],
)
def test_a_wrong_index_without_hashes(scene: Scene, offset: int, size: int, message: str) -> None:
    """It is found when the sample is parsed."""
    with pytest.raises(ShardError, match=message):
        foreign(scene, [offset], [size]).read_one(0)
    assert len(scene.store.ranges) == 2


def test_an_index_that_joins_two_samples(scene: Scene) -> None:
    """There are more samples than it says."""
    size = scene.index.span(2).offset
    with pytest.raises(ShardError, match="sample number 0 does not begin at byte 0, where the in"):
        foreign(scene, [0, size], [size, 1024]).read_one(0)


def test_a_sample_that_cannot_be_read(tmp_path: Path) -> None:
    """A link is the user's to mend; its bytes are right, and not read again."""
    data = typed(b"0", "1.a", b"A") + typed(b"2", "1.b") + typed(b"0", "2.a", b"B") + END_OF_ARCHIVE
    index, [url] = local(tmp_path, {"a.tar": data})
    store = CountingStore()
    reader = SampleReader(index, [(store, url)], reader="Reader")
    with pytest.raises(ShardError, match=r"<Reader> .*member '1.b' at byte 1024 is a symlink"):
        reader.read_one(0)
    assert len(store.ranges) == 1
    assert SampleReader(index, [(store, url)], keys=["a"]).read_one(0)[0].fields == {"a": b"A"}


def test_buffers_are_used_again(scene: Scene) -> None:
    """One for each request that is read at a time; a large one is dropped."""
    for number in range(8):
        scene.reader.read_one(number)
    assert len(scene.reader._spare) == 1


def test_a_large_buffer_is_not_kept(tmp_path: Path) -> None:
    """Nor does it stay behind one that is."""
    index, [url] = local(tmp_path, {"a.tar": pack(("1.a", bytes(5 << 20)), ("2.a", b"2"))})
    reader = SampleReader(index, [(LocalStore(), url)])
    assert len(reader.read_one(0)[0].fields["a"]) == 5 << 20
    assert not reader._spare
    assert reader.read_one(1)[0].fields == {"a": b"2"}


def test_a_reader_pickles(scene: Scene) -> None:
    """Without what it keeps."""
    scene.keys(0, 8)
    reader = scene.reader_of()
    reader._places = [(LocalStore(), url) for url in scene.urls]
    copy = pickle.loads(pickle.dumps(reader))
    assert [sample.key for run in copy.read([0, 8]) for _, sample in run] == ["a/0", "c/0"]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_several_requests_at_once(scene: Scene, concurrency: int) -> None:
    """Their results come in order."""
    limit = AdaptiveLimit(Concurrency(fixed=concurrency))
    reader = scene.reader_of(limit=limit)
    runs: Iterator[Any] = (run for _ in range(5) for run in reader.plan([0, 1, 6, 3, 9, 13]))
    got = [number for run in reader.read_runs(runs) for number, _ in run]
    assert got == [0, 1, 3, 6, 9, 13] * 5


@pytest.mark.parametrize("other_pin", [False, True])
def test_versions_are_compared_as_those_of_a_listing(tmp_path: Path, other_pin: bool) -> None:
    """By what index and response both tell; a replaced shard is one, a checksum of a range none."""
    (tmp_path / "b").mkdir()
    with Gateway(tmp_path) as gateway:
        store = RangeChecksums(Client(gateway.endpoint))
        url = ObjectUrl.parse("ais://b/a.tar")
        store.put(url, shard("a"))
        info = store.head(url)
        if other_pin:
            info = replace(info, checksum=None, etag="of-a-copy")
        reader = SampleReader(build_shard_index(partial(store.get, url), info), [(store, url)])
        assert [sample.key for run in reader.read([1, 3]) for _, sample in run] == ["a/1", "a/3"]
        store.sends_range_checksums = True
        [sample] = reader.read_one(1)
        assert sample.key == "a/1"
        store.sends_range_checksums = False
        store.put(url, shard("b"))
        text = (
            "was replaced since it was indexed" if not other_pin else "when the shard was indexed"
        )
        with pytest.raises(IntegrityError, match=text):
            reader.read_one(1)
