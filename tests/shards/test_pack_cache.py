"""PackCache: shards that were stored by runs which have not ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aisio.atomic_write import PARTIAL_SUFFIX, atomic_write
from aisio.records import Checksum
from aisio.shards.pack_cache import PackCache
from aisio.shards.pack_files import FolderFile, GeneratedFile
from aisio.shards.plan import PlannedShard
from aisio.shards.sample_recorder import SampleRecorder

URL = "ais://b/shard-000000.tar"
CHECKSUM = Checksum("xxhash2", "0123")


def planned(version: int = 1, label: bytes = b"7") -> PlannedShard:
    """Return a shard of one sample."""
    members = (GeneratedFile("a.cls", label), FolderFile("a.jpg", 10, version))
    return PlannedShard("shard-000000.tar", members, 1, 3072)


@pytest.fixture
def cache(tmp_path: Path) -> PackCache:
    """Return a cache that has one shard."""
    recorder = SampleRecorder()
    recorder.begin("a")
    recorder.update(bytes(2048))
    cache = PackCache(tmp_path)
    cache.save(URL, planned(), recorder.finish(URL, "etag:1"), CHECKSUM)
    return cache


def test_a_shard_is_found_by_its_files(cache: PackCache) -> None:
    """Other files, labels or URLs are another shard."""
    found = cache.find(URL, planned())
    assert found is not None
    index, checksum = found
    assert (index.shard(0).url, index.shard(0).pin, checksum) == (URL, "etag:1", CHECKSUM)
    assert cache.find(URL, planned(version=2)) is None
    assert cache.find(URL, planned(label=b"8")) is None
    assert cache.find("ais://b/other.tar", planned()) is None


def test_a_shard_is_forgotten(cache: PackCache, tmp_path: Path) -> None:
    """Once its run has ended."""
    cache.forget(URL, planned())
    cache.forget(URL, planned())
    assert cache.find(URL, planned()) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("content", [b"", b"xxhash2:01", b"\xff\n", b"xxhash2:01\nno index"])
def test_a_damaged_file_is_none(cache: PackCache, tmp_path: Path, content: bytes) -> None:
    """The shard is read again."""
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    path.write_bytes(content)
    assert cache.find(URL, planned()) is None


def test_what_is_old_is_removed(cache: PackCache, tmp_path: Path) -> None:
    """Nobody will repeat that run."""
    cache.remove_abandoned()
    assert cache.find(URL, planned()) is not None
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    os.utime(path, (0, 0))
    cache.remove_abandoned()
    assert not path.exists()


def test_what_a_killed_process_was_writing_is_removed(cache: PackCache, tmp_path: Path) -> None:
    """It is locked no longer; what another process writes now stays."""
    (entry,) = (path for path in tmp_path.rglob("*") if path.is_file())
    abandoned = entry.with_name(f".{'0' * 16}{PARTIAL_SUFFIX}")
    abandoned.write_bytes(b"half an index")
    with atomic_write(entry.with_name("other")) as file:
        cache.remove_abandoned()
        file.write(b"another index")
    assert not abandoned.exists()
    assert entry.with_name("other").read_bytes() == b"another index"
    assert cache.find(URL, planned()) is not None


def test_a_cache_that_cannot_be_written_remembers_nothing(tmp_path: Path) -> None:
    """Packing goes on."""
    (tmp_path / "shard-index").write_text("not a folder")
    cache = PackCache(tmp_path)
    recorder = SampleRecorder()
    recorder.begin("a")
    cache.save(URL, planned(), recorder.finish(URL, ""), CHECKSUM)
    assert cache.find(URL, planned()) is None
    cache.remove_abandoned()
