"""The datasets, over local folders: what they yield, in which order, and to whom."""

from __future__ import annotations

import inspect
import os
import pickle
import threading
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISMapDataset,
    AISShardReader,
    Client,
    Concurrency,
    ConfigError,
    NotFoundError,
)
from aisio.gateway import Gateway
from aisio.training.split import Partition

NAMES = [f"obj{number:02d}" for number in range(20)]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with twenty files, as the URL of a prefix."""
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    return f"file://{tmp_path}/"


@pytest.mark.parametrize("cls", [AISMapDataset, AISIterDataset, AISShardReader])
def test_no_source_is_refused_by_name(cls):
    """AIS-02: each class names itself."""
    with pytest.raises(ValueError, match=f"^<{cls.__name__}> ais_source_list must be provided$"):
        cls([])


def name_of(item):
    """Return the name of a yielded object without its folder."""
    return item[0].rpartition("/")[2]


def test_map_dataset_is_a_list_of_name_and_bytes(folder):
    """AIS-05: (name, bytes), length, negative index."""
    dataset = AISMapDataset(folder)
    assert len(dataset) == 20
    assert (name_of(dataset[3]), dataset[3][1]) == ("obj03", b"obj03")
    assert name_of(dataset[-1]) == "obj19"
    assert [data for _, data in dataset.__getitems__([4, 0, -2])] == [b"obj04", b"obj00", b"obj18"]


@pytest.mark.parametrize("index", [20, -21])
def test_map_dataset_has_bounds(folder, index):
    """AIS-05: the text that users of the official package know."""
    with pytest.raises(IndexError, match="^<AISMapDataset> index must be in bounds of dataset$"):
        AISMapDataset(folder)[index]


def test_map_dataset_lists_once(folder, tmp_path):
    """AIS-05: objects that come later are not in it."""
    dataset = AISMapDataset(folder)
    (tmp_path / "obj99").write_bytes(b"x")
    assert len(dataset) == 20


def test_iter_dataset_is_lazy_and_restarts(folder, tmp_path):
    """AIS-06: in listing order, listed anew by each iteration."""
    dataset = AISIterDataset(folder)
    first = iter(dataset)
    assert name_of(next(first)) == "obj00"
    (tmp_path / "obj99").write_bytes(b"x")
    assert [name_of(item) for item in dataset] == [*NAMES, "obj99"]
    assert name_of(next(first)) == "obj01"


def test_iter_dataset_counts_and_stays_usable(folder):
    """AIS-09: counting does not use the iteration up."""
    dataset = AISIterDataset(folder)
    iterator = iter(dataset)
    next(iterator)
    assert dataset.count() == 20
    assert len(list(iterator)) == 19


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("cls", [AISMapDataset, AISIterDataset])
def test_start_methods(folder, cls, context):
    """AIS-08: workers of every kind read, also after the parent has."""
    dataset = cls(folder)
    assert name_of(next(iter(dataset))) == "obj00"
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context=context)
    assert [name_of(item) for item in loader] == NAMES


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


@pytest.fixture
def in_worker():
    """Return a function that makes this process DataLoader worker w of n."""
    from torch.utils.data import _utils

    info = _utils.worker

    def pretend(worker: int, workers: int) -> None:
        info._worker_info = info.WorkerInfo(
            id=worker, num_workers=workers, seed=0, dataset=torch.utils.data.TensorDataset()
        )

    yield pretend
    info._worker_info = None


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


def test_spawned_workers_know_their_rank(folder, tmp_path):
    """A spawned worker has no process group: it takes the rank of the process that sent it."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
    )
    try:
        dataset = AISIterDataset(folder)
        sent = pickle.dumps(dataset)
    finally:
        torch.distributed.destroy_process_group()
    received = pickle.loads(sent)
    assert received._rank.current() == (0, 1)
    os.environ["RANK"], os.environ["WORLD_SIZE"] = "1", "2"
    try:
        assert received._rank.current() == (0, 1)
        assert dataset._rank.current() == (1, 2)
    finally:
        del os.environ["RANK"], os.environ["WORLD_SIZE"]


@pytest.fixture
def no_rank(monkeypatch):
    """Take RANK and WORLD_SIZE away."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.mark.usefixtures("no_rank")
def test_a_sender_without_a_rank_leaves_it_to_the_receiver(folder, monkeypatch):
    """As the driver of Ray or submitit does, whose workers are the ranks."""
    received = pickle.loads(pickle.dumps(AISIterDataset(folder)))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert received._rank.current() == (1, 2)
    assert [name_of(item) for item in received] == NAMES[1::2]


@pytest.mark.usefixtures("no_rank")
def test_a_rank_that_was_known_stays_known(folder, monkeypatch):
    """From the environment too, and however often it is passed on."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    sent = pickle.dumps(AISIterDataset(folder))
    monkeypatch.undo()
    assert pickle.loads(pickle.dumps(pickle.loads(sent)))._rank.current() == (1, 2)


