"""ReaderIndex: counting by the index, and indexes that a first epoch leaves behind."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest
import torch  # noqa: F401
from torch.utils.data import DataLoader

from aisio import AISShardReader, ConfigError, IntegrityError, NotFoundError, ShardError
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_cache import IndexCache
from aisio.shards.index_loading import IndexPlace, load_index
from aisio.sources.resolve import source
from aisio.sources.source_set import SourceSet
from aisio.stores import LocalStore
from aisio.training.reader_index import ReaderIndex
from aisio.urls import ObjectUrl
from tests.tars import pack


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IndexCache:
    """Return the user's cache, which is empty."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    return IndexCache()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of four shards, of 1 to 4 samples."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(4):
        members = [
            (f"{number}{sample}.{end}", b"x") for sample in range(number + 1) for end in "ab"
        ]
        (folder / f"{number}.tar").write_bytes(pack(*members))
    return folder


def listing(folder: Path) -> list[ObjectInfo]:
    """List the shards as a reader does."""
    return [info for _, info in SourceSet(folder, owner="x").list()]


def test_first_epoch_leaves_an_index(folder: Path, cache: IndexCache):
    """Of the shards that were read whole, by workers too; with `keys` it is the same."""
    reader = AISShardReader(folder, keys=["a"], index="build")
    assert len(list(DataLoader(reader, batch_size=None, num_workers=2))) == 10
    index = load_index(listing(folder), cache=cache).index
    assert index is not None
    assert (len(index), index.has_hashes, index.find("32")) == (10, True, 8)
    direct = ShardIndex.merge(
        [found for info in listing(folder) if (found := cache.fragment(info))]
    )
    assert direct.to_bytes() == index.to_bytes()


def test_indexed_shards_are_counted_without_being_read(folder: Path, cache: IndexCache):
    """Others are read; a shard that was replaced is one of them."""
    list(iter(AISShardReader(folder, index="build")))
    assert AISShardReader(folder).count() == 10
    reader = AISShardReader(folder)
    assert (reader.count(), reader.count_batches(3)) == (10, 4)
    assert reader.stats()["bytes_read"] == 0
    (folder / "3.tar").write_bytes(pack(("new.a", b"x")))
    assert AISShardReader(folder).count() == 7


def test_shard_that_was_not_read_whole_has_no_index(folder: Path, cache: IndexCache):
    """Nor has one that is bad."""
    (folder / "1.tar").write_bytes(pack(("1.a", b"x"))[:-1024])
    reader = AISShardReader(folder, on_error="skip", index="build")
    list(iter(reader))
    kept = [cache.fragment(info) is not None for info in listing(folder)]
    assert kept == [True, False, True, True]
    (folder / "0.tar").write_bytes(pack(("0.a", b"x"), ("1.a", b"x")))
    samples = iter(AISShardReader(folder, keys=["a"], index="build"))
    next(samples)
    samples.close()  # type: ignore[attr-defined]
    assert cache.fragment(listing(folder)[0]) is None


def test_default_writes_nothing(folder: Path, cache: IndexCache):
    """A reader leaves no files behind unless it is asked to."""
    reader = AISShardReader(folder)
    assert (len(list(iter(reader))), reader.count()) == (10, 10)
    assert not cache.folder.exists()


def test_interleaved_shards_are_indexed_as_what_they_are(folder: Path, cache: IndexCache):
    """One whose samples are adjacent is ranged, however it was read."""
    (folder / "1.tar").write_bytes(pack(("0.a", b"x"), ("1.a", b"x"), ("0.b", b"y")))
    list(iter(AISShardReader(folder, interleaved=True, index="build")))
    found = [cache.fragment(info) for info in listing(folder)]
    assert [index and index.shard(0).is_ranged for index in found] == [True, False, True, True]
    assert AISShardReader(folder, interleaved=True).count() == 1 + 2 + 3 + 4


def test_length_can_be_that_of_the_index(folder: Path, cache: IndexCache):
    """Asked for by name: a DataLoader that knows a length may end before its workers do."""
    with pytest.raises(TypeError, match="has no length"):
        len(AISShardReader(folder))
    reader = AISShardReader(folder, length="index", index="build")
    with pytest.raises(ConfigError, match="0.tar has no index: `aisio index` makes one"):
        len(reader)
    list(iter(AISShardReader(folder, index="build")))
    assert len(AISShardReader(folder, length="index")) == 10
    with pytest.raises(ConfigError, match="length='index', index=None"):
        AISShardReader(folder, length="index", index=None)


