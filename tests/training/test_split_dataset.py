"""SplitDataset: each rank and worker reads its share, and counts it."""

from __future__ import annotations

import pickle
from collections import Counter
from functools import partial

import pytest
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
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


@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset, AISShardReader])
@pytest.mark.parametrize(
    ("environ", "message"),
    [({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 without RANK"), ({"LOCAL_RANK": "1"}, "LOCAL_RANK=1")],
)
def test_half_a_rank_is_an_error_everywhere(folder, monkeypatch, cls, environ, message):
    """Whether it is read or counted; who says the rank, or reads everything, needs no variables."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for use in (list, cls.count, partial(cls.count_batches, batch_size=2)):
        with pytest.raises(ConfigError, match=message):
            use(cls(folder))
    if cls is not AISShardReader:
        assert len(list(cls(folder, ranks=(1, 2)))) == 10
        assert len(list(cls(folder, ranks=None))) == 20


def in_batches(dataset, **options):
    """Return how many batches a DataLoader makes, and the names of what is in them."""
    batches = list(DataLoader(dataset, batch_size=3, **options))
    return len(batches), [name_of((name,)) for names, _ in batches for name in names]


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(("equalize", "total"), [("drop", 18), ("pad", 21), ("none", 20)])
@pytest.mark.parametrize(("workers", "drop_last"), [(0, False), (2, True)])
def test_ranks_make_as_many_batches(folder, equalize, total, workers, drop_last):
    """Each of three ranks, with any DataLoader; the length is what comes."""
    found = []
    for rank in range(3):
        dataset = AISIterDataset(folder, ranks=(rank, 3), equalize=equalize)
        count, names = in_batches(dataset, num_workers=workers, drop_last=drop_last)
        expected = dataset.count_batches(3, num_workers=workers, drop_last=drop_last)
        assert count == expected
        found.append((count, names, dataset.count()))
    assert sum(count for *_, count in found) == total
    assert (len({count for count, *_ in found}) == 1) >= (equalize != "none")
    names = [name for _, some, _ in found for name in some]
    if not drop_last:
        repeated = {"pad": NAMES[:1]}.get(equalize, [])
        assert sorted(names) == sorted((NAMES if equalize != "drop" else NAMES[:18]) + repeated)


@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset])
@pytest.mark.parametrize(("equalize", "each"), [("drop", 3), ("pad", 4)])
def test_ranks_are_equal_where_workers_have_sources(folder, in_worker, cls, equalize, each):
    """Each worker's sources by themselves: the first has 11 objects in two, the second 10."""
    sources = [f"{folder}obj0", f"{folder}obj1", f"{folder}obj00"]
    options = {"partition_sources_by_worker": True, "equalize": equalize}
    for worker in range(2):
        in_worker(worker, 2)
        ranks = [cls(sources, ranks=(rank, 3), **options) for rank in range(3)]
        assert [len(list(one)) for one in ranks] == [each] * 3


def test_more_workers_and_ranks_than_objects(folder):
    """To pad gives each rank as many; to drop all is an error."""
    sources = [f"{folder}obj0{number}" for number in range(3)]
    ranks = [AISIterDataset(sources, ranks=(rank, 8), equalize="pad") for rank in range(8)]
    assert [name_of(item) for one in ranks for item in one] == (NAMES[:3] * 3)[:8]
    assert {one.count_batches(2, num_workers=4) for one in ranks} == {1}
    with pytest.raises(ConfigError, match="too few items, 3 for 8 ranks"):
        AISIterDataset(sources, ranks=(0, 8), equalize="drop").count()


def test_equal_ranks_cannot_skip(folder):
    """What is skipped makes them differ."""
    with pytest.raises(ConfigError, match="equalize='pad' with on_missing='skip'"):
        AISBatchIterDataset(folder, on_missing="skip", equalize="pad")


def test_a_group_goes_to_spawned_workers_as_its_rank(folder, tmp_path_factory):
    """They have no process group, and it cannot be sent."""
    file, sent = tmp_path_factory.mktemp("group") / "file", b""
    distributed.init_process_group("gloo", f"file://{file}", rank=0, world_size=1)
    try:
        for ranks in (distributed.group.WORLD, init_device_mesh("cpu", (1,))):
            dataset = AISIterDataset(folder, ranks=ranks)
            assert (dataset.count(), pickle.loads(pickle.dumps(dataset)).count()) == (20, 20)
            sent = pickle.dumps(dataset)
    finally:
        distributed.destroy_process_group()
    assert pickle.loads(sent).count() == 20


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
    for length in (-1, 7.5, True):
        with pytest.raises(ConfigError, match=f"length={length}"):
            cls(tmp_path, length=length)


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


def test_a_dataset_shows_what_it_is_without_listing_it(folder):
    """How much, once it is listed."""
    dataset = AISIterDataset(folder)
    assert repr(dataset) == f"<AISIterDataset: {folder}>"
    assert "<th>objects</th>" not in dataset._repr_html_()
    assert dataset.count() == 20
    assert repr(dataset) == f"<AISIterDataset of 20 objects: {folder}>"
    assert "<tr><th>objects</th><td>20</td></tr>" in dataset._repr_html_()
    absent = AISShardReader("ais://b/<none>/", endpoint="http://127.0.0.1:9")
    assert repr(absent) == "<AISShardReader: ais://b/<none>/>"
    assert "ais://b/&lt;none&gt;/" in absent._repr_html_()
