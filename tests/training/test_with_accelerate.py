"""Loader and iterable datasets under Accelerate: neither split twice nor lost."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from aisio import AISIterDataset, AISMapDataset
from aisio.errors import ConfigError
from aisio.training.loader import Loader
from tests.rank_processes import run_program, run_ranks

COUNT = 20


class Numbers(AISIterDataset):
    """Objects as tensors, which Accelerate can send to ranks."""

    def __iter__(self) -> Iterator[Any]:
        return (torch.tensor(int(data)) for _, data in super().__iter__())


class NumbersByIndex(AISMapDataset):
    """The same by index."""

    def __getitem__(self, index: int) -> Any:
        return torch.tensor(int(super().__getitem__(index)[1]))


def make_loader() -> Loader:
    """Return a loader of numbers."""
    return Loader(range(40), 4, shuffle=True, seed=3)


def flat(batches: Any) -> list[int]:
    """Return the samples of batches."""
    return [sample for batch in batches for sample in batch.tolist()]


def _refusal(call: Callable[[], Any]) -> str:
    try:
        list(call())
    except ConfigError as error:
        return str(error)
    return ""


def _job(folder: Path, rank: int) -> dict[str, Any]:
    accelerate = importlib.import_module("accelerate")
    config = accelerate.DataLoaderConfiguration
    by_rank = accelerate.Accelerator(cpu=True, dataloader_config=config(dispatch_batches=False))
    sent = accelerate.Accelerator(cpu=True)
    url = f"file://{folder}/"
    found: dict[str, Any] = {
        "loader": flat(sent.prepare(make_loader())),
        "map": flat(sent.prepare(DataLoader(NumbersByIndex(url), 3))),
        "prepared": _refusal(lambda: sent.prepare_data_loader(make_loader())),
        "skipped": _refusal(lambda: accelerate.skip_first_batches(make_loader(), 2)),
        "state": _checkpoint(sent, folder.parent / "state"),
    }
    for name, accelerator in (("sent", sent), ("by rank", by_rank)):
        for workers in (0, 2):
            fork: Any = {"multiprocessing_context": "fork"} if workers else {}
            prepared: Any = partial(DataLoader, batch_size=3, num_workers=workers, **fork)
            whole = accelerator.prepare(prepared(Numbers(url, ranks=None)))
            found[f"{name} {workers}"] = flat(whole)
            found[f"{name} twice {workers}"] = flat(accelerator.prepare(prepared(Numbers(url))))
    return found


def _checkpoint(accelerator: Any, folder: Path) -> list[list[int]]:
    """Return what is left behind two batches: of the first run, and of what its state restored."""
    first, again = make_loader(), make_loader()
    accelerator.register_for_checkpointing(first)
    batches = iter(first)
    for _ in range(2):
        next(batches)
    accelerator.save_state(str(folder))
    accelerator.wait_for_everyone()
    accelerator._custom_objects[:] = [again]
    accelerator.load_state(str(folder))
    return [flat(batches), flat(again)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what each of two ranks read."""
    if importlib.util.find_spec("accelerate") is None:
        pytest.skip("needs accelerate")
    folder = tmp_path_factory.mktemp("accelerate") / "objects"
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"{number:02d}").write_text(str(number))
    return run_program(__file__, str(folder))


def test_prepare_leaves_a_loader_as_it_is(found: Any) -> None:
    """Each rank reads its own part."""
    shares = [rank["loader"] for rank in found]
    assert sorted(shares[0] + shares[1]) == list(range(40))
    assert [len(share) for share in shares] == [20, 20]


def test_a_map_dataset_is_split_by_accelerate(found: Any) -> None:
    """Which fills up the last batch."""
    assert {sample for rank in found for sample in rank["map"]} == set(range(COUNT))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("way", ["sent", "by rank"])
def test_an_iterable_dataset_without_ranks_is_split_once(
    found: Any, way: str, workers: int
) -> None:
    """By Accelerate: the main process sends the batches, or each rank drops those of others."""
    got = [sample for rank in found for sample in rank[f"{way} {workers}"]]
    assert set(got) == set(range(COUNT))
    assert len(got) == (COUNT if way == "sent" else 24)  # whole batches, for each rank and worker


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("way", ["sent", "by rank"])
def test_an_iterable_dataset_that_splits_too_loses_data(found: Any, way: str, workers: int) -> None:
    """As docs/who-splits.md says: nobody can tell the dataset that it is split again."""
    assert len({sample for rank in found for sample in rank[f"{way} twice {workers}"]}) < COUNT


@pytest.mark.parametrize("what", ["prepared", "skipped"])
def test_what_would_read_past_the_loader_is_refused(found: Any, what: str) -> None:
    """Its state would stand still; the error says what to do."""
    for rank in found:
        assert "load the Loader's state, in place of skip_first_batches" in rank[what]


def test_a_checkpoint_holds_the_loaders_state(found: Any) -> None:
    """Of a loader that was registered for it."""
    for rank in found:
        rest, restored = rank["state"]
        assert len(rest) == 12
        assert restored == rest


if __name__ == "__main__":
    importlib.import_module("accelerate")
    torch.set_num_threads(1)
    print(json.dumps(run_ranks(partial(_job, Path(sys.argv[1])), 2)))