def test_index_beside_the_data_counts_and_is_no_sample(folder: Path, cache: IndexCache):
    """No reader of the folder takes it for data, whatever names it reads."""
    list(iter(AISShardReader(folder, index="build")))
    index = load_index(listing(folder), cache=cache).index
    assert index is not None
    url = ObjectUrl.parse(f"file://{folder}/")
    place = IndexPlace.beside(LocalStore(), url)
    place.store.put(place.url, index.to_bytes())
    for path in cache.folder.glob("*/*"):
        path.unlink()
    reader = AISShardReader(f"file://{folder}/", shard_names="*")
    assert (reader.count(), reader.stats()["bytes_read"]) == (10, 0)
    assert len(list(iter(reader))) == 10
    place.store.put(place.url, index.to_bytes()[:-1])
    with pytest.raises(IntegrityError, match="it was cut; build it again"):
        AISShardReader(f"file://{folder}/").count()
    assert AISShardReader(f"file://{folder}/", index=None).count() == 10


@pytest.mark.parametrize("index", ["yes", "", True])
def test_other_modes_are_refused(folder: Path, index):
    """With the ones that there are."""
    with pytest.raises(ConfigError, match='index=.*"use", "build" or None'):
        AISShardReader(folder, index=index)
    with pytest.raises(ConfigError, match="what an ETL makes"):
        AISShardReader(folder, None, "etl", index="build")


def test_cache_that_cannot_be_written_is_logged_once(
    folder: Path, tmp_path: Path, monkeypatch, caplog
):
    """The samples come all the same."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, logger="aisio.shard_index"):
        assert len(list(iter(AISShardReader(folder, index="build")))) == 10
    assert caplog.text.count("cannot keep the index of a shard") == 1


def test_it_pickles_without_what_it_loaded(folder: Path, cache: IndexCache):
    """A worker looks for itself."""
    list(iter(AISShardReader(folder, index="build")))
    index = ReaderIndex(SourceSet(folder, owner="x"), "use", "x")
    before = len(pickle.dumps(index))
    [info, *_] = listing(folder)
    local = source(folder)
    assert index.count(local, info) == 1
    assert len(pickle.dumps(index)) == before
    assert pickle.loads(pickle.dumps(index)).count(local, info) == 1


def test_a_copy_has_the_cache_of_its_original(
    folder: Path, cache: IndexCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A worker of a fork server has the environment that the server was started with."""
    list(AISShardReader(folder, index="build"))
    data = pickle.dumps(AISShardReader(folder, length="index"))
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "another"))
    assert len(pickle.loads(data)) == 10


def test_strictness_is_that_of_the_reader(folder: Path, cache: IndexCache):
    """A shard that the reader refuses is refused while it is indexed, with the same text."""
    (folder / "0.tar").write_bytes(pack(("0.a", b"x"), ("1.a", b"x"), ("0.b", b"y")))
    texts = []
    for mode in (None, "build"):
        with pytest.raises(ShardError) as caught:
            list(iter(AISShardReader(folder, index=mode)))
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_shards_named_by_braces_are_looked_up(folder: Path, cache: IndexCache):
    """They have no size in a listing: without a look, a replaced one would pass for the old one."""
    url = f"file://{folder}/{{0..3}}.tar"
    assert len(list(iter(AISShardReader(url, index="build")))) == 10
    reader = AISShardReader(url)
    assert (reader.count(), reader.stats()["bytes_read"]) == (10, 0)
    (folder / "3.tar").write_bytes(pack(("new.a", b"x")))
    assert AISShardReader(url).count() == 7
    list(iter(AISShardReader(url, index="build")))
    assert cache.fragment(listing(folder)[3]) is not None


def test_missing_shard_is_skipped_if_that_is_wanted(folder: Path, cache: IndexCache):
    """To look up its size must not end the epoch."""
    url = f"file://{folder}/{{0..4}}.tar"
    reader = AISShardReader(url, index="build", on_error="skip")
    assert len(list(iter(reader))) == 10
    assert [bad.url for bad in reader.quarantine] == [f"file://{folder}/4.tar"]
    assert AISShardReader(url, on_error="skip").count() == 10
    with pytest.raises(NotFoundError):
        list(iter(AISShardReader(url, index="build")))
