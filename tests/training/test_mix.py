"""mix(): data sets by weights, through Loader, from states of any ranks or other weights."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import aisio
from aisio import AISIterDataset, AISMapDataset, AISShardDataset, ConfigError, Loader, mix
from aisio.testing import assert_exact_resume
from aisio.training.mix import Mix
from tests.tars import pack


class Numbers(Dataset[int]):
    """Numbers, as another's map-style dataset."""

    def __init__(self, first: int, count: int) -> None:
        self.numbers = range(first, first + count)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> int:
        return self.numbers[index]


A, B, C = Numbers(0, 60), Numbers(100, 40), Numbers(200, 20)
ALL = [number for one in (A, B, C) for number in one.numbers]


def mixed(on_end: Any = "drop", weights: tuple[float, ...] = (5, 3, 2)) -> Mix:
    """Return a mix of three data sets."""
    return mix(zip((A, B, C), weights, strict=True), on_end=on_end)


def numbers(batches: Any) -> list[int]:
    """Return the numbers of batches."""
    return [number for batch in batches for number in batch.tolist()]


def sources(found: list[int]) -> list[int]:
    """Return how many numbers are of each data set."""
    return [sum(number // 100 == source for number in found) for source in range(3)]


@pytest.mark.parametrize("workers", [0, 2])
def test_each_batch_of_each_rank_has_the_shares(workers: int) -> None:
    """Not on average; and an epoch of "stop" has no sample twice."""
    seen: list[int] = []
    for rank in range(2):
        loader = Loader(
            mixed("stop"), 10, shuffle=True, seed=3, ranks=(rank, 2), num_workers=workers
        )
        batches = [batch.tolist() for batch in loader]
        assert len(batches) == len(loader) == 5
        assert all(sources(batch) == [5, 3, 2] for batch in batches)
        seen += [number for batch in batches for number in batch]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(("on_end", "repeated"), [("drop", 0), ("repeat", 11)])
def test_any_ranks_and_workers_go_on_exactly(on_end: str, repeated: int) -> None:
    """Each sample once; "repeat" reads the small ones again."""

    def make_loader(rank: int, ranks: int, **options: Any) -> Loader:
        options = {"batch_size": 6, "equalize": "none", **options}
        return Loader(mixed(on_end), shuffle=True, seed=5, ranks=(rank, ranks), **options)

    if on_end == "drop":
        assert_exact_resume(
            make_loader,
            ALL,
            lambda batch: batch.tolist(),
            topologies=({"ranks": 1}, {"ranks": 3}, {"ranks": 2, "batch_size": 9}),
            max_stops=5,
        )
    whole = Counter(numbers(make_loader(0, 1)))
    assert set(whole) == set(ALL)
    assert sum(whole.values()) == len(ALL) + repeated


def test_a_job_of_other_ranks_has_the_same_remaining_sequence() -> None:
    """Step for step: what an unbroken job of one rank would have read."""
    whole = numbers(Loader(mixed(), 12, shuffle=True, seed=1, equalize="none"))
    first = Loader(mixed(), 12, shuffle=True, seed=1, equalize="none")
    seen = numbers(islice(first, 3))
    state = json.loads(json.dumps(first.state_dict()))
    assert len(json.dumps(state)) < 600
    ranks = [
        Loader(mixed(), 4, shuffle=True, seed=1, equalize="none", ranks=(rank, 3))
        for rank in range(3)
    ]
    for loader in ranks:
        loader.load_state_dict(state)
    rest = [numbers([batch]) for step in zip(*ranks, strict=True) for batch in step]
    assert seen + [number for batch in rest for number in batch] == whole


def test_weights_may_change_at_a_resume(caplog: pytest.LogCaptureFixture) -> None:
    """The rest is mixed by the new ones, and no sample comes again; the next epoch too."""
    first = Loader(mixed("drop"), 10, shuffle=True, seed=1)
    seen = numbers(islice(first, 4))
    assert sources(seen) == [20, 12, 8]
    second = Loader(mixed("drop", (1, 1, 1)), 9, shuffle=True, equalize="none")
    second.load_state_dict(first.state_dict())
    assert caplog.messages[1:] == [
        "weights=(1.0, 1.0, 1.0) from here on; the state has (5.0, 3.0, 2.0)"
    ]
    batches = [batch.tolist() for batch in second]
    assert sources(batches[0]) == [3, 3, 3]
    assert sorted(seen + [number for batch in batches for number in batch]) == ALL
    assert second.epoch == 1
    assert sources(numbers(islice(second, 1))) == [3, 3, 3]


def test_a_weight_of_zero_waits_for_a_resume() -> None:
    """A data set may be added later, or left out from there on."""
    first = Loader(mixed("drop", (1, 1, 0)), 10)
    seen = numbers(islice(first, 2))
    second = Loader(mixed("drop", (0, 0, 1)), 10)
    second.load_state_dict(first.state_dict())
    assert sources(seen) == [10, 10, 0]
    assert sources(numbers(second)) == [0, 0, 20]


def test_neighbours_may_stay_together() -> None:
    """To be read by one request; a state is of the same packs."""
    packed = mix({A: 1, B: 1}, on_end="drop", pack=10)
    loader = Loader(packed, 20, shuffle=True, equalize="none")
    found = numbers(loader)
    assert sorted(found) == [*A.numbers, *B.numbers]
    of_a = [number for number in found if number < 100]
    assert sum(other == one + 1 for one, other in pairwise(of_a)) >= 53
    state = Loader(mix({A: 1, B: 1}, on_end="drop"), 20, shuffle=True).state_dict()
    with pytest.raises(ConfigError, match="pack=1"):
        loader.load_state_dict(state)
    with pytest.raises(ConfigError, match="pack=0"):
        mix({A: 1}, pack=0)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    """The same in another run; without shuffling, samples come in the order of their data set."""
    loader = Loader(mixed("stop"), 10, shuffle=True, seed=4)
    epochs = [numbers(loader) for _ in range(3)]
    assert len(set(map(tuple, epochs))) == 3
    again = Loader(mixed("stop"), 10, shuffle=True, seed=4)
    again.set_epoch(2)
    assert numbers(again) == epochs[2]
    assert numbers(Loader(mixed("stop"), 10, shuffle=True, seed=5)) != epochs[0]
    plain = numbers(Loader(mixed("stop"), 10))
    assert [number for number in plain if number < 100] == list(range(50))


def test_what_a_mix_says_of_itself() -> None:
    """How much an epoch has, of what."""
    assert mixed("stop").epoch_counts == (51, 31, 20)
    assert mixed("stop").epoch_samples == 102
    assert mixed("drop").epoch_counts == (60, 40, 20)
    assert len(mixed()) == 120
    assert mixed().locate(60) == (1, 0)
    assert mixed().locate(119) == (2, 19)
    assert repr(mixed("stop")) == "mix({Numbers: 5, Numbers: 3, Numbers: 2}, on_end='stop')"
    html = mixed("stop")._repr_html_()
    assert (html.count("Numbers"), "<td>5</td>" in html) == (3, True)
    assert repr(Loader(mixed("stop"), 2)).endswith(
        ": mix({Numbers: 5, Numbers: 3, Numbers: 2}, on_end='stop')>"
    )
    with pytest.raises(IndexError, match="index 120 of 120"):
        mixed().locate(120)
    loader = Loader(pickle.loads(pickle.dumps(mixed())), 10)
    found = [loader.dataset.locate(index) for index in loader.samples_of(0)]
    assert [(A, B, C)[source][index] for source, index in found] == numbers(islice(loader, 1))


@pytest.mark.parametrize(
    "datasets",
    [
        {},
        [A, B],
        [(A, 1, 2)],
        {A: "1"},
        {A: -1},
        {A: 0},
        {A: True},
        {Numbers(0, 0): 1},
        {A: float("nan")},
    ],
)
def test_mixes_that_cannot_be_meant_are_refused(datasets: Any) -> None:
    """When they are made."""
    with pytest.raises(ConfigError):
        mix(datasets)


def test_other_loaders_are_refused(tmp_path: Path) -> None:
    """They would read one data set after the other, whatever the weights are."""
    with pytest.raises(ConfigError, match="Loader reads a mix"):
        next(iter(DataLoader(mixed(), batch_size=4)))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a mix cannot be mixed"):
        mix({mixed(): 1})
    with pytest.raises(ConfigError, match="not for a mix"):
        Loader(mixed(), skip=[3])
    with pytest.raises(ConfigError, match="shrink"):
        Loader(mixed(), equalize="shrink")
    with pytest.raises(ConfigError, match="on_end='end'"):
        mixed("end")
    (tmp_path / "1").write_bytes(b"1")
    with pytest.raises(ConfigError, match="AISIterDataset is iterable"):
        mix({AISIterDataset(tmp_path): 1})


def test_states_of_other_data_are_refused() -> None:
    """Of other data sets, or another order of them; and of what is no mix."""
    loader = Loader(mixed(), 10)
    next(iter(loader))
    state = loader.state_dict()
    for other in (mix({A: 5, C: 3, B: 2}), mix({A: 5, B: 5}), Numbers(0, 120)):
        with pytest.raises(ConfigError):
            Loader(other, 10).load_state_dict(state)
    plain = Loader(Numbers(0, 120), 10)
    next(iter(plain))
    with pytest.raises(ConfigError):
        loader.load_state_dict(plain.state_dict())


def test_sources_become_datasets(tmp_path: Path) -> None:
    """Shards by their names, also with other files beside them; anything else as objects."""
    for kind in ("shards", "objects"):
        (tmp_path / kind).mkdir()
    for number in range(6):
        (tmp_path / "objects" / f"{number}.cls").write_bytes(b"%d" % number)
    members = [(f"{number}.cls", b"%d" % number) for number in range(6)]
    (tmp_path / "shards" / "0.tar").write_bytes(pack(*members))
    (tmp_path / "shards" / "stats.json").write_bytes(b"{}")
    both = aisio.mix({tmp_path / "shards": 1, f"file://{tmp_path}/objects/": 1})
    assert [type(one) for one in both.datasets] == [AISShardDataset, AISMapDataset]
    shards, objects = both.datasets
    datasets = {shards.to_tuple("cls").map(number_of): 1, objects.map(number_of): 1}
    loader = Loader(mix(datasets, on_end="drop"), 4, num_workers=1)
    assert sorted(numbers(loader)) == sorted([*range(6), *range(6)])
    (tmp_path / "shards" / "1.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"tar shards and other objects, such as .*1\.jpg"):
        mix({tmp_path / "shards": 1})


def number_of(item: Any) -> int:
    """Return the number of a sample or object."""
    return int(item[-1])


class Skips(Numbers):
    """Leaves samples out of batches."""

    def __getitems__(self, indices: list[int]) -> list[int]:
        return indices[:-1]


def test_a_data_set_that_skips_samples_is_an_error() -> None:
    """Its samples would be missing in the shares."""
    with pytest.raises(ConfigError, match="data set 1 of the mix gave 0 of 1 samples"):
        next(iter(Loader(mix({A: 1, Skips(0, 5): 1}), 2)))
    assert torch.is_tensor(next(iter(Loader(mixed(), 2))))


class Pairs(Numbers):
    """Numbers with something beside them."""

    def __init__(self, beside: Any, count: int = 6) -> None:
        super().__init__(0, count)
        self.beside = beside

    def __getitem__(self, index: int) -> Any:
        return (self.beside, index)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Pairs("name"), Pairs(torch.ones(2))),  # torch would return the names and tensors as a list
        (Pairs("name"), Pairs(b"bytes")),
        (Pairs(1), Numbers(0, 6)),
    ],
)
def test_samples_that_fit_into_no_batch_are_an_error(one: Any, other: Any, workers: int) -> None:
    """It names the data sets; a collate_fn may take them."""
    message = r"data set 0 of the mix gives \((str|int), int\), and data set 1 .*: .*\.map\(\)"
    batches = iter(Loader(mix({one: 1, other: 1}), 4, num_workers=workers))
    for _ in range(3):  # a loop that catches errors gets no such batch either
        with pytest.raises(ConfigError, match=message):
            next(batches)
    batch = next(iter(Loader(mix({one: 1, other: 1}), 4, collate_fn=list)))
    assert len(batch) == 4
    assert next(iter(Loader(mix({one: 1, Pairs(one.beside): 1}), 4)))
    assert len(list(Loader(mix({one: 1, other: 1}), 1))) == 12
