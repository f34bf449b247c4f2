"""load_index: beside the data or in the cache; what is missing or stale is named."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from msgspec.structs import replace

from aisio.client.client import Bucket, Client
from aisio.errors import IntegrityError
from aisio.gateway import Gateway
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_cache import IndexCache
from aisio.shards.index_loading import IndexPlace, ShardLookup, load_index
from aisio.stores import AisStore, LocalStore
from aisio.urls import ObjectUrl
from tests.shards.test_index_cache import A, B, index_of


@pytest.fixture
def cache(tmp_path: Path) -> IndexCache:
    """Return an empty cache."""
    return IndexCache(tmp_path / "cache")


@pytest.fixture
def place(tmp_path: Path) -> IndexPlace:
    """Return the place of the index of a local folder."""
    return IndexPlace.beside(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/data/"))


def put(place: IndexPlace, *infos: ObjectInfo) -> ShardIndex:
    """Write the index of some shards."""
    index = ShardIndex.merge([index_of(info) for info in infos])
    place.store.put(place.url, index.to_bytes())
    return index


def test_place_beside_the_data():
    """A folder's index is in it, a shard's beside it."""
    for url, expected in (
        ("ais://b/", "ais://b/.aisio-index"),
        ("ais://b/train/", "ais://b/train/.aisio-index"),
        ("ais://b/a.tar", "ais://b/a.tar.aisio-index"),
    ):
        assert str(IndexPlace.beside(LocalStore(), ObjectUrl.parse(url)).url) == expected


def test_local_index_is_mapped_from_a_copy(place: IndexPlace, cache: IndexCache, tmp_path: Path):
    """A program that writes into a mapped file ends those that read it; `cp` does."""
    written = put(place, A, B)
    loaded = load_index([A, B], place=place, cache=cache)
    assert loaded.index is not None
    assert (loaded.index.digest, loaded.describe()) == (written.digest, "")
    assert [loaded.index.path] == list(cache.folder.glob("copies/*"))
    (tmp_path / "data" / ".aisio-index").write_bytes(b"")
    assert loaded.index.key(3) == "1"


def test_missing_and_stale_shards_are_named(place: IndexPlace, cache: IndexCache):
    """A shard is stale if an index has another version of it, beside the data or in the cache."""
    put(place, A)
    cache.save_fragment(index_of(B))
    newer = [replace(info, etag="2") for info in (A, B)]
    other = ObjectInfo("file://", "nowhere/c.tar", 1)
    loaded = load_index([*newer, other], place=place, cache=cache)
    assert loaded.index is None
    assert (loaded.stale, loaded.missing) == ((A.url, B.url), (other.url,))
    assert loaded.describe() == (
        "1 shard not indexed (file:///nowhere/c.tar); "
        "2 shards replaced since they were indexed (ais://b/a.tar, ais://b/b.tar)"
    )
    assert load_index([A], cache=cache).missing == (A.url,)


def test_index_is_put_together_of_what_is_known(place: IndexPlace, cache: IndexCache):
    """Of that beside the data, in any order, and of fragments; it is kept, and mapped."""
    put(place, B)
    cache.save_fragment(index_of(A, 3))
    loaded = load_index([A, B], place=place, cache=cache)
    assert loaded.index is not None
    assert [shard.url for shard in loaded.index.shards] == [A.url, B.url]
    assert len(loaded.index) == 5
    assert loaded.index.path is not None
    for path in cache.folder.glob("fragments/*"):
        path.unlink()
    again = load_index([A, B], place=None, cache=cache)
    assert again.index is not None
    assert again.index.digest == loaded.index.digest


def test_listing_without_sizes_is_compared_by_what_it_has(cache: IndexCache):
    """Names in braces are not looked up."""
    cache.save_fragment(index_of(A))
    assert load_index([ObjectInfo("ais://b", "a.tar")], cache=cache).index is not None


def test_damaged_index_beside_the_data_is_an_error(place: IndexPlace, cache: IndexCache):
    """It is not silently built again: somebody has to know."""
    place.store.put(place.url, b"\x89AISIDX\n")
    with pytest.raises(IntegrityError, match=r"data/\.aisio-index: this shard index has 8 bytes"):
        load_index([A], place=place, cache=cache)


def test_unusable_cache_holds_the_index_in_memory(tmp_path: Path, caplog):
    """A container may have no folder to write to; the log says so."""
    (tmp_path / "file").write_bytes(b"")
    cache = IndexCache(tmp_path / "file")
    place = IndexPlace.beside(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/data/"))
    put(place, B, A)
    with caplog.at_level(logging.WARNING, logger="aisio.shard_index"):
        loaded = load_index([A, B], place=place, cache=cache)
    assert loaded.index is not None
    assert (len(loaded.index), loaded.index.path) == (4, None)
    assert "is held in memory" in caplog.text


def test_object_is_copied_into_the_cache_once(tmp_path: Path, cache: IndexCache):
    """By one GET; a HEAD tells later whether the copy is that of the object still."""
    (tmp_path / "buckets").mkdir()
    with Gateway(tmp_path / "buckets") as gateway:
        client = Client(gateway.endpoint)
        bucket: Bucket = client.bucket("b").create()
        place = IndexPlace.beside(AisStore(client), bucket.url)
        assert load_index([A], place=place, cache=cache).missing == (A.url,)
        put(place, A)
        for _ in range(2):
            loaded = load_index([A], place=place, cache=cache)
            assert loaded.index is not None
            assert loaded.index.path in set(cache.folder.glob("copies/*"))
        [copy] = cache.folder.glob("copies/*")
        inode = copy.stat().st_ino
        assert load_index([A], place=place, cache=cache).index is not None
        assert copy.stat().st_ino == inode
        put(place, A, B)
        loaded = load_index([A, B], place=place, cache=cache)
        assert loaded.index is not None
        assert loaded.index.path in set(cache.folder.glob("copies/*")) - {copy}


def test_object_that_is_replaced_while_it_is_loaded(tmp_path: Path, cache: IndexCache):
    """The copy is not taken for one of the older version."""
    old, new = (ShardIndex.merge([index_of(info)]).to_bytes() for info in (A, B))

    class Replaced(AisStore):
        def head(self, url: ObjectUrl) -> ObjectInfo:
            info = super().head(url)
            self.put(url, new)
            return info

    (tmp_path / "buckets").mkdir()
    with Gateway(tmp_path / "buckets") as gateway:
        client = Client(gateway.endpoint)
        place = IndexPlace.beside(Replaced(client), client.bucket("b").create().url)
        place.store.put(place.url, old)
        loaded = load_index([B], place=place, cache=cache)
        assert loaded.index is not None
        assert loaded.index.path in set(cache.folder.glob("copies/*"))
        plain = IndexPlace(AisStore(client), place.url)
        assert load_index([B], place=plain, cache=cache).index is not None
        plain.store.put(plain.url, old)
        assert load_index([A], place=plain, cache=cache).index is not None


def test_lookup_that_needs_names_skips_indexes_without(place: IndexPlace, cache: IndexCache):
    """`aisio index --names` reads again what was indexed with --no-names."""
    index = ShardIndex.merge([index_of(A)], names=False)
    place.store.put(place.url, index.to_bytes())
    assert ShardLookup(place, cache).find(A) is not None
    assert ShardLookup(place, cache, needs_names=True).find(A) is None


def test_lookup_of_any_version(place: IndexPlace, cache: IndexCache):
    """To say what differs from what was indexed."""
    put(place, A)
    cache.save_fragment(index_of(B))
    lookup = ShardLookup(place, cache)
    for info in (A, B):
        newer = replace(info, etag="2", size_bytes=1)
        assert lookup.find(newer) is None
        found = lookup.find_any(newer)
        assert found is not None
        assert found[0].shard(found[1]).url == info.url
    assert lookup.find_any(ObjectInfo("ais://b", "c.tar")) is None


def test_one_shard_that_was_replaced(place: IndexPlace, cache: IndexCache):
    """The text is in the singular."""
    put(place, A)
    loaded = load_index([replace(A, etag="2")], place=place, cache=cache)
    assert loaded.describe() == f"1 shard replaced since it was indexed ({A.url})"
