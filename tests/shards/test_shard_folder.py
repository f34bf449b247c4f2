"""ShardFolder: shards of a folder, and their index."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.atomic_write import atomic_write
from aisio.errors import ConflictError
from aisio.shards.index import ShardIndex
from aisio.shards.shard_folder import ShardFolder
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.indexed import index_of
from tests.tars import pack

STORE = LocalStore()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of shards of two prefixes, and of other things."""
    for name in ("train-000000", "train-000001", "val-000000", "other"):
        (tmp_path / f"{name}.tar").write_bytes(pack((f"{name}.x", b"1")))
    for name in ("train-1.tar", "train-000002.tar.gz", "classes.json"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def folder(root: Path, prefix: str = "train") -> ShardFolder:
    """Return the folder."""
    return ShardFolder(STORE, ObjectUrl.parse(f"file://{root}"), prefix)


def indexed(root: Path, *names: str) -> list[tuple[ShardIndex, int]]:
    """Return the index of each of some shards."""
    urls = [ObjectUrl.parse(f"file://{root}/{name}.tar") for name in names]
    return [(index_of(STORE, [url]), 0) for url in urls]


def in_index(root: Path, url: str) -> list[str]:
    """Return the names of the shards in the index of the folder."""
    assert url == f"file://{root}/.aisio-index"
    index = ShardIndex.from_file(root / ".aisio-index", folder=f"file://{root}/")
    return [shard.url.rpartition("/")[2] for shard in index.shards]


def test_shards_of_the_prefix_are_listed(root: Path) -> None:
    """Nothing else; a folder that is not there has none."""
    names = [f"file://{root}/train-00000{number}.tar" for number in (0, 1)]
    found = folder(root)
    assert list(found.existing()) == names == [str(found.shard_url(number)) for number in (0, 1)]
    assert folder(root / "none").existing() == {}
    found.delete(found.existing().values())
    assert not list(root.glob("train-00000?.tar"))


def test_several_processes_have_shards_of_their_own(root: Path) -> None:
    """One that is alone lists all of them; each of several lists its own, and those of one."""
    ranked = ShardFolder(STORE, folder(root).url, "train", rank=7)
    assert str(ranked.shard_url(3)) == f"file://{root}/train-r00007-000003.tar"
    for name in ("train-r00007-000003", "train-r00008-000000", "train-20240101-000000"):
        (root / f"{name}.tar").write_bytes(b"")
    alone, own, other = (
        [f"file://{root}/train-{name}.tar" for name in names]
        for names in (("000000", "000001"), ("r00007-000003",), ("r00008-000000",))
    )
    assert list(folder(root).existing()) == [*alone, *own, *other]
    assert list(ranked.existing()) == [*alone, *own]


def test_the_index_has_what_is_known(root: Path) -> None:
    """That of another prefix stays in it, in the order of the names."""
    val = folder(root, "val").write_index(indexed(root, "val-000000"))
    assert in_index(root, val) == ["val-000000.tar"]
    train = folder(root).write_index(indexed(root, "train-000001", "train-000000"))
    assert in_index(root, train) == ["train-000000.tar", "train-000001.tar", "val-000000.tar"]
    (root / "val-000000.tar").write_bytes(pack(("other.x", b"other")))
    folder(root).write_index(indexed(root, "train-000000", "train-000001"))
    assert in_index(root, train) == ["train-000000.tar", "train-000001.tar"]


def test_a_damaged_index_is_replaced(root: Path) -> None:
    """There is nothing in it to keep."""
    (root / ".aisio-index").write_bytes(b"no index")
    url = folder(root, "val").write_index(indexed(root, "val-000000"))
    assert in_index(root, url) == ["val-000000.tar"]


def test_a_shard_that_others_have_added_is_an_error(root: Path) -> None:
    """Of the same prefix: the index would lack it, or have it from an earlier run."""
    with pytest.raises(ConflictError, match="1 were added, the first .*/train-000001.tar: another"):
        folder(root).write_index(indexed(root, "train-000000"))


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_shard_that_is_not_as_it_was_written_is_an_error(root: Path, is_replaced: bool) -> None:
    """Another process writes there too."""
    written = indexed(root, "train-000000")
    (root / "train-000000.tar").unlink()
    if is_replaced:
        (root / "train-000000.tar").write_bytes(pack(("other.x", bytes(9999))))
    with pytest.raises(ConflictError, match="train-000000.tar: another process"):
        folder(root).write_index(written)
    assert not (root / ".aisio-index").exists()


def test_files_of_killed_processes_are_removed(root: Path) -> None:
    """Those of this one are being written."""
    (root / f".{'0' * 16}.aisio-partial").write_bytes(b"half")
    with atomic_write(root / "new") as file:
        folder(root).remove_abandoned()
        assert len(list(root.glob(".*.aisio-partial"))) == 1
        file.write(b"new")
    assert (root / "new").read_bytes() == b"new"
    folder(root / "none").remove_abandoned()
