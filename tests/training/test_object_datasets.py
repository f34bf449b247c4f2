"""The datasets, over local folders: what they yield, in which order, and to whom."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISMapDataset,
    AISShardReader,
    Concurrency,
    NotFoundError,
)

NAMES = [f"obj{number:02d}" for number in range(20)]


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


def test_iter_dataset_restarts_and_lists_again_when_told(folder, tmp_path):
    """AIS-06: in listing order; objects that come later are in it after relist()."""
    dataset = AISIterDataset(folder)
    first = iter(dataset)
    assert name_of(next(first)) == "obj00"
    (tmp_path / "obj99").write_bytes(b"x")
    assert [name_of(item) for item in dataset] == NAMES
    dataset.relist()
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


def test_map_dataset_has_bounds_for_many_too(folder):
    """The text is that of one index."""
    with pytest.raises(IndexError, match="^<AISMapDataset> index must be in bounds of dataset$"):
        AISMapDataset(folder).__getitems__([1, 20])


def test_a_subclass_that_changes_items_is_called_for_each(folder):
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


def test_stats_of_workers_arrive_in_the_parent(folder):
    """Where the time went, by worker, after the epoch."""
    dataset = AISIterDataset(folder)
    assert len(list(DataLoader(dataset, batch_size=None, num_workers=2))) == 20
    sums = dataset.stats()
    assert (sums["items"], sums["epochs"], sorted(sums["workers"])) == (20, 1, [0, 1])
    assert sums["bytes_read"] == sum(map(len, NAMES))
    assert sums["first_item_s"] > 0


@pytest.mark.parametrize("context", ["fork", "forkserver"])
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


def test_names_are_those_of_the_items(tmp_path: Path) -> None:
    """In their order."""
    for name in ("b", "a", "c"):
        (tmp_path / name).write_text(name)
    dataset = AISMapDataset(tmp_path)
    assert list(dataset.names) == [name for name, _ in dataset.__getitems__(range(3))]
    assert [name[-2:] for name in dataset.names] == ["/a", "/b", "/c"]
    assert not isinstance(dataset.names, list)  # which would have an object for each


def test_the_data_digest_identifies_objects_and_order(tmp_path: Path) -> None:
    """It is a listing's; a Loader refuses a state of other data by it."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"12")
    both = AISMapDataset(tmp_path).data_digest
    assert both.startswith("sha256:")
    assert AISMapDataset(tmp_path).data_digest == both
    turned = [f"file://{tmp_path}/b", f"file://{tmp_path}/a"]
    digests = {AISMapDataset(turned).data_digest, AISMapDataset(turned[0]).data_digest}
    (tmp_path / "b").write_bytes(b"123")
    digests |= {both, AISMapDataset(tmp_path).data_digest}
    assert len(digests) == 4
