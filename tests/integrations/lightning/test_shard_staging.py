"""ShardStaging: shards are written where nobody reads them, until they are published."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
from pathlib import Path
from typing import Any

import pytest

from aisio.errors import ConfigError, StorageError
from aisio.integrations.lightning.shard_folder import ShardFolder
from aisio.integrations.lightning.shard_staging import ShardStaging
from tests.pickle_folder import members, shard_names


def write(staging: ShardStaging, count: int, size_bytes: int = 1) -> None:
    """Write samples."""
    for number in range(count):
        staging.write(f"s{number}", {"b": b"x" * size_bytes, "a": bytearray(b"y")})


def test_a_shard_is_complete_by_samples_or_by_bytes(tmp_path: Path) -> None:
    """The last one may have fewer; fields come in their order."""
    for samples, max_bytes, expected in ((2, 1 << 20, [4, 4, 2]), (9, 100, [4, 4, 2])):
        with ShardStaging(
            ShardFolder(tmp_path), "x", samples=samples, max_bytes=max_bytes
        ) as staging:
            write(staging, 5, size_bytes=60)
            staging.publish()
        shards = sorted(tmp_path.iterdir())
        assert [len(members(shard)) for shard in shards] == expected
        assert [member.name for member in members(shards[1])] == ["s2.a", "s2.b", "s3.a", "s3.b"]


def test_nothing_is_seen_or_left_of_what_is_not_published(tmp_path: Path) -> None:
    """Other programs that read the folder meanwhile see no shard."""
    out = tmp_path / "deep" / "out"
    folder = ShardFolder(out)
    with ShardStaging(folder, "x", samples=1) as staging:
        write(staging, 2)
        assert not list(out.glob("x-*"))
        assert list(ShardFolder(tmp_path).source.list()) == []
    assert list(out.iterdir()) == []


def test_a_set_without_samples_is_not_published(tmp_path: Path) -> None:
    """It would delete all shards."""
    (tmp_path / "x-000000.tar").write_bytes(b"old")
    empty = ShardStaging(ShardFolder(tmp_path), "x", samples=1)
    with empty as staging, pytest.raises(ConfigError, match="no sample was written"):
        staging.publish()
    assert shard_names(tmp_path) == ["x-000000.tar"]


def test_shards_for_a_store_are_written_to_tmpdir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error says how to choose another folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("AIS_ENDPOINT", "http://127.0.0.1:9")
    with ShardStaging(ShardFolder("ais://b/f"), "x", samples=1) as staging:
        write(staging, 1)
        (folder,) = tmp_path.iterdir()
        assert len(list(folder.iterdir())) == 1
        (folder / "x-000001.tar.aisio-partial").mkdir()
        with pytest.raises(StorageError, match=f"write shards to {folder}: .*TMPDIR chooses"):
            write(staging, 1)
        (folder / "x-000001.tar.aisio-partial").rmdir()
    assert list(tmp_path.iterdir()) == []


def _write_too_much(folder: Path, answer: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        with ShardStaging(ShardFolder(folder), "x", samples=9) as staging:
            write(staging, 9, size_bytes=8_000)
            staging.publish()
    except StorageError as error:
        answer.put(str(error))


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    """Where the disk is that of the folder, there is no other to choose."""
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    process = context.Process(target=_write_too_much, args=(tmp_path, answer))
    process.start()
    text = answer.get()
    process.join()
    assert text.endswith(": File too large")
    assert list(tmp_path.iterdir()) == []
