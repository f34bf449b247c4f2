"""TarMemberSource and TarMemberItems: what datasets are told of files of a tar."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from aisio import (
    AISIterDataset,
    AISMapDataset,
    ConfigError,
    Loader,
    NotFoundError,
    ShardError,
    index_tar,
)
from aisio.formats.tar_index_file import encode_tar_index
from aisio.shards.tar_index_loading import StoredFile
from aisio.stores import LocalStore
from aisio.training.tar_members import TarMemberSource
from aisio.urls import ObjectUrl
from tests.tars import pack

FILES = {f"d/{number:02d}.txt": b"%d" % number * 100 for number in range(20)}
FILES["./empty"] = b""


@pytest.fixture
def tar(tmp_path: Path) -> tuple[Path, Path]:
    """Return a tar and its index."""
    (tmp_path / "o.tar").write_bytes(pack(*FILES.items()))
    index_tar(tmp_path / "o.tar", tmp_path / "o.idx")
    return tmp_path / "o.tar", tmp_path / "o.idx"


def described(one: Any) -> tuple[str, str, str, int]:
    """Return what is known of a file; a transform."""
    return one.url, one.name, one.label, one.size_bytes


def test_a_transform_gets_names_and_sizes(tar: tuple[Path, Path]) -> None:
    """By index, in a batch, in an iteration; the size is that of the content."""
    expected = (f"file://{tar[0]}/empty", "empty", "20", 0)
    by_index = AISMapDataset.from_tar(*tar, transform=described)
    assert by_index[20] == by_index.__getitems__([20])[0] == expected
    assert list(AISIterDataset.from_tar(*tar, transform=described))[20] == expected


def test_names_that_no_url_can_hold(tmp_path: Path) -> None:
    """As the OSS connector writes them: they are read, and are never paths here."""
    names = ["/data/src/b.bin", "../up", "a//b"]
    (tmp_path / "o.tar").write_bytes(pack(*((name, b"1") for name in names)))
    index_tar(tmp_path / "o.tar", tmp_path / "o.idx")
    dataset = AISMapDataset.from_tar(
        tmp_path / "o.tar", tmp_path / "o.idx", transform=lambda one: (one.key, one.bucket)
    )
    assert [dataset[number] for number in range(3)] == [(name, "") for name in names]


def test_the_listing_has_numbers_and_sizes_in_the_tar(tar: tuple[Path, Path]) -> None:
    """The index has no names, and none of the sizes."""
    dataset = AISMapDataset.from_tar(*tar)
    assert list(dataset.names) == [str(number) for number in range(21)]
    assert list(dataset.sizes) == [1024] * 20 + [512]
    one = dataset.get_obj_list()[3]
    assert (one.read(), one.size_bytes) == (b"3" * 100, 100)


def test_the_size_of_an_object_is_looked_up(tar: tuple[Path, Path]) -> None:
    """As for any other object whose listing does not have it."""
    assert AISMapDataset.from_tar(*tar).get_obj_list()[12].size_bytes == 200


def test_the_loader_reads_them(tar: tuple[Path, Path]) -> None:
    """Like any map dataset; in a random order."""
    loader = Loader(AISMapDataset.from_tar(*tar), batch_size=4, equalize="none", collate_fn=list)
    batches = list(loader)
    names = [name for batch in batches for name, _ in batch]
    assert sorted(names) == sorted(name.removeprefix("./") for name in FILES)


def test_data_is_told_apart(tar: tuple[Path, Path], tmp_path: Path) -> None:
    """So that a state is not used with another tar."""
    digest = AISMapDataset.from_tar(*tar).data_digest
    assert AISMapDataset.from_tar(*tar).data_digest == digest
    (tmp_path / "2.tar").write_bytes(pack(("a", b"")))
    index_tar(tmp_path / "2.tar", tmp_path / "2.idx")
    other = AISMapDataset.from_tar(tmp_path / "2.tar", tmp_path / "2.idx")
    assert other.data_digest != digest


@pytest.mark.parametrize("on_missing", ["none", "skip"])
def test_a_missing_tar_is_an_error_always(tar: tuple[Path, Path], on_missing: Any) -> None:
    """Without it, an epoch would be empty without an error."""
    dataset = AISMapDataset.from_tar(*tar, on_missing=on_missing)
    items = iter(AISIterDataset.from_tar(*tar, on_missing=on_missing))
    next(items)
    tar[0].unlink()
    with pytest.raises(NotFoundError):
        dataset[0]
    with pytest.raises(NotFoundError):
        dataset.__getitems__([0, 1])


def test_an_index_that_is_wrong_in_the_middle(tar: tuple[Path, Path]) -> None:
    """The error names the class, index and tar."""
    tar[1].write_bytes(encode_tar_index([0, 512, 2048, *range(3072, 21504, 1024)], 20992))
    with pytest.raises(ShardError, match=r"<AISMapDataset> .*o\.idx: this is not the index of"):
        AISMapDataset.from_tar(*tar)[1]


@pytest.mark.parametrize("cls", [AISMapDataset, AISIterDataset])
def test_what_a_tar_has_not(tar: tuple[Path, Path], cls: Any) -> None:
    """Said when the dataset is made."""
    with pytest.raises(ConfigError, match="cannot be transformed by an ETL"):
        cls.from_tar(*tar, etl_name="x")
    with pytest.raises(ConfigError, match="skip_empty: the index of a tar does not say"):
        cls.from_tar(*tar, skip_empty=True)
    for place in ("", None):
        with pytest.raises(ConfigError, match="tar_url must be non-empty"):
            cls.from_tar(place, tar[1])
        with pytest.raises(ConfigError, match="index_url must be non-empty"):
            cls.from_tar(tar[0], place)


def test_an_index_without_files(tmp_path: Path) -> None:
    """An error, unless that is allowed."""
    (tmp_path / "o.tar").write_bytes(bytes(1024))
    (tmp_path / "o.idx").write_bytes(encode_tar_index([], 0))
    places = (tmp_path / "o.tar", tmp_path / "o.idx")
    with pytest.raises(NotFoundError, match="the index of the tar has no file"):
        AISMapDataset.from_tar(*places)
    assert len(AISMapDataset.from_tar(*places, allow_empty=True)) == 0
    assert list(AISIterDataset.from_tar(*places, allow_empty=True)) == []


def test_the_source_pickles_and_refuses_what_it_cannot(tar: tuple[Path, Path]) -> None:
    """A file's content begins where only reading shows."""
    stored = [StoredFile(LocalStore(), ObjectUrl.parse(f"file://{path}")) for path in tar]
    source = pickle.loads(pickle.dumps(TarMemberSource(stored[0], stored[1])))
    infos = list(source.list())
    assert [info.name for info in source.list("1")] == ["1", *map(str, range(10, 20))]
    assert source.read(infos[5]) == b"5" * 100
    assert source.completed(infos[5]).size_bytes == 100
    assert source.base_url == f"file://{tar[0]}/"
    with pytest.raises(ConfigError, match="read whole"):
        source.get(infos[5])
    with pytest.raises(ConfigError, match="ETL"):
        source.read(infos[5], etl_name="x")


@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_workers_read_after_the_parent_has(tar: tuple[Path, Path], context: str) -> None:
    """Forked or not."""
    dataset: Any = AISMapDataset.from_tar(*tar)
    assert dataset[1] == ("d/01.txt", b"1" * 100)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context=context)
    assert [name for name, _ in loader] == [name.removeprefix("./") for name in FILES]
