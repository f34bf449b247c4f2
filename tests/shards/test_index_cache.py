"""IndexCache: what is kept, what is replaced, and what is not taken for what it is not."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from aisio.config import default_cache_folder
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex, one_shard
from aisio.shards.index_cache import IndexCache, covers

A = ObjectInfo("ais://b", "a.tar", 9, etag="1")
B = ObjectInfo("ais://b", "b.tar", 8, etag="1")


def index_of(info: ObjectInfo, samples: int = 2) -> ShardIndex:
    """Return an index of a shard."""
    pin = f"etag:{info.etag}"
    keys = [str(number) for number in range(samples)]
    return one_shard(info.url, info.size_bytes or 0, pin, spans=None, samples=samples, keys=keys)


@pytest.fixture
def cache(tmp_path: Path) -> IndexCache:
    """Return a cache whose folder does not exist yet."""
    return IndexCache(tmp_path / "cache")


def test_default_folder_is_that_of_all_that_is_cached(monkeypatch, tmp_path: Path):
    """AISIO_CACHE_DIR says which."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path))
    assert IndexCache().folder == default_cache_folder() / "shard-index"


def test_fragment_is_found_until_its_shard_is_replaced(cache: IndexCache):
    """The newer one takes its place: nothing piles up."""
    assert cache.fragment(A) is None
    cache.save_fragment(index_of(A))
    cache.save_fragment(index_of(B, 3))
    assert [len(found) for found in map(cache.fragment, (A, B)) if found is not None] == [2, 3]
    newer = replace(A, etag="2")
    assert cache.fragment(newer) is None
    assert (cache.has_fragment(A.url), cache.has_fragment("ais://b/c.tar")) == (True, False)
    cache.save_fragment(index_of(newer, 5))
    assert cache.fragment(A) is None
    assert len(cache.fragment(newer) or ()) == 5
    assert len(list(cache.folder.glob("*/*"))) == 2


def test_damaged_fragment_is_not_used(cache: IndexCache, caplog):
    """It is built again; the log says why."""
    cache.save_fragment(index_of(A))
    [path] = cache.folder.glob("fragments/*")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"etag:1")] ^= 1
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING, logger="aisio.shard_index"):
        assert cache.fragment(A) is None
    assert f"{path}: this shard index is damaged" in caplog.text


def test_merged_index_is_of_exactly_its_listing(cache: IndexCache):
    """Other shards, another order and other versions are others."""
    saved = cache.save_merged(ShardIndex.merge([index_of(A), index_of(B)]))
    assert saved.path is not None
    assert cache.folder in saved.path.parents
    merged = cache.merged([A, B])
    assert merged is not None
    assert merged.digest == saved.digest
    for listed in ([A], [B, A], [A, replace(B, etag="2")], [A, B, B], []):
        assert cache.merged(listed) is None
        assert not covers(saved, listed)


def test_copies_are_known_by_the_version_of_their_object(cache: IndexCache):
    """An object without a version is never taken from the cache."""
    content = index_of(A).to_bytes()
    info = ObjectInfo("ais://b", ".aisio-index", len(content), etag="7")
    assert cache.copy(info) is None
    cache.save_copy(info, content)
    assert cache.copy(info) is not None
    assert cache.copy(replace(info, etag="8")) is None
    unpinned = replace(info, etag="")
    cache.save_copy(unpinned, content)
    assert cache.copy(unpinned) is None


def test_what_was_abandoned_is_removed(cache: IndexCache):
    """Copies that nobody used for a day, and what killed processes left; nothing else."""
    content = index_of(A).to_bytes()
    cache.save_fragment(index_of(A))
    for etag in ("old", "new"):
        cache.save_copy(ObjectInfo("ais://b", ".aisio-index", len(content), etag=etag), content)
    kept = set(cache.folder.glob("*/*"))
    partial = cache.folder / "copies" / ".0123456789abcdef.aisio-partial"
    partial.write_bytes(b"")
    old = time.time() - 90_000
    for path in (*kept, partial):
        os.utime(path, (old, old))
    info = ObjectInfo("ais://b", ".aisio-index", len(content), etag="new")
    assert cache.copy(info) is not None
    cache.remove_abandoned()
    assert cache.copy(info) is not None
    left = set(cache.folder.glob("*/*")) | set(cache.folder.glob("*/.*"))
    assert len(left) == 2
    assert cache.fragment(A) is not None


def test_concurrent_builders_do_no_harm(cache: IndexCache):
    """Each reader sees a whole fragment, of one of them."""
    indexes = [index_of(A, samples) for samples in (1, 1000)]
    cache.save_fragment(indexes[0])
    seen: list[int] = []

    def work(number: int) -> None:
        for _ in range(30):
            cache.save_fragment(indexes[number % 2])
            seen.append(len(cache.fragment(A) or ()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 120
    assert set(seen) <= {1, 1000}
    assert len(list(cache.folder.glob("*/*"))) == 1


def test_a_cache_without_locks(tmp_path: Path) -> None:
    """Builds all the same; whether it can be written shows where an index is kept."""
    (tmp_path / "file").touch()
    with IndexCache(tmp_path / "file").building([], pytest.fail):
        pass
