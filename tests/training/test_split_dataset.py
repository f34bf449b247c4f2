"""SplitDataset: each rank and worker reads its share, and counts it."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
from torch.utils.data import DataLoader

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISShardReader,
    ConfigError,
    NotFoundError,
)
from aisio.training.split import Partition

NAMES = [f"obj{number:02d}" for number in range(20)]


def name_of(item):
    """Return the name of a yielded object without its folder."""
    return item[0].rpartition("/")[2]


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("by_source", [False, True])
def test_workers_share_the_objects(folder, workers, by_source):
    """AIS-07: disjoint and complete, by object or by source."""
    sources = [f"{folder}obj0", f"{folder}obj1"]
    dataset = AISIterDataset(sources, partition_sources_by_worker=by_source)
    got = Counter(
        name_of(item) for item in DataLoader(dataset, batch_size=None, num_workers=workers)
    )
    assert got == Counter(NAMES)


def test_item_i_goes_to_worker_i_mod_n(folder, in_worker):
    """AIS-07: the rule itself."""
    in_worker(1, 3)
    assert [name_of(item) for item in AISIterDataset(folder)] == NAMES[1::3]


def test_ranks_and_workers_share_the_objects(folder, in_worker, monkeypatch):
    """Rank and worker are read when iteration starts; together they read all, once."""
    dataset = AISIterDataset(folder)
    got = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert dataset.count() == 10
        for worker in range(3):
            in_worker(worker, 3)
            share = [name_of(item) for item in dataset]
            assert share == list(Partition(rank, 2, worker, 3).take(NAMES))
            got += share
    assert sorted(got) == NAMES


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_whole_sources_are_shared_over_ranks_too(folder, in_worker, monkeypatch, workers):
    """AIS-07: by source, all ranks and workers together read all, once, and the count is true."""
    sources = [f"{folder}obj{number:02d}" for number in range(5)] + [f"{folder}obj1"]
    dataset = AISIterDataset(sources, partition_sources_by_worker=True)
    got = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        share = []
        for worker in range(workers):
            in_worker(worker, workers)
            share += [name_of(item) for item in dataset]
        assert len(share) == dataset.count() > 0
        got += share
    assert sorted(got) == [*NAMES[:5], *NAMES[10:]]


@pytest.mark.parametrize(
    ("split", "ranks", "workers", "batches"),
    [("rank+worker", 2, 3, 3), ("worker", 1, 3, 6), ("none", 1, 1, 12)],
)
def test_what_is_split_over_can_be_chosen(
    folder, in_worker, monkeypatch, split, ranks, workers, batches
):
    """A tool that splits over ranks itself needs split="worker"; "none" splits nothing."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    expected = list(Partition(1 % ranks, ranks, 2 % workers, workers).take(NAMES))
    for cls in (AISIterDataset, AISBatchIterDataset):
        dataset = cls(folder, split=split)
        in_worker(2, 3)
        assert [name_of(item) for item in dataset] == expected
        assert dataset.count() == 20 // ranks
        assert dataset.count_batches(5, num_workers=3) == batches


def test_what_is_not_split_over_ranks_needs_none(folder, monkeypatch):
    """An environment that says half a rank is an error only where the rank matters."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert len(list(AISIterDataset(folder, split="worker"))) == 20
    with pytest.raises(ConfigError, match="WORLD_SIZE=2 without RANK"):
        list(AISIterDataset(folder))
    received = pickle.loads(pickle.dumps(AISIterDataset(folder)))
    monkeypatch.setenv("RANK", "1")
    assert received.count() == 10


@pytest.mark.parametrize("by_source", [False, True])
def test_the_last_worker_warns_that_there_is_too_little_for_all(
    folder, in_worker, caplog, by_source
):
    """One warning for all workers without items."""
    sources = [f"{folder}obj00", f"{folder}obj01"]
    for worker, expected in ((1, ""), (2, ""), (3, "AISIterDataset> worker 3 of rank 0")):
        in_worker(worker, 4)
        dataset = AISIterDataset(sources, partition_sources_by_worker=by_source)
        for _ in range(2):
            assert len(list(iter(dataset))) == (worker < 2)
        assert expected in caplog.text
        assert len(caplog.records) == bool(expected)
    what = "sources" if by_source else "objects"
    assert f"has nothing to read: too few {what} for 1 ranks x 4 workers" in caplog.text


def test_an_empty_folder_is_no_matter_of_workers(tmp_path, caplog):
    """A process that reads alone has nothing to share."""
    assert list(AISIterDataset(tmp_path, allow_empty=True)) == []
    assert caplog.text == ""


@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset, AISShardReader])
def test_truth_of_a_dataset_needs_no_reading(cls, tmp_path):
    """Trainers evaluate `if dataset:`; here there is nothing to read."""
    assert cls(tmp_path / "none")


@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset, AISShardReader])
def test_a_length_that_is_known_is_not_counted(cls, tmp_path):
    """There is nothing that could be."""
    assert len(cls(tmp_path / "none", length=7)) == 7
    with pytest.raises(ConfigError, match="length=-1"):
        cls(tmp_path, length=-1)


@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset, AISShardReader])
def test_without_length_there_is_no_len(cls, tmp_path):
    """A trainer that stops at len() of a loader would leave samples out; nothing is read for it."""
    dataset = cls(tmp_path / "none")
    for one in (dataset, DataLoader(dataset, batch_size=4, num_workers=2)):
        with pytest.raises(TypeError, match=rf"^<{cls.__name__}> has no length.*length="):
            len(one)


def test_it_is_counted_once_for_each_rank(folder, tmp_path, monkeypatch):
    """Until it is listed again; a copy that was made before has the listing that there was."""
    dataset = AISIterDataset(folder)
    assert dataset.count() == 20
    (tmp_path / "obj99").write_bytes(b"x")
    copy = pickle.loads(pickle.dumps(dataset))
    assert (dataset.count(), copy.count()) == (20, 20)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert dataset.count() == 10
    monkeypatch.setenv("RANK", "0")
    dataset.relist()
    assert (dataset.count(), copy.count()) == (11, 10)


def test_a_worker_cannot_have_it_listed_again(folder, in_worker):
    """The other workers would not know of it."""
    dataset = AISIterDataset(folder)
    in_worker(0, 2)
    with pytest.raises(ConfigError, match="relist"):
        dataset.relist()


@pytest.mark.parametrize("workers", [0, 2])
def test_every_rank_raises_for_a_source_without_objects(folder, workers, monkeypatch):
    """Also those that have nothing to read of the others."""
    monkeypatch.setenv("WORLD_SIZE", "20")
    for rank in ("0", "19"):
        monkeypatch.setenv("RANK", rank)
        loader = DataLoader(AISIterDataset([folder, f"{folder}absent"]), num_workers=workers)
        with pytest.raises(NotFoundError, match="absent"):
            list(loader)