@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset, AISShardReader])
def test_whether_a_dataset_is_there_needs_no_reading(cls, tmp_path):
    """`if dataset:` is asked by trainers; there is nothing that could be read."""
    assert cls(tmp_path / "none")


@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset, AISShardReader])
def test_a_length_that_is_known_is_not_counted(cls, tmp_path):
    """There is nothing that could be."""
    assert len(cls(tmp_path / "none", length=7)) == 7
    with pytest.raises(ConfigError, match="length=-1"):
        cls(tmp_path, length=-1)


def test_it_is_counted_once_for_each_rank(folder, tmp_path, monkeypatch):
    """A copy elsewhere counts for itself."""
    dataset = AISIterDataset(folder)
    assert dataset.count() == 20
    (tmp_path / "obj99").write_bytes(b"x")
    assert (dataset.count(), pickle.loads(pickle.dumps(dataset)).count()) == (20, 21)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert dataset.count() == 10


@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset, AISShardReader])
def test_a_length_that_is_not_given_is_no_length(cls, tmp_path):
    """A trainer that stops at len() of a loader would leave samples out; nothing is read for it."""
    dataset = cls(tmp_path / "none")
    for one in (dataset, DataLoader(dataset, batch_size=4, num_workers=2)):
        with pytest.raises(TypeError, match=rf"^<{cls.__name__}> has no length.*length="):
            len(one)


@pytest.mark.parametrize(
    ("split", "ranks", "workers", "batches"),
    [("rank+worker", 2, 3, 3), ("worker", 1, 3, 6), ("none", 1, 1, 12)],
)
def test_what_is_split_over_can_be_chosen(
    folder, in_worker, monkeypatch, split, ranks, workers, batches
):
    """Who splits over ranks elsewhere switches that off here; or all of it."""
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


def test_a_rank_in_doubt_is_told_once(folder, monkeypatch, caplog):
    """A batch script of Slurm that starts Python without srun reads everything."""
    for name in ("RANK", "WORLD_SIZE", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "8")
    dataset = AISIterDataset(folder)
    assert [len(list(dataset)) for _ in range(2)] == [20, 20]
    (record,) = caplog.records
    assert record.getMessage().startswith("<AISIterDataset> reads as the only rank: SLURM_NTASKS=8")


@pytest.mark.parametrize("by_source", [False, True])
def test_the_last_worker_tells_that_there_is_too_little_for_all(
    folder, in_worker, caplog, by_source
):
    """Once, and for the others; who cuts an epoch short before anything was listed says nothing."""
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


@pytest.mark.parametrize("concurrency", [None, 1, 3, Concurrency(start=2, most_bytes=10)])
def test_reading_several_at_once_changes_nothing(folder, concurrency):
    """Names, bytes and order are the same, from both datasets."""
    expected = [(name, name.encode()) for name in NAMES]
    for one_by_one in (
        AISIterDataset(folder, concurrency=concurrency),
        AISBatchIterDataset(folder, concurrency=concurrency, max_batch_size=3),
    ):
        assert [(name_of(item), item[1]) for item in one_by_one] == expected
    by_index = AISMapDataset(folder, concurrency=concurrency)
    got = by_index.__getitems__([*range(19, -1, -1)])
    assert [(name_of(item), item[1]) for item in got] == expected[::-1]


def test_what_is_gone_is_skipped_with_a_word(tmp_path, caplog):
    """How many objects, and which, also where the epoch is not read to its end."""
    pytest.importorskip("aiohttp")
    (tmp_path / "b").mkdir()
    with Gateway(tmp_path) as gateway:
        bucket = Client(gateway.endpoint).bucket("b")
        bucket.object("a").put(b"abc")
        dataset = AISBatchIterDataset([bucket.objects(["x", "a", "y"])], missing="skip")
        assert list(dataset) == [("a", b"abc")]
        told = "<AISBatchIterDataset> left out 2 (gone since they were listed): 'x', 'y'"
        assert caplog.messages == [told]
        epoch = iter(dataset)
        assert next(epoch) == ("a", b"abc")
        del epoch
    assert caplog.messages[1:] == [told.replace("2", "1").replace(", 'y'", "")]


def test_what_missing_objects_do_is_checked_at_once(folder):
    """Also where it would never be looked at."""
    with pytest.raises(ConfigError, match='missing=.skipp.: "raise" or "skip" is needed'):
        AISBatchIterDataset(folder, missing="skipp")  # type: ignore[arg-type]


