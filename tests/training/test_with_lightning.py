"""Loader in Lightning's Trainer: each sample once, whatever the Trainer did before it read."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from aisio import AISIterDataset, AISMapDataset
from aisio.training.loader import Loader
from tests.rank_processes import run_program, run_ranks

COUNT = 26
BATCHES = 6  # of 4 samples, in an epoch


def make_loader(batch_size: int = 4) -> Loader:
    """Return the loader that all jobs train with."""
    return Loader(range(COUNT), batch_size, shuffle=True, seed=1)


def _classes(lightning: Any) -> tuple[Any, Any]:
    class Module(lightning.LightningModule):  # type: ignore[misc]
        """Remembers what it sees, and stops at a step as a job that is killed."""

        def __init__(self, stop: int | None, touch: bool) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(1, 1)
            self.stop, self.touch = stop, touch
            self.seen: list[tuple[int, list[int]]] = []

        def training_step(self, batch: Any, _: int) -> Any:
            if self.trainer.global_step == self.stop:
                raise InterruptedError
            self.seen.append((self.trainer.current_epoch, batch.tolist()))
            return self.linear(batch[:, None].float()).mean()

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("value", self.linear(batch[:, None].float()).mean())

        def on_train_epoch_end(self) -> None:
            if self.trainer.datamodule is not None:
                self.trainer.datamodule.loader.end_epoch()

        def configure_optimizers(self) -> Any:
            if self.touch:
                assert self.trainer.estimated_stepping_batches
            return torch.optim.SGD(self.parameters(), 1e-3)

    class Data(lightning.LightningDataModule):  # type: ignore[misc]
        """Keeps the loader and its state, as docs/who-splits.md shows."""

        def __init__(self, loader: Loader) -> None:
            super().__init__()
            self.loader = loader

        def train_dataloader(self) -> Loader:
            return self.loader

        def state_dict(self) -> dict[str, Any]:
            return self.loader.state_dict()

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.loader.load_state_dict(state_dict)

    return Module, Data


class Jobs:
    """Starts jobs of Lightning, and goes on with them."""

    def __init__(self, folder: Path) -> None:
        self.lightning = importlib.import_module("lightning.pytorch")
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.folder = folder
        self.module, self.data = _classes(self.lightning)

    def run(
        self,
        *,
        stop: int | None = None,
        touch: bool = False,
        own: bool = False,
        every: int | None = 1,
        resume: bool = False,
        batch_size: int = 4,
        train: Any = None,
        **options: Any,
    ) -> list[tuple[int, list[int]]]:
        """Run a job and return the batches of each epoch that it saw.

        Args:
            stop: Step at which it is stopped.
            touch: Ask for estimated_stepping_batches first.
            own: Have a data module keep the state.
            every: Steps between checkpoints; None saves at the end of an epoch.
            resume: Go on from the checkpoint.
            batch_size: For the loader.
            train: Another loader.
            options: For the Trainer.
        """
        checkpoints = self.lightning.callbacks.ModelCheckpoint(
            dirpath=self.folder,
            filename="last",
            save_top_k=-1,
            every_n_train_steps=every,
            enable_version_counter=False,
        )
        quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
        options = {"max_epochs": 3, "devices": 1, "accelerator": "cpu", **quiet, **options}
        trainer = self.lightning.Trainer(callbacks=[checkpoints], **options)
        module, loader = self.module(stop, touch), make_loader(batch_size)
        assert len(loader)  # asked first, it changes nothing
        what: dict[str, Any] = {"train_dataloaders": loader if train is None else train}
        if not own:
            what["val_dataloaders"] = Loader(range(8), 4)
        if own:
            what = {"datamodule": self.data(loader)}
        with suppress(InterruptedError):
            trainer.fit(module, **what, ckpt_path=self.folder / "last.ckpt" if resume else None)
        return list(module.seen)

    def stopped_and_resumed(self, stop: int, again: Any = None, **options: Any) -> list[Any]:
        """Return what a job saw until it was stopped, and what one that went on saw."""
        before = self.run(stop=stop, **options)
        return [before, self.run(resume=True, **options, **(again or {}))]


CASES: dict[str, dict[str, Any]] = {
    "middle": {"stop": 3},
    "last batch": {"stop": BATCHES},
    "second epoch": {"stop": 8},
    "end of an epoch": {"stop": 2 * BATCHES, "every": None},
    "stepping batches": {"stop": 8, "own": True, "again": {"touch": True}},
    "stepping batches, last": {"stop": BATCHES, "own": True, "again": {"touch": True}},
    "limit": {"stop": 4, "every": None, "limit_train_batches": 4},
}


def _in_ranks(folder: Path, rank: int) -> list[Any]:
    """Return what a rank of two saw of a Loader, of objects in their order, and by index."""
    jobs = Jobs(folder / "checkpoints")
    seen: list[Any] = [jobs.run(stop=2, own=True, devices=2, strategy="ddp")]
    url = f"file://{folder}/objects/"
    for dataset in (AISIterDataset(url, equalize="drop"), AISMapDataset(url)):
        loader = DataLoader(dataset, 2, collate_fn=_numbers)
        others = Jobs(folder / "others")
        seen.append(others.run(train=loader, every=None, max_epochs=1, devices=2, strategy="ddp"))
    return seen


def _numbers(samples: Any) -> Any:
    return torch.tensor([int(data) for _, data in samples])


def _all(folder: Path) -> dict[str, Any]:
    jobs = Jobs(folder / "checkpoints")
    (folder / "objects").mkdir()
    for number in range(12):
        (folder / "objects" / f"{number:02d}").write_text(str(number))
    found: dict[str, Any] = {"whole": jobs.run(), "limited": jobs.run(limit_train_batches=4)}
    for name, case in CASES.items():
        found[name] = jobs.stopped_and_resumed(**case)
    found["other batches"] = jobs.stopped_and_resumed(
        3, {"batch_size": 3, "reload_dataloaders_every_n_epochs": 1}, own=True
    )
    found["two ranks"] = run_ranks(
        partial(_in_ranks, folder), 2, {"TORCHELASTIC_RUN_ID": "job", "GROUP_RANK": "0"}
    )
    found["one rank"] = jobs.run(resume=True, own=True, reload_dataloaders_every_n_epochs=1)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what all jobs saw."""
    if importlib.util.find_spec("lightning") is None:
        pytest.skip("needs lightning")
    return run_program(__file__, str(tmp_path_factory.mktemp("lightning")))


