"""Building many indexes: in order, several at once, resumed, and ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from aisio.errors import ShardError, StorageError
from aisio.records import ObjectInfo
from aisio.shards.index_cache import IndexCache
from aisio.shards.index_jobs import ListedShard, build_indexes, in_threads
from aisio.shards.index_loading import ShardLookup, load_index
from aisio.stores import LocalStore
from aisio.transport.body import Body
from aisio.urls import ObjectUrl
from tests.tars import pack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of five shards, of 1 to 5 samples."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(5):
        members = [(f"{number}-{sample}.jpg", b"J") for sample in range(number + 1)]
        (folder / f"{number}.tar").write_bytes(pack(*members))
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> IndexCache:
    """Return an empty cache."""
    return IndexCache(tmp_path / "cache")


def listed(folder: Path, opened: list[str]) -> list[ListedShard]:
    """List the shards; each notes in a list that it was opened."""

    def open_shard(info: ObjectInfo) -> Body:
        opened.append(info.name.rpartition("/")[2])
        return LocalStore().get(ObjectUrl.parse(info.url))

    infos = LocalStore().list(ObjectUrl.parse(f"file://{folder}/"))
    return [ListedShard(info, partial(open_shard, info)) for info in infos]


def test_all_are_built_in_their_order(folder: Path, cache: IndexCache):
    """And kept: the index of the listing can be loaded."""
    opened: list[str] = []
    counts: list[int] = []
    shards = listed(folder, opened)
    built = list(build_indexes(shards, cache=cache, jobs=3, on_read=counts.append))
    assert [len(shard.index or ()) for shard in built] == [1, 2, 3, 4, 5]
    assert [shard.info for shard in built] == [shard.info for shard in shards]
    assert not any(shard.was_current or shard.error for shard in built)
    assert sum(counts) == sum(shard.info.size_bytes or 0 for shard in shards)
    index = load_index([shard.info for shard in shards], cache=cache).index
    assert index is not None
    assert (len(index), index.find("4-2")) == (15, 12)


def test_interrupted_build_goes_on(folder: Path, cache: IndexCache):
    """What was built is not read again; a shard that was replaced is, alone."""
    opened: list[str] = []

    def interrupt(size_bytes: int) -> None:
        if "2.tar" in opened:
            raise KeyboardInterrupt

    building = build_indexes(listed(folder, opened), cache=cache, jobs=1, on_read=interrupt)
    assert [len(next(building).index or ()), len(next(building).index or ())] == [1, 2]
    with pytest.raises(KeyboardInterrupt):
        next(building)
    opened.clear()
    lookup = ShardLookup(None, cache)
    list(build_indexes(listed(folder, opened), cache=cache, lookup=lookup, jobs=2))
    assert sorted(opened) == ["2.tar", "3.tar", "4.tar"]
    (folder / "3.tar").write_bytes(pack(("x.jpg", b"J")))
    opened.clear()
    built = list(build_indexes(listed(folder, opened), cache=cache, lookup=lookup))
    assert opened == ["3.tar"]
    assert [shard.was_current for shard in built] == [True, True, True, False, True]
    opened.clear()
    list(build_indexes(listed(folder, opened), cache=cache, lookup=None))
    assert sorted(opened) == [f"{number}.tar" for number in range(5)]


def test_bad_shards_do_not_stop_the_others(folder: Path, cache: IndexCache):
    """Each says what is wrong with it."""
    (folder / "1.tar").write_bytes(b"x" * 600)
    shards = listed(folder, [])
    (folder / "2.tar").unlink()
    built = list(build_indexes(shards, cache=cache))
    assert [shard.index is None for shard in built] == [False, True, True, False, False]
    assert isinstance(built[1].error, ShardError)
    assert isinstance(built[2].error, StorageError)


def test_closing_ends_what_runs():
    """At its next read; what waits is not begun."""
    running = threading.Event()
    begun: list[int] = []
    ended: list[int] = []

    def work(item: int, on_read: Callable[[int], None]) -> int:
        begun.append(item)
        if item:
            running.set()
            try:
                while True:
                    on_read(1)
            finally:
                ended.append(item)
        return item

    results = in_threads(work, range(100), jobs=2)
    assert next(results) == 0
    running.wait()
    results.close()
    assert set(ended) == set(begun) - {0}
    assert len(begun) < 100


def test_other_errors_are_raised():
    """A bug does not pass for a bad shard."""

    def work(item: int, on_read: Callable[[int], None]) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_threads(work, [1], jobs=1))
