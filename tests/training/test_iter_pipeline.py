"""Pipelines over aisio's iterable datasets: who reads what, epochs, workers, states."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISMultiShardStream,
    AISShardReader,
    ConfigError,
    ShardError,
    index_tar,
)
from tests.tars import pack

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")

COUNT = 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of objects, and one of shards of four samples."""
    folder = tmp_path_factory.mktemp("pipelines")
    for kind in ("objects", "shards"):
        (folder / kind).mkdir()
    for number in range(COUNT):
        (folder / "objects" / f"{number:02}.cls").write_bytes(b"%d" % number)
    for first in range(0, COUNT, 4):
        members = [(f"{number:02}.cls", b"%d" % number) for number in range(first, first + 4)]
        (folder / "shards" / f"{first:02}.tar").write_bytes(pack(*members))
    return folder


def number_of(item: Any) -> int:
    """Return the number that an object or sample holds."""
    data = item[1]["cls"] if isinstance(item[1], dict) else item[1]
    return int(data)


def first_number(item: Any) -> int:
    """Return the number of a stream's member."""
    return int(item[0])


def is_even(number: int) -> bool:
    """Return whether it is."""
    return number % 2 == 0


def is_no_third(number: int) -> bool:
    """Return whether it is not a multiple of 3."""
    return number % 3 != 0


MAKERS: dict[str, Callable[..., Any]] = {
    "objects": lambda folder, **options: AISIterDataset(folder / "objects", **options),
    "batches": lambda folder, **options: AISBatchIterDataset(folder / "objects", **options),
    "shards": lambda folder, **options: AISShardReader(folder / "shards", **options),
    "stream": lambda folder, **options: AISMultiShardStream([folder / "shards"], **options),
}


def numbers(kind: str, folder: Path, **options: Any) -> Any:
    """Return a pipeline whose items are numbers."""
    dataset = MAKERS[kind](folder, **options)
    return dataset.map(first_number if kind == "stream" else number_of)


@pytest.mark.parametrize("kind", MAKERS)
def test_functions_are_called_with_each_item(folder: Path, kind: str) -> None:
    """In the order of the dataset, which itself is not changed."""
    pipeline = numbers(kind, folder).filter(is_even).map(str)
    assert list(pipeline) == [str(number) for number in range(0, COUNT, 2)]
    assert list(numbers(kind, folder).select(is_even)) == list(range(0, COUNT, 2))
    assert len(list(pipeline.dataset)) == COUNT


@pytest.mark.parametrize("kind", MAKERS)
def test_a_chain_does_not_change_who_reads_what(folder: Path, kind: str) -> None:
    """Each rank and worker reads the share that it would read without."""

    def shares(pipeline_of: Callable[[Any], Any]) -> list[list[int]]:
        made = [numbers(kind, folder, ranks=(rank, 2)) for rank in range(2)]
        loaders = [DataLoader(pipeline_of(one), batch_size=None, num_workers=2) for one in made]
        return [sorted(map(int, loader)) for loader in loaders]

    plain = shares(lambda pipeline: pipeline)
    assert sorted(number for share in plain for number in share) == list(range(COUNT))
    assert shares(lambda pipeline: pipeline.shuffle(5).map(int)) == plain


