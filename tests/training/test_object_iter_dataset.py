"""AISIterDataset.from_tar: order, epochs and workers; see also test_object_datasets."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from aisio import AISBatchIterDataset, AISIterDataset, ConfigError, NotSupportedError, index_tar
from tests.tars import pack

NAMES = [f"{number:03d}" for number in range(100)]


@pytest.fixture
def tar(tmp_path: Path) -> tuple[Path, Path]:
    """Return a tar and its index."""
    (tmp_path / "o.tar").write_bytes(pack(*((name, name.encode()) for name in NAMES)))
    index_tar(tmp_path / "o.tar", tmp_path / "o.idx")
    return tmp_path / "o.tar", tmp_path / "o.idx"


def shuffled(tar: tuple[Path, Path], **options: Any) -> Any:
    """Return a shuffled dataset."""
    return AISIterDataset.from_tar(*tar, shuffle=True, shuffle_chunk_size=10, **options)


def test_files_come_in_the_order_of_the_tar(tar: tuple[Path, Path]) -> None:
    """Counted without being read."""
    dataset = AISIterDataset.from_tar(*tar)
    assert dataset.count() == 100
    assert dataset.count_batches(8, num_workers=3) == 15
    assert list(dataset) == [(name, name.encode()) for name in NAMES]
    assert list(dataset) == [(name, name.encode()) for name in NAMES]


def test_running_workers_see_a_new_epoch(tar: tuple[Path, Path]) -> None:
    """Persistent ones have a copy of the dataset from before the first epoch."""
    dataset = shuffled(tar)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, persistent_workers=True)
    epochs = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        epochs.append([name for name, _ in loader])
    assert epochs[0] == epochs[2] != epochs[1]
    dataset.set_epoch(1)
    assert epochs[1] == [name for name, _ in dataset]


def test_an_iteration_keeps_the_epoch_that_it_began_with(tar: tuple[Path, Path]) -> None:
    """A new one is for the next."""
    dataset = shuffled(tar)
    first = [name for name, _ in dataset]
    items = iter(dataset)
    next(items)
    dataset.set_epoch(1)
    assert [name for name, _ in items] == first[1:]


def test_a_state_goes_on_in_the_shuffled_order(tar: tuple[Path, Path]) -> None:
    """Where it stood, and not with the order of another epoch."""
    whole = [name for name, _ in shuffled(tar)]
    items: Any = iter(shuffled(tar))
    assert [name for name, _ in islice(items, 33)] == whole[:33]
    later: Any = iter(shuffled(tar))
    later.load_state_dict(items.state_dict())
    assert [name for name, _ in later] == whole[33:]
    other = shuffled(tar)
    other.set_epoch(1)
    with pytest.raises(ConfigError, match=r"of the order '.*epoch 0', and this is '.*epoch 1'"):
        iter(other).load_state_dict(items.state_dict())


def test_ranks_read_equal_stretches(
    tar: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 files "drop" leaves out one."""
    found = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        found.append([name for name, _ in shuffled(tar, equalize="drop")])
    assert list(map(len, found)) == [33, 33, 33]
    assert len(set().union(*found)) == 99


def test_an_epoch_of_other_datasets_has_no_order(tmp_path: Path) -> None:
    """So that Accelerate may set it, as it does for each epoch."""
    (tmp_path / "a").write_bytes(b"1")
    dataset = AISIterDataset.from_objects(tmp_path / "a")
    dataset.set_epoch(3)
    assert len(list(dataset)) == 1
    with pytest.raises(ConfigError, match="epoch"):
        dataset.set_epoch(-1)


def test_what_cannot_be_meant(tar: tuple[Path, Path]) -> None:
    """Said at once."""
    with pytest.raises(ConfigError, match="shuffle_chunk_size=0"):
        AISIterDataset.from_tar(*tar, shuffle=True, shuffle_chunk_size=0)
    with pytest.raises(ConfigError, match="partition_sources_by_worker: a tar is one source"):
        AISIterDataset.from_tar(*tar, partition_sources_by_worker=True)
    with pytest.raises(NotSupportedError, match=r"use AISIterDataset\.from_tar"):
        AISBatchIterDataset.from_tar(*tar)
