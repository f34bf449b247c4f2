"""torchdata's StatefulDataLoader over aisio's datasets: its state goes on exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torchdata.stateful_dataloader import StatefulDataLoader

from aisio import AISBatchIterDataset, AISIterDataset, AISMapDataset, AISShardReader
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