@pytest.mark.parametrize("kind", MAKERS)
def test_each_epoch_has_an_order_of_its_own(folder: Path, kind: str) -> None:
    """Counted by itself, also where each epoch has new workers; the same in another run."""
    dataset = MAKERS[kind](folder)
    shuffled = dataset.shuffle(8, seed=5).map(first_number if kind == "stream" else number_of)
    loader = DataLoader(shuffled, batch_size=None, num_workers=2)
    epochs = [list(map(int, loader)) for _ in range(3)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    shuffled.set_epoch(1)
    assert list(map(int, loader)) == epochs[1]
    assert list(map(int, loader)) == epochs[2]


def test_running_workers_count_too(folder: Path) -> None:
    """Persistent ones, which see an epoch that is set."""
    shuffled = numbers("shards", folder).shuffle(100, seed=5)
    loader = DataLoader(shuffled, batch_size=None, num_workers=1, persistent_workers=True)
    epochs = [list(map(int, loader)) for _ in range(2)]
    shuffled.set_epoch(0)
    assert [list(map(int, loader)) for _ in range(2)] == epochs
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("by_source", [False, True])
def test_objects_are_shuffled_by_their_listing(folder: Path, by_source: bool) -> None:
    """All of a worker's objects, whatever the size of a buffer, and nothing is held."""
    dataset = AISIterDataset(folder / "objects", partition_sources_by_worker=by_source)
    items = iter(dataset.shuffle(1, seed=2).map(number_of))
    order = list(items)
    assert sorted(order) == list(range(COUNT))
    displaced = [abs(place - number) for place, number in enumerate(order)]
    assert max(displaced) > COUNT // 2
    assert repr(dataset.shuffle(1, seed=2)) == "AISIterDataset.shuffle(objects, 2)"
    assert "<td>shuffle(objects, 2)</td>" in dataset.shuffle(1, seed=2)._repr_html_()


@pytest.mark.parametrize("equalize", ["drop", "pad"])
def test_shuffled_shares_stay_equal(folder: Path, equalize: Any) -> None:
    """As many objects for each rank, fewer than ranks left out or repeated."""
    ranks = [
        AISIterDataset(folder / "objects", ranks=(rank, 5), equalize=equalize) for rank in range(5)
    ]
    shares = [list(one.shuffle(seed=1).map(number_of)) for one in ranks]
    assert {len(share) for share in shares} == {9 if equalize == "drop" else 10}
    assert [sorted(share) for share in shares] == [sorted(map(number_of, one)) for one in ranks]
    assert shares != [list(map(number_of, one)) for one in ranks]


def shuffled_tar(folder: Path) -> AISIterDataset:
    """Return the files of a tar, in a random order."""
    tar, index = folder / "o.tar", folder / "o.idx"
    if not index.exists():
        tar.write_bytes(pack(*((f"{number:02}", b"%d" % number) for number in range(COUNT))))
        index_tar(tar, index)
    return AISIterDataset.from_tar(tar, index, shuffle=True, shuffle_chunk_size=4)


def test_a_shuffled_tar_has_the_epoch_that_was_set(folder: Path) -> None:
    """By the pipeline or the dataset; a state has it, and a window is the pipeline's."""
    dataset = shuffled_tar(folder)
    pipeline = dataset.map(number_of).shuffle(8)
    first = list(pipeline)
    assert list(pipeline) == first
    pipeline.set_epoch(1)
    items: Any = iter(pipeline)
    second = list(islice(items, 20))
    assert [number // 4 for number in second] != [number // 4 for number in first[:20]]
    again: Any = iter(shuffled_tar(folder).map(number_of).shuffle(8))
    again.load_state_dict(items.state_dict())
    rest = list(again)
    assert rest == list(items)
    assert sorted(second + rest) == list(range(COUNT))
    dataset.set_epoch(0)
    assert list(pipeline) == first
    assert len(set(map(tuple, (first, list(pipeline.repeat(2))[COUNT:])))) == 2


def test_all_workers_read_one_epoch_of_a_shuffled_tar(folder: Path) -> None:
    """Whatever has been read before: the epoch says which of them reads what."""
    pipeline = shuffled_tar(folder).map(number_of)
    next(iter(pipeline))
    for workers in (1, 2):
        loader = DataLoader(pipeline, batch_size=None, num_workers=workers)
        assert sorted(map(int, loader)) == list(range(COUNT))


def test_shards_are_shuffled_and_windows_of_their_samples(folder: Path) -> None:
    """So that samples meet others than their neighbours."""
    order = list(AISShardReader(folder / "shards").shuffle(4, seed=2).map(number_of))
    first = [order[start] // 4 for start in range(0, COUNT, 4)]
    assert first != sorted(first)
    assert order != [number for shard in first for number in range(4 * shard, 4 * shard + 4)]
    assert [shard for shard, _ in Counter(number // 4 for number in order).items()] == first


def test_a_shuffle_within_a_chain_is_by_windows(folder: Path) -> None:
    """What comes there may be anything."""
    dataset = AISIterDataset(folder / "objects")
    order = list(dataset.map(number_of).shuffle(8))
    assert [sorted(order[start : start + 8]) for start in range(0, COUNT, 8)] == [
        list(range(start, start + 8)) for start in range(0, COUNT, 8)
    ]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["objects", "shards"])
def test_take_counts_over_all_workers(folder: Path, kind: str, workers: int) -> None:
    """Ten are ten, whatever reads them."""
    loader = DataLoader(numbers(kind, folder).take(10), batch_size=None, num_workers=workers)
    found = sorted(map(int, loader))
    assert len(set(found)) == 10
    if kind == "objects":
        assert found == list(range(10))
        skipped = DataLoader(numbers(kind, folder).skip(40), batch_size=None, num_workers=workers)
        assert sorted(map(int, skipped)) == list(range(40, COUNT))


def test_samples_become_batches_of_tensors(folder: Path) -> None:
    """By webdataset's words."""
    dataset = AISShardReader(folder / "shards", full_key=True).decode("torch")
    batches = dataset.rename(label="cls").map_dict(label=float).to_tuple("__key__", "label")
    batches = batches.map_tuple(str.upper, int).batched(10, drop_last=True)
    loader = DataLoader(batches, batch_size=None, num_workers=0)
    found = list(loader)
    assert [len(names) for names, _ in found] == [10] * 4
    assert torch.cat([labels for _, labels in found]).tolist() == list(range(40))
    with pytest.raises(ConfigError, match="batches of batches"):
        next(iter(DataLoader(batches)))
    for refused in (lambda: batches.batch(3), lambda: batches.decode("torch")):
        with pytest.raises(ConfigError, match="is for items, and these are batches"):
            refused()


def test_a_sample_without_a_field_is_an_error(folder: Path) -> None:
    """Also where the dataset pads it."""
    dataset = AISShardReader(folder / "shards", keys=["cls", "jpg"])
    with pytest.raises(ShardError, match="nothing in its field 'jpg'"):
        list(dataset.to_tuple("jpg", "cls"))


def chains(kind: str, folder: Path) -> list[Any]:
    """Return pipelines with every stage that has a state of its own."""
    return [
        numbers(kind, folder).shuffle(7).filter(is_no_third).batch(3),
        MAKERS[kind](folder).shuffle(7, seed=3).filter(len).shuffle(3).slice(1, 40, 2),
        numbers(kind, folder).shuffle(20).repeat(2).take(70).batch(4, collate_fn=None),
    ]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_state_goes_on_behind_every_item(folder: Path, kind: str) -> None:
    """Exactly: the rest of this epoch, then the next one."""
    for number, made in enumerate(chains(kind, folder)):
        whole = list(map(str, made))
        following = list(map(str, made))
        assert sorted(following) != sorted(whole) or following != whole
        for stop in {0, 1, 5, len(whole) // 2, len(whole)}:
            first = iter(chains(kind, folder)[number])
            seen = list(map(str, islice(first, stop)))
            state = json.loads(json.dumps(first.state_dict()))
            again = chains(kind, folder)[number]
            second = iter(again)
            second.load_state_dict(state)
            assert seen + list(map(str, second)) == whole
            assert list(map(str, again)) == following


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", MAKERS)
def test_stateful_data_loader_goes_on(folder: Path, kind: str, workers: int) -> None:
    """torchdata's, with its workers; and with the next epoch."""

    def loader() -> Any:
        made = chains(kind, folder)[0]
        return StatefulDataLoader(made, batch_size=None, num_workers=workers)

    first = loader()
    batches = iter(first)
    for _ in range(3):
        next(batches)
    state = first.state_dict()
    rest = list(map(str, batches))
    following = list(map(str, first))
    second = loader()
    second.load_state_dict(state)
    assert list(map(str, second)) == rest
    assert list(map(str, second)) == following


def test_states_of_others_are_refused(folder: Path) -> None:
    """Of another chain, a newer version, or damaged: never a silent start at 0."""
    items = iter(numbers("shards", folder).shuffle(5))
    next(items)
    state: Any = items.state_dict()
    with pytest.raises(ConfigError, match="another pipeline"):
        iter(numbers("shards", folder).shuffle(6)).load_state_dict(state)
    fresh = iter(numbers("shards", folder).shuffle(5))
    for wrong in ({"version": 2}, {"version": None}, {"epoch": -1}, {"upstream": 3}):
        with pytest.raises(ConfigError):
            fresh.load_state_dict({**state, **wrong})


def test_length_is_what_it_was_told(folder: Path) -> None:
    """As torch warns where it is passed, and stops trainers at it."""
    pipeline = numbers("objects", folder).filter(is_even)
    with pytest.raises(TypeError, match=r"with_length\(\) gives it one"):
        len(pipeline)
    told = AISIterDataset(folder / "objects", length=COUNT)
    assert len(told.shuffle(4).map(number_of)) == COUNT
    with pytest.raises(TypeError, match="has no length"):
        len(told.take(3))
    with pytest.raises(TypeError, match="has no length"):
        len(numbers("objects", folder))
    assert len(pipeline.with_length(24).map(str)) == 24
    with pytest.raises(TypeError, match="has no length"):
        len(pipeline.with_length(24).batch(4))
    assert bool(pipeline)
    assert pipeline.stats()["items"] >= 0


def test_workers_that_are_not_forked_have_the_chain(folder: Path) -> None:
    """Functions of a module pickle; a lambda is an error that says where it is."""
    made = numbers("objects", folder).shuffle(4).filter(is_even).batch(6)
    options: dict[str, Any] = {"batch_size": None, "multiprocessing_context": "forkserver"}
    assert sorted(torch.cat(list(DataLoader(made, num_workers=1, **options))).tolist()) == list(
        range(0, COUNT, 2)
    )
    for dataset in (
        numbers("objects", folder).map(lambda number: number),
        AISIterDataset(folder / "objects", transform=lambda one: one),
        AISShardReader(folder / "shards", transform=lambda one: one),
        AISShardReader(folder / "shards", decode={"cls": lambda data: int(data)}),
    ):
        with pytest.raises(ConfigError, match=r"<lambda> of .*test_iter_pipeline\.py, line \d+"):
            next(iter(DataLoader(dataset, num_workers=1, **options)))
