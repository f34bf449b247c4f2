"""The files of a shard, whole or bad, as webdataset is given them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import webdataset as wds
import zstandard
from webdataset import tariterators

import aisio.integrations.webdataset  # noqa: F401 - teaches webdataset
from aisio.errors import ShardError
from aisio.formats.tar_write import END_OF_ARCHIVE
from tests.integrations.webdataset.conftest import SAMPLES, shard
from tests.tars import gnu_sparse, hard_link, pack, pack_by_tarfile, sparse_content, typed

URL = "ais://data/one.tar"


@pytest.fixture
def read(bucket) -> Callable[..., list[dict[str, bytes]]]:
    """Return what stores bytes as a shard, and reads it by webdataset."""

    def read(data: bytes, **options: object) -> list[dict[str, bytes]]:
        bucket.object("one.tar").put(data)
        dataset = wds.WebDataset([URL], shardshuffle=False, empty_check=False, **options)
        return list(dataset)

    return read


def by_tarfile(data: bytes, **options: object) -> list[dict[str, bytes]]:
    """Read a shard by webdataset alone."""
    stream = {"url": URL, "stream": io.BytesIO(data)}
    files = tariterators.tar_file_expander([stream], **options)
    return list(tariterators.group_by_keys(files))


MEMBERS = [
    ("./a/1.JPG", b"j"),
    ("./a/1.left.png", b"p" * 700),
    ("a.b/2.jpg", b""),
    ("README", b"x"),
    (".hidden", b"x"),
    ("__meta__/x.txt", b"x"),
    ("__info__", b"x"),
    ("x" * 90 + "/" + "y" * 90 + ".jpg", b"l"),
    ("ü/3.txt", b"u"),
]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_are_those_of_webdataset(read, form):
    """Of a shard that is right: keys, extensions, bytes, and what is left out."""
    data = pack_by_tarfile(MEMBERS, form)
    samples = read(data)
    assert samples == by_tarfile(data)
    assert samples[0] == {"__key__": "./a/1", "__url__": URL, "jpg": b"j", "left.png": b"p" * 700}


def test_files_are_selected_and_renamed_as_by_webdataset(read):
    """Renamed first."""
    options = {
        "rename_files": lambda name: name.replace("s0/", "n/"),
        "select_files": lambda name: name.startswith("n/") and name.endswith("cls"),
    }
    assert read(shard(0), **options) == by_tarfile(shard(0), **options)
    assert read(shard(0), **options)[0] == {"__key__": "n/00", "__url__": URL, "cls": b"00"}


def test_what_a_function_of_the_user_raises_goes_to_the_handler(read):
    """The file is left out, or the error is raised."""

    def select(name: str) -> bool:
        if name.endswith("02.cls"):
            raise LookupError(name)
        return True

    with pytest.raises(LookupError, match="02.cls"):
        read(shard(0), select_files=select)
    samples = read(shard(0), select_files=select, handler=wds.ignore_and_continue)
    assert [sorted(one) for one in samples][2] == ["__key__", "__url__", "img.bin"]


def test_sparse_files_are_read(read):
    """With zeros for their holes, as tarfile reads them."""
    assert read(gnu_sparse("a.bin") + END_OF_ARCHIVE)[0]["bin"] == sparse_content()


def test_compressed_shards_are_read(read):
    """Also those of several members, of which tarfile reads the first alone."""
    half = len(shard(0)) // 2
    data = gzip.compress(shard(0)[:half]) + gzip.compress(shard(0)[half:])
    assert len(read(data)) == SAMPLES
    with pytest.raises(ShardError, match="cut at compressed byte"):
        read(gzip.compress(shard(0))[:-9])


def test_a_shard_that_was_cut_before_it_was_stored_is_an_error(bucket):
    """Wherever: the store calls each of these whole. No sample comes in part."""
    data, given = shard(0, samples=3), []

    def read(size: int) -> None:
        bucket.object("one.tar").put(data[:size])
        for sample in wds.WebDataset([URL], shardshuffle=False):
            given.append((size, sample))

    for size in (*range(0, len(data) - len(END_OF_ARCHIVE) + 1, 512), 700, 4800):
        with pytest.raises(ShardError, match="cut|empty"):
            read(size)
    first = {"__key__": "s0/00", "__url__": URL, "img.bin": b"s0/00" * 50, "cls": b"00"}
    assert given == [(size, first) for size in (5120, 5632, 6144)]  # a third one was begun


def test_what_tarfile_makes_of_a_cut_shard():
    """Why aisio does not read by it: at a header there is no error, and a sample is half."""
    data = shard(0, samples=2)
    assert [len(one) for one in by_tarfile(data[:2048])] == [4]
    assert [len(one) for one in by_tarfile(data[:3072])] == [4, 3]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[:3000] + b"\xff" * 200 + data[3200:], "checksum does not fit"),
        (lambda data: data[:1536] + bytes(1024) + data[2560:], "after the end-of-archive"),
        (lambda data: data + data, "after the end-of-archive"),
        (lambda data: b"no tar at all" * 100, "not a tar archive"),
        (lambda data: typed(b"1", "s0/99.cls") + data, "is a hard link to '', which is not before"),
        (lambda data: typed(b"2", "s0/99.cls") + data, "its data is not here"),
        (lambda data: typed(b"?", "s0/99.cls", b"7") + data, "unknown type"),
    ],
)
def test_a_damaged_shard_is_an_error(read, change, told):
    """Where tarfile ends quietly, or leaves out what it does not know."""
    with pytest.raises(ShardError, match=told) as caught:
        read(change(shard(0)))
    assert URL in str(caught.value)


@pytest.mark.parametrize("pack_it", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_hard_link_is_read_as_its_file(read, pack_it):
    """In a compressed shard too, where the file is small; webdataset alone leaves it out."""
    data = pack(("0.cls", b"cat"))[:1024] + hard_link("1.cls", "0.cls") + hard_link("last", "x")
    data += typed(b"Z", "1.bin") + pack()
    assert [sample["cls"] for sample in read(pack_it(data))] == [b"cat"] * 2
    assert len(by_tarfile(data)) == 1


def test_links_that_belong_to_no_sample_are_left_out(read):
    """As folders are."""
    data = typed(b"2", "latest") + typed(b"5", "s0") + shard(0)
    assert len(read(data)) == SAMPLES


def cut(bucket, name: str, at: int) -> None:
    """Store a shard that is cut."""
    bucket.object(name).put(shard(7)[:at])


def test_a_handler_skips_the_rest_of_a_bad_shard_and_no_sample_is_half(bucket):
    """Nor are samples of two shards mixed."""
    cut(bucket, "bad.tar", 2 * 1536 + 2000)  # inside the third sample
    heard: list[Exception] = []

    def handler(error: Exception) -> bool:
        heard.append(error)
        return True

    urls = ["ais://data/bad.tar", "ais://data/train/0.tar"]
    samples = list(wds.WebDataset(urls, shardshuffle=False, handler=handler))
    assert all(len(one) == 4 for one in samples)
    assert [one["__key__"] for one in samples][-SAMPLES:] == [f"s0/{n:02d}" for n in range(SAMPLES)]
    assert len(heard) == 1
    assert "cut at byte" in str(heard[0])


def test_a_handler_may_end_it(bucket):
    """As webdataset's ignore_and_stop does."""
    cut(bucket, "bad.tar", 3000)
    urls = ["ais://data/train/0.tar", "ais://data/bad.tar", "ais://data/train/1.tar"]
    samples = list(wds.WebDataset(urls, shardshuffle=False, handler=wds.ignore_and_stop))
    assert [one["__url__"] for one in samples] == [*[urls[0]] * SAMPLES, urls[1]]


def test_the_stream_is_closed_however_reading_ends(bucket):
    """Webdataset itself leaves that to the garbage collector."""
    streams = []

    def keep(source):
        for one in source:
            streams.append(one["stream"])
            yield one

    cut(bucket, "bad.tar", 3000)
    dataset = wds.WebDataset(
        ["ais://data/bad.tar", "ais://data/train/0.tar"],
        shardshuffle=False,
        handler=wds.ignore_and_continue,
    )
    dataset.pipeline.insert(5, keep)
    samples = iter(dataset)
    assert [next(samples)["__key__"] for _ in range(2)] == ["s7/00", "s0/00"]
    samples.close()
    assert [stream.closed for stream in streams] == [True, True]


def test_other_streams_are_read_by_webdataset():
    """A file that aisio did not open."""
    assert len(by_tarfile(shard(0))) == SAMPLES
    files = tariterators.tar_file_iterator(io.BytesIO(pack(("a.txt", b"a"))))
    assert list(files) == [{"fname": "a.txt", "data": b"a"}]
