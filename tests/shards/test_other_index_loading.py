"""OtherIndexes: those of other tools beside shards are found, checked and used."""

from __future__ import annotations

import io
import logging
import struct
import tarfile
from functools import partial
from pathlib import Path

import pytest

from aisio.errors import ShardError
from aisio.formats.tar_write import END_OF_ARCHIVE
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_build import build_shard_index
from aisio.shards.index_cache import IndexCache
from aisio.shards.index_loading import IndexPlace, load_index
from aisio.shards.other_index_loading import OtherIndexes
from aisio.shards.reader import read_samples
from aisio.shards.tar_packing import index_tar
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.tars import LONG_NAME, pack

DATA = pack(("1.jpg", b"J" * 600), ("1.cls", b"7"), (LONG_NAME, b"x"), ("3.jpg", b"K"))


def dali_index(data: bytes) -> bytes:
    """Index a shard as DALI does."""
    samples: dict[str, list[str]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            folder, slash, last = member.name.rpartition("/")
            base, _, extension = last.partition(".")
            words = f"{extension} {member.offset_data} {member.size} {member.name}"
            samples.setdefault(f"{folder}{slash}{base}", []).append(words)
    return (
        f"v1.2 {len(samples)}\n".encode()
        + "".join(" ".join(words) + "\n" for words in samples.values()).encode()
    )


def offsets_index(data: bytes, end: int) -> bytes:
    """Index a shard as Lhotse and energon do."""
    starts = [sample.offset for sample in read_samples(io.BytesIO(data), url="x")]
    return struct.pack(f"<{len(starts) + 1}Q", *starts, end)


INDEXES = {
    "DALI": (".idx", dali_index(DATA)),
    "Lhotse": (".tar.idx", offsets_index(DATA, len(DATA))),
    "energon": (".tar.idx", offsets_index(DATA, len(DATA) - 1024)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two equal shards."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a.tar", "b.tar"):
        (folder / name).write_bytes(DATA)
    return folder


def listing(folder: Path) -> list[ObjectInfo]:
    """List the shards."""
    infos = LocalStore().list(ObjectUrl.parse(f"file://{folder}/"))
    return [info for info in infos if info.name.endswith(".tar")]


@pytest.mark.parametrize("tool", INDEXES)
def test_samples_are_read_by_an_index_of_another_tool(folder: Path, tool: str, caplog):
    """One line in the log says that they are not verified."""
    suffix, data = INDEXES[tool]
    for name in "ab":
        (folder / f"{name}{suffix}").write_bytes(data)
    others = OtherIndexes(LocalStore())
    with caplog.at_level(logging.WARNING, logger="aisio.shard_index"):
        found = [others.find(info) for info in listing(folder)]
    assert caplog.text.count("has no hashes") == 1
    assert tool in caplog.text
    index = ShardIndex.merge([index for index in found if index is not None])
    assert (len(index), index.has_hashes, index.has_names) == (6, False, tool == "DALI")
    whole = list(read_samples(io.BytesIO(DATA), url="x"))
    for number in range(6):
        span = index.span(number)
        own = DATA[span.offset : span.offset + span.size_bytes]
        [sample] = read_samples(io.BytesIO(own + END_OF_ARCHIVE), url="x")
        assert sample.fields == whole[number % 3].fields
        if index.has_names:
            assert index.key(number) == whole[number % 3].key


def test_first_shard_without_one_ends_the_search(folder: Path):
    """A thousand shards without an index cost two requests, not two thousand."""
    (folder / "b.tar.idx").write_bytes(INDEXES["Lhotse"][1])
    others = OtherIndexes(LocalStore())
    assert [others.find(info) for info in listing(folder)] == [None, None]


def test_offsets_without_headers_are_refused(folder: Path):
    """Before anything is read by them."""
    wrong = struct.pack("<4Q", 0, 512, 1024, len(DATA))
    (folder / "a.tar.idx").write_bytes(wrong)
    with pytest.raises(ShardError, match=r"a\.tar\.idx: .* no header at byte 512 of .*a\.tar"):
        OtherIndexes(LocalStore()).find(listing(folder)[0])


def test_samples_that_are_grouped_otherwise_are_refused(folder: Path):
    """A tool may have other rules for names."""
    text = b"v1.2 2\njpg 512 600 1.jpg cls 2048 1 9.cls\njpg 3072 1 3.jpg\n"
    (folder / "a.idx").write_bytes(text)
    with pytest.raises(ShardError, match="files of one sample"):
        OtherIndexes(LocalStore()).find(listing(folder)[0])


def test_listing_is_loaded_by_them(folder: Path, tmp_path: Path):
    """What aisio knows by itself comes first."""
    for name in "ab":
        (folder / f"{name}.tar.idx").write_bytes(INDEXES["energon"][1])
    cache = IndexCache(tmp_path / "cache")
    place = IndexPlace.beside(LocalStore(), ObjectUrl.parse(f"file://{folder}/"))
    infos = listing(folder)
    assert load_index(infos, cache=cache).index is None
    loaded = load_index(infos, place=place, cache=cache)
    assert loaded.index is not None
    assert (len(loaded.index), loaded.index.has_hashes) == (6, False)
    assert all(cache.fragment(info) is None for info in infos)
    for known in (1, 2):
        info = infos[known - 1]
        url = ObjectUrl.parse(info.url)
        cache.save_fragment(build_shard_index(partial(LocalStore().get, url), info))
        loaded = load_index(infos, place=place, cache=cache)
        assert loaded.index is not None
        assert loaded.index.has_hashes == (known == 2)


def test_an_index_of_files_is_no_index_of_samples(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is passed over, and told once."""
    for name in "ab":
        index_tar(folder / f"{name}.tar", folder / f"{name}.tar.idx")
    others = OtherIndexes(LocalStore())
    with caplog.at_level(logging.INFO, "aisio.shard_index"):
        assert [others.find(info) for info in listing(folder)] == [None, None]
    assert caplog.text.count("files and no samples; AISMapDataset.from_tar reads by it") == 1
