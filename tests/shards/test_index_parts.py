"""The parts of an index that several processes write."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.errors import ConfigError, ConflictError, ShardError
from aisio.shards.index import ShardIndex
from aisio.shards.index_parts import combine_parts, delete_part, write_part
from aisio.shards.shard_folder import ShardFolder
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.indexed import index_of
from tests.tars import pack

STORE = LocalStore()


def folder(root: Path, rank: int | None = None) -> ShardFolder:
    """Return the folder of a rank."""
    return ShardFolder(STORE, ObjectUrl.parse(f"file://{root}"), "shard", rank)


def write(root: Path, rank: int, *shards: str) -> None:
    """Write shards of one sample, with its key, as a rank."""
    of_rank, written = folder(root, rank), []
    for number, key in enumerate(shards):
        url = of_rank.shard_url(number)
        STORE.put(url, pack((f"{key}.x", key.encode())))
        written.append((index_of(STORE, [url]), 0))
    write_part(of_rank, written)


def test_parts_are_joined_and_go(tmp_path: Path) -> None:
    """In the order of the names; a rank may have none."""
    write(tmp_path, 1, "c")
    write(tmp_path, 0, "b", "a")
    write(tmp_path, 2)
    assert combine_parts(folder(tmp_path), 3) == f"file://{tmp_path}/.aisio-index"
    index = ShardIndex.from_file(tmp_path / ".aisio-index", folder=f"file://{tmp_path}/")
    assert list(index.keys()) == ["b", "a", "c"]
    urls = [ObjectUrl.parse(shard.url) for shard in index.shards]
    read = ShardIndex.of_shards(
        [(index_of(STORE, [url]), 0) for url in urls], folder=f"file://{tmp_path}/"
    )
    assert index.to_bytes() == read.to_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name[0] == "."] == [".aisio-index"]


def test_a_rank_that_has_not_ended_is_named(tmp_path: Path) -> None:
    """Its shards would be missing; the parts stay for the next try."""
    write(tmp_path, 1, "c")
    with pytest.raises(ConflictError, match="2 of 3 writers were not closed.*: rank 0, 2"):
        combine_parts(folder(tmp_path), 3)
    assert not (tmp_path / ".aisio-index").exists()
    assert (tmp_path / ".shard-r00001.aisio-index").exists()


def test_shards_of_an_earlier_run_are_named(tmp_path: Path) -> None:
    """Of ranks that this run has not, and of runs without ranks."""
    for rank in range(3):
        write(tmp_path, rank, f"key-{rank}")
    (tmp_path / ".shard-r00002.aisio-index").unlink()
    with pytest.raises(ConflictError, match="delete .*/shard-r00002-000000.tar$"):
        combine_parts(folder(tmp_path), 2)
    (tmp_path / "shard-r00002-000000.tar").rename(tmp_path / "shard-000000.tar")
    with pytest.raises(ConflictError, match="delete .*/shard-000000.tar$"):
        combine_parts(folder(tmp_path), 2)
    (tmp_path / "shard-000000.tar").unlink()
    write(tmp_path, 2)
    with pytest.raises(ConflictError, match="delete .*/.shard-r00002.aisio-index$"):
        combine_parts(folder(tmp_path), 2)
    delete_part(folder(tmp_path, 2))
    combine_parts(folder(tmp_path), 2)
    with pytest.raises(ConflictError, match="rank 0, 1; or combine.. was called before"):
        combine_parts(folder(tmp_path), 2)


def test_a_key_of_two_ranks_is_an_error(tmp_path: Path) -> None:
    """It names both shards."""
    write(tmp_path, 0, "a", "b")
    write(tmp_path, 1, "b")
    with pytest.raises(ShardError, match="'b' is in two shards: .*r00000-000001.tar and .*r00001"):
        combine_parts(folder(tmp_path), 2)


def test_a_shard_that_was_replaced_is_an_error(tmp_path: Path) -> None:
    """The part is of an earlier run."""
    write(tmp_path, 0, "a")
    (tmp_path / "shard-r00000-000000.tar").write_bytes(pack(("other.x", bytes(9999))))
    with pytest.raises(ConflictError, match="another process writes shards of these names"):
        combine_parts(folder(tmp_path), 1)


def test_no_shard_at_all_is_an_error(tmp_path: Path) -> None:
    """As for a single process."""
    write(tmp_path, 0)
    with pytest.raises(ConfigError, match="no sample was written"):
        combine_parts(folder(tmp_path), 1)
