"""Words on map-style datasets: they stay map-style, and Loader reads them as before.

The last tests are of what `.select` returns.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from aisio import AISIterDataset, AISMapDataset, ConfigError, Loader
from aisio.sources.kinds import PrefixSource
from aisio.stores import LocalStore
from aisio.testing import assert_exact_resume
from aisio.training.shard_dataset import AISShardDataset, reads_packs
from aisio.urls import ObjectUrl
from tests.indexed import local
from tests.tars import pack

COUNT = 30


def shards(folder: Path) -> AISShardDataset:
    """Return a dataset of three shards of ten samples."""
    contents = {
        f"{shard}.tar": pack(
            *((f"{n:02}.cls", b"%d" % n) for n in range(shard * 10, shard * 10 + 10))
        )
        for shard in range(3)
    }
    return AISShardDataset(f"file://{folder}/", index=local(folder, contents)[0])


def objects(folder: Path, count: int = COUNT) -> AISMapDataset:
    """Return a dataset of as many objects."""
    for number in range(count):
        (folder / f"{number:02}.cls").write_bytes(b"%d" % number)
    return AISMapDataset(folder)


def double(item: Any) -> int:
    """Return twice the number of an item that was decoded."""
    label = item[1]["cls"] if isinstance(item[1], dict) else item[1]
    return 2 * int(label)


@pytest.mark.parametrize("make", [shards, objects])
def test_functions_are_called_with_each_item(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    """By index and in batches, behind `transform`; the dataset itself is not changed."""
    dataset = make(tmp_path)
    doubled = dataset.decode("torch").map(double)
    assert type(doubled) is type(dataset)
    assert doubled[3] == 6
    assert doubled.__getitems__([5, 1]) == [10, 2]
    assert doubled.map(str)[-1] == "58"
    assert list(doubled.names) == list(dataset.names)
    assert doubled.data_digest == dataset.data_digest
    assert double(dataset[3]) == 6


def test_fields_of_samples(tmp_path: Path) -> None:
    """By webdataset's words."""
    dataset = shards(tmp_path).decode("torch").rename(label="cls").map_dict(label=float)
    assert dataset.to_tuple("__key__", "label").map_tuple(str, int)[7] == ("07", 7)


def number_of(item: Any) -> int:
    """Return a number."""
    return int(item)


@pytest.mark.parametrize("make", [shards, objects])
def test_a_loader_goes_on_exactly(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    """With other ranks and workers, by packs too, as without the chain."""
    dataset = make(tmp_path).decode("torch").map(double)
    assert reads_packs(dataset) == (make is shards)

    def make_loader(rank: int, ranks: int, **options: Any) -> Loader:
        return Loader(dataset, 4, shuffle=True, equalize="none", ranks=(rank, ranks), **options)

    assert_exact_resume(
        make_loader,
        range(0, 2 * COUNT, 2),
        lambda batch: batch.tolist(),
        topologies=({"ranks": 1}, {"ranks": 2}),
        max_stops=3,
    )
    loader = Loader(dataset, 4, shuffle=True, equalize="none", num_workers=2)
    assert sorted(number for batch in loader for number in batch.tolist()) == list(range(0, 60, 2))


@pytest.mark.parametrize("make", [shards, objects])
@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("shuffle", "shuffle=True"),
        ("filter", r"\.select\("),
        ("batch", "batch_size"),
        ("repeat", "epoch"),
    ],
)
def test_what_is_the_loaders_says_so(
    tmp_path: Path, make: Callable[[Path], Any], word: str, advice: str
) -> None:
    """Nothing that was asked for is left out in silence."""
    with pytest.raises(ConfigError, match=rf"<AIS\w+> \.{word}\(\) .*{advice}"):
        getattr(make(tmp_path), word)(100)


def test_a_subclass_that_makes_its_items_is_refused(tmp_path: Path) -> None:
    """The function would be called with others."""

    class Own(AISMapDataset):
        def __getitem__(self, index: int) -> Any:
            return index

    class OwnBatches(AISMapDataset):
        def __getitems__(self, indices: Sequence[int]) -> list[Any]:
            return [*indices]

    objects(tmp_path)
    with pytest.raises(ConfigError, match="<Own> .map.* a __getitem__ of its own"):
        Own(tmp_path).map(str)
    with pytest.raises(ConfigError, match="<OwnBatches> .map.* a __getitems__ of its own"):
        OwnBatches(tmp_path).map(str)
    with pytest.raises(ConfigError, match="takes indices"):
        objects(tmp_path).select(number_of)  # type: ignore[arg-type]


