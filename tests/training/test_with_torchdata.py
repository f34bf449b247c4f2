"""torchdata's StatefulDataLoader over aisio's datasets: its state goes on exactly."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset
from torchdata.stateful_dataloader import StatefulDataLoader

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISMapDataset,
    AISMultiShardStream,
    AISShardReader,
    BucketBatchSampler,
    DynamicBatchSampler,
)
from tests.tars import pack

# torchdata calls what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")

COUNT = 10
MAKERS: dict[str, Callable[[Path], Any]] = {
    "map": lambda folder: AISMapDataset(folder / "objects"),
    "objects": lambda folder: AISIterDataset(folder / "objects", equalize="pad"),
    "batches": lambda folder: AISBatchIterDataset(folder / "objects"),
    "shards": lambda folder: AISShardReader(folder / "shards"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of objects, and one of shards of two samples."""
    folder = tmp_path_factory.mktemp("torchdata")
    for kind in ("objects", "shards"):
        (folder / kind).mkdir()
    for number in range(COUNT):
        (folder / "objects" / f"{number}").write_bytes(b"x")
    for number in range(0, COUNT, 2):
        data = pack((f"{number}.a", b"x"), (f"{number + 1}.a", b"x"))
        (folder / "shards" / f"{number}.tar").write_bytes(data)
    return folder


def make_loader(kind: str, folder: Path, workers: int) -> Any:
    """Return a loader whose order is from torch's seed, where it has one."""
    torch.manual_seed(3)
    dataset = MAKERS[kind](folder)
    return StatefulDataLoader(dataset, 2, shuffle=kind == "map" or None, num_workers=workers)


def names(batches: Any) -> list[str]:
    """Return the names of the samples of batches, without their folder."""
    return [name.rpartition("/")[2] for some, _ in batches for name in some]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", MAKERS)
def test_its_state_goes_on(folder: Path, kind: str, workers: int) -> None:
    """With the same workers: the rest of the epoch, then a whole one."""
    first = make_loader(kind, folder, workers)
    batches = iter(first)
    seen = names(next(batches) for _ in range(3))
    state = first.state_dict()
    rest = names(batches)
    assert sorted(seen + rest) == [str(number) for number in range(COUNT)]
    again = make_loader(kind, folder, workers)
    again.load_state_dict(state)
    assert names(again) == rest
    assert sorted(names(again)) == [str(number) for number in range(COUNT)]


@pytest.mark.parametrize(("workers", "options"), [(0, {}), (2, {}), (2, {"split_by": "shard"})])
@pytest.mark.parametrize("stop", [0, 2, 10**6])
def test_streams_in_step_go_on(folder: Path, workers: int, options: Any, stop: int) -> None:
    """Each worker where it was; members that belong together stay so."""

    def loader() -> Any:
        streams = [folder / "shards"] * 2
        both = AISMultiShardStream(streams, with_names=True, match="key", **options)
        return StatefulDataLoader(both, 2, num_workers=workers)

    def pairs(batches: Any) -> list[str]:
        return [
            str(names) for batch in batches for names in zip(batch[0][0], batch[1][0], strict=True)
        ]

    expected = pairs(loader())
    assert len(expected) == COUNT
    first = loader()
    received = pairs(islice(first, stop))
    again = loader()
    again.load_state_dict(first.state_dict())
    if stop < COUNT:
        received += pairs(again)
    assert received == expected
    assert pairs(again) == expected


def sampled_loader(kind: str, workers: int) -> Any:
    """Return a loader over numbers, whose batches differ in length or come from buckets."""
    dataset = TensorDataset(torch.arange(50))
    sizes = [1 + index * 7 % 13 for index in range(50)]
    sampler: Any = BucketBatchSampler(dataset, 3, sizes=sizes, num_buckets=5)
    if kind == "dynamic":
        sampler = DynamicBatchSampler(dataset, 20, sizes=sizes, shuffle=True)
    return StatefulDataLoader(dataset, batch_sampler=sampler, num_workers=workers)


def numbers(batches: Any) -> list[list[int]]:
    """Return the samples of batches."""
    return [batch[0].tolist() for batch in batches]


@pytest.mark.parametrize(("kind", "workers"), [("dynamic", 0), ("dynamic", 2), ("bucket", 2)])
@pytest.mark.parametrize("stop", [0, 3, 10**6])
def test_samplers_by_size_go_on(kind: str, workers: int, stop: int) -> None:
    """With what the trainer has not received, whatever workers have read ahead."""
    whole = sampled_loader(kind, workers)
    expected = [numbers(whole), numbers(whole)]
    assert len(expected[0]) > 10
    first = sampled_loader(kind, workers)
    received = numbers(islice(first, stop))
    state = first.state_dict()
    again = sampled_loader(kind, workers)
    again.load_state_dict(state)
    if stop < len(expected[0]):
        received += numbers(again)
    assert received == expected[0]
    assert numbers(again) == expected[1]
