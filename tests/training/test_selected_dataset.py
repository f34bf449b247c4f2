"""Some items of a map-style dataset."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from aisio import AISMapDataset, ConfigError, Loader


@pytest.fixture
def dataset(tmp_path: Path) -> AISMapDataset:
    """Return ten objects of different sizes."""
    for number in range(10):
        (tmp_path / str(number)).write_bytes(b"x" * number)
    return AISMapDataset(tmp_path)


def sizes(batch: tuple[str, bytes]) -> int:
    """Return the size of an item."""
    return len(batch[1])


def test_items_by_their_new_indices(dataset: AISMapDataset) -> None:
    """Names, sizes and functions too."""
    some = dataset.select(torch.tensor([7, -1, 7]))
    assert [sizes(item) for item in some.__getitems__([0, 1, 2])] == [7, 9, 7]
    assert some[-1] == dataset[7]
    assert list(some.sizes) == [7, 9, 7]
    assert [name.rpartition("/")[2] for name in some.names] == ["7", "9", "7"]
    assert some.map(sizes)[1] == 9
    with pytest.raises(IndexError, match="index 3 of 3 selected items"):
        some[3]
    assert some.stats()["items"] > 0


def test_slices(dataset: AISMapDataset) -> None:
    """Of slices too."""
    assert [sizes(item) for item in iter(dataset.slice(2, 9, 3))] == [2, 5, 8]
    assert [sizes(item) for item in iter(dataset.skip(6).take(2))] == [6, 7]
    assert len(dataset.take(99)) == 10
    for keep in (dataset.take, dataset.skip):
        with pytest.raises(ConfigError, match="count=-1: a whole number of at least 0"):
            keep(-1)


def test_ranges_count_from_the_end_too(dataset: AISMapDataset) -> None:
    """As lists of the same numbers do."""
    for indices in (range(-3, 0), range(-1, -11, -4), range(2, -3, -2)):
        chosen = [sizes(item) for item in iter(dataset.select(indices))]
        assert chosen == [index % 10 for index in indices]
        assert dataset.select(indices).data_digest == dataset.select([*indices]).data_digest
        assert all(index >= 0 for index in dataset.select(indices).indices)


def test_loader_reads_them(dataset: AISMapDataset) -> None:
    """A state is of these items alone."""
    some = pickle.loads(pickle.dumps(dataset.select([3, 1, 4]).map(sizes)))
    loader = Loader(some, 2, shuffle=True, equalize="none")
    batches = iter(loader)
    found = [next(batches)]
    state = loader.state_dict()
    assert sorted(torch.cat([*found, *batches]).tolist()) == [1, 3, 4]
    for other in (dataset.select([3, 1, 5]), dataset.select([1, 3, 4])):
        with pytest.raises(ConfigError, match="other data"):
            Loader(other, 2, shuffle=True, equalize="none").load_state_dict(state)


@pytest.mark.parametrize("indices", [[], [10], [-11], [1.5], ["1"], range(5, 11), range(0)])
def test_indices_that_cannot_be_meant_are_refused(
    dataset: AISMapDataset, indices: Iterable[int]
) -> None:
    """When they are chosen."""
    with pytest.raises(ConfigError, match=r"\.select\(\)"):
        dataset.select(indices)


def test_it_shows_what_it_is_and_says_what_is_known(dataset: AISMapDataset) -> None:
    """By the dataset; without a request."""
    some = dataset.select([3, 1])
    assert repr(some) == f"<SelectedDataset of 2 items: {dataset!r}>"
    assert "<tr><th>items</th><td>2</td></tr>" in some._repr_html_()
    assert list(some.infos) == [dataset.infos[3], dataset.infos[1]]
    assert [info.name for info in some.infos] == list(some.names)


@pytest.mark.parametrize("kind", [list, torch.tensor])
def test_a_mask_is_no_index(dataset: AISMapDataset, kind: Any) -> None:
    """Its truths would be taken for the indices 0 and 1."""
    with pytest.raises(ConfigError, match=r"index True of 10 items"):
        dataset.select(kind([True, False] * 5))