class MeetingStore(LocalStore):
    """A store in which no read ends before four have begun."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(4, timeout=60)

    def read_with_info(self, url: ObjectUrl) -> Any:
        """See `Store.read_with_info`."""
        self.barrier.wait()
        return super().read_with_info(url)


@pytest.mark.parametrize("kind", [AISMapDataset, AISIterDataset])
def test_functions_leave_reads_concurrent(tmp_path: Path, kind: Any) -> None:
    """A transform and a chain are given what was read, in its order."""
    objects(tmp_path, 8)
    source = PrefixSource(MeetingStore(), ObjectUrl.parse(f"file://{tmp_path}/"))
    dataset = kind(source, concurrency=4, transform=lambda one: int(one.read())).map(str)
    wanted = [str(number) for number in range(8)]
    read = dataset.__getitems__(range(8)) if kind is AISMapDataset else list(dataset)
    assert read == wanted


@pytest.fixture
def ten_objects(tmp_path: Path) -> AISMapDataset:
    """Return ten objects of different sizes."""
    for number in range(10):
        (tmp_path / str(number)).write_bytes(b"x" * number)
    return AISMapDataset(tmp_path)


def size_of(item: tuple[str, bytes]) -> int:
    """Return the size of an item."""
    return len(item[1])


def test_items_by_their_new_indices(ten_objects: AISMapDataset) -> None:
    """Names, sizes and functions too."""
    some = ten_objects.select(torch.tensor([7, -1, 7]))
    assert [size_of(item) for item in some.__getitems__([0, 1, 2])] == [7, 9, 7]
    assert some[-1] == ten_objects[7]
    assert list(some.sizes) == [7, 9, 7]
    assert [name.rpartition("/")[2] for name in some.names] == ["7", "9", "7"]
    assert some.map(size_of)[1] == 9
    with pytest.raises(IndexError, match="index 3 of 3 selected items"):
        some[3]
    assert some.stats()["items"] > 0


def test_slices(ten_objects: AISMapDataset) -> None:
    """Of slices too."""
    assert [size_of(item) for item in iter(ten_objects.slice(2, 9, 3))] == [2, 5, 8]
    assert [size_of(item) for item in iter(ten_objects.skip(6).take(2))] == [6, 7]
    assert len(ten_objects.take(99)) == 10
    for keep in (ten_objects.take, ten_objects.skip):
        with pytest.raises(ConfigError, match="count=-1: a whole number of at least 0"):
            keep(-1)


def test_ranges_count_from_the_end_too(ten_objects: AISMapDataset) -> None:
    """As lists of the same numbers do."""
    for indices in (range(-3, 0), range(-1, -11, -4), range(2, -3, -2)):
        chosen = [size_of(item) for item in iter(ten_objects.select(indices))]
        assert chosen == [index % 10 for index in indices]
        assert ten_objects.select(indices).data_digest == ten_objects.select([*indices]).data_digest
        assert all(index >= 0 for index in ten_objects.select(indices).indices)


def test_loader_reads_them(ten_objects: AISMapDataset) -> None:
    """A state is of these items alone."""
    some = pickle.loads(pickle.dumps(ten_objects.select([3, 1, 4]).map(size_of)))
    loader = Loader(some, 2, shuffle=True, equalize="none")
    batches = iter(loader)
    found = [next(batches)]
    state = loader.state_dict()
    assert sorted(torch.cat([*found, *batches]).tolist()) == [1, 3, 4]
    for other in (ten_objects.select([3, 1, 5]), ten_objects.select([1, 3, 4])):
        with pytest.raises(ConfigError, match="other data"):
            Loader(other, 2, shuffle=True, equalize="none").load_state_dict(state)


@pytest.mark.parametrize("indices", [[], [10], [-11], [1.5], ["1"], range(5, 11), range(0)])
def test_indices_that_cannot_be_meant_are_refused(
    ten_objects: AISMapDataset, indices: Iterable[int]
) -> None:
    """When they are chosen."""
    with pytest.raises(ConfigError, match=r"\.select\(\)"):
        ten_objects.select(indices)


def test_it_shows_what_it_is_and_says_what_is_known(ten_objects: AISMapDataset) -> None:
    """By the dataset; without a request."""
    some = ten_objects.select([3, 1])
    assert repr(some) == f"<SelectedDataset of 2 items: {ten_objects!r}>"
    assert "<tr><th>items</th><td>2</td></tr>" in some._repr_html_()
    assert list(some.infos) == [ten_objects.infos[3], ten_objects.infos[1]]
    assert [info.name for info in some.infos] == list(some.names)


@pytest.mark.parametrize("kind", [list, torch.tensor])
def test_a_mask_is_no_index(ten_objects: AISMapDataset, kind: Any) -> None:
    """Its truths would be taken for the indices 0 and 1."""
    with pytest.raises(ConfigError, match=r"index True of 10 items"):
        ten_objects.select(kind([True, False] * 5))