def epochs(seen: Any) -> dict[int, list[int]]:
    """Return the samples of each epoch."""
    by_epoch: dict[int, list[int]] = {}
    for number, batch in seen:
        by_epoch.setdefault(number, []).extend(batch)
    return by_epoch


def test_each_epoch_is_the_loaders(found: Any) -> None:
    """Validation, its sanity check and a limit do not disturb it."""
    loader = make_loader()
    whole = [batch.tolist() for _ in range(3) for batch in loader]
    assert [batch for _, batch in found["whole"]] == whole
    assert [number for number, _ in found["whole"]] == [0] * 6 + [1] * 6 + [2] * 6
    assert [batch for _, batch in found["limited"]] == whole[:4] + whole[6:10] + whole[12:16]


@pytest.mark.parametrize("case", CASES)
def test_a_job_that_was_stopped_goes_on(found: Any, case: str) -> None:
    """With the batches that an unbroken one would have had, each once."""
    before, after = found[case]
    assert before + after == found["limited" if case == "limit" else "whole"]


def test_a_job_goes_on_with_another_batch_size(found: Any) -> None:
    """Lightning counts the batches of the epoch anew if it is told to."""
    before, after = found["other batches"]
    by_epoch = epochs(before + after)
    assert [len(samples) for samples in by_epoch.values()] == [12 + 12, 24, 24]
    assert all(len(set(samples)) == len(samples) for samples in by_epoch.values())


def test_two_ranks_and_then_one(found: Any) -> None:
    """Lightning puts no sampler of its own into a Loader."""
    first = [sample for seen, *_ in found["two ranks"] for _, batch in seen for sample in batch]
    assert (len(first), len(set(first))) == (16, 16)
    by_epoch = epochs(found["one rank"])
    assert sorted(by_epoch) == [0, 1, 2]
    assert not set(by_epoch[0]) & set(first)
    assert [len(set(samples)) for samples in by_epoch.values()] == [8, 24, 24]


@pytest.mark.parametrize("kind", [1, 2])
def test_two_ranks_read_datasets_once(found: Any, kind: int) -> None:
    """An iterable one splits itself; to one by index Lightning gives a sampler."""
    seen = [batch for rank in found["two ranks"] for _, batch in rank[kind]]
    assert sorted(sample for batch in seen for sample in batch) == list(range(12))
    assert [len(rank[kind]) for rank in found["two ranks"]] == [3, 3]


if __name__ == "__main__":
    importlib.import_module("lightning.pytorch")
    torch.set_num_threads(1)
    print("\n" + json.dumps(_all(Path(sys.argv[1]))))