def test_map_dataset_has_bounds_for_many_too(folder):
    """The text is that of one index."""
    with pytest.raises(IndexError, match="^<AISMapDataset> index must be in bounds of dataset$"):
        AISMapDataset(folder).__getitems__([1, 20])


def test_a_subclass_that_changes_items_is_asked_for_each(folder):
    """Its own method decides about batches as well, in the reader's thread."""

    class Upper(AISMapDataset):
        def __getitem__(self, index):
            return threading.get_ident(), super().__getitem__(index)[1].upper()

    here = threading.get_ident()
    expected = [(here, b"OBJ00"), (here, b"OBJ01")]
    got: list[Any] = Upper(folder).__getitems__([0, 1])
    assert got == expected


def test_a_dataset_pickles_after_it_has_read(folder):
    """It goes to spawned workers with what it has learned."""
    dataset = AISMapDataset(folder)
    dataset.__getitems__(range(20))
    assert pickle.loads(pickle.dumps(dataset))[0][1] == b"obj00"


@pytest.mark.parametrize("workers", [0, 2])
def test_batch_dataset_shares_the_objects_like_the_others(folder, workers):
    """Item i goes to worker i mod n, in batches of what is left."""
    dataset = AISBatchIterDataset(folder, max_batch_size=3)
    got = Counter(
        name_of(item) for item in DataLoader(dataset, batch_size=None, num_workers=workers)
    )
    assert got == Counter(NAMES)
    assert dataset.count() == 20


@pytest.mark.parametrize(
    "options",
    [{"max_batch_size": 0}, {"max_batch_size": 2.5}, {"colocation": 2}, {"output_format": ".zip"}],
)
def test_batch_dataset_refuses_what_cannot_work(options):
    """At construction, not in a worker."""
    with pytest.raises(ConfigError):
        AISBatchIterDataset("ais://b", endpoint="http://127.0.0.1:9", **options)


def test_batch_dataset_takes_the_official_arguments_in_their_order():
    """Moving is a changed import."""
    names = list(inspect.signature(AISBatchIterDataset).parameters)
    assert names[:9] == [
        "ais_source_list",
        "client",
        "prefix_map",
        "show_progress",
        "max_batch_size",
        "output_format",
        "streaming",
        "colocation",
        "partition_sources_by_worker",
    ]


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


def test_stats_of_workers_arrive_in_the_parent(folder):
    """Where the time went, by worker, after the epoch."""
    dataset = AISIterDataset(folder)
    assert len(list(DataLoader(dataset, batch_size=None, num_workers=2))) == 20
    sums = dataset.stats()
    assert (sums["items"], sums["epochs"], sorted(sums["workers"])) == (20, 1, [0, 1])
    assert sums["bytes_read"] == sum(map(len, NAMES))
    assert sums["first_item_s"] > 0


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_stats_of_a_map_dataset_count_what_its_workers_read(folder, context):
    """In the parent, after its workers have ended; what the parent read itself is there at once."""
    dataset = AISMapDataset(folder)
    dataset[0]
    assert dataset.stats()["items"] == 1
    loader = DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context=context)
    assert len(list(loader)) == 5
    sums = dataset.stats()
    assert (sums["items"], sorted(sums["workers"])) == (21, [0, 1])
    assert sums["bytes_read"] == 21 * 5


def test_a_slice_is_no_index(folder):
    """A list of samples is what a DataLoader asks for, by __getitems__."""
    with pytest.raises(TypeError):
        AISMapDataset(folder)[0:2]  # type: ignore[index]


@pytest.mark.parametrize("cls", [AISMapDataset, AISIterDataset, AISBatchIterDataset])
def test_a_source_without_objects_is_an_error_unless_that_is_allowed(cls, folder):
    """When a map dataset is made, and when the others are iterated or counted."""
    with pytest.raises(NotFoundError, match="absent"):
        [*iter(cls(f"{folder}absent"))]
    with pytest.raises(NotFoundError, match="absent"):
        cls([folder, f"{folder}absent"]).count()
    assert [*iter(cls(f"{folder}absent", allow_empty=True))] == []


@pytest.mark.parametrize("workers", [0, 2])
def test_every_rank_is_told_of_a_source_without_objects(folder, workers, monkeypatch):
    """Also those that have nothing to read of the others."""
    monkeypatch.setenv("WORLD_SIZE", "20")
    for rank in ("0", "19"):
        monkeypatch.setenv("RANK", rank)
        loader = DataLoader(AISIterDataset([folder, f"{folder}absent"]), num_workers=workers)
        with pytest.raises(NotFoundError, match="absent"):
            list(loader)
