"""WebDataModule under Lightning's Trainer: WDM-16, and on two ranks: WDM-17."""

from __future__ import annotations

import json
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import webdataset as wds
from lightning import pytorch as pl

from aisio.integrations.lightning import PickledDataWDS, Split, WebDataModule, pickles_to_tars
from tests.pickle_folder import SUFFIX, write_pickles
from tests.rank_processes import run_program, run_ranks

NAMES = {split: [f"{split.name}-{number:02d}" for number in range(8)] for split in Split}
QUIET = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)


class Module(pl.LightningModule):
    """Remembers the names that each loop gave it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)
        self.seen: dict[str, list[list[str]]] = {}

    def _see(self, loop: str, batch: Any) -> None:
        if not self.trainer.sanity_checking:
            self.seen.setdefault(loop, []).append([name for name, _ in batch[0]])

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        self._see("fit", batch)
        return self.linear(torch.ones(len(batch[0]), 1)).mean()

    def validation_step(self, batch: Any, _: int) -> None:
        self._see("validate", batch)

    def test_step(self, batch: Any) -> None:
        self._see("test", batch)

    def predict_step(self, batch: Any, _: int) -> None:
        self._see("predict", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


def trainer(**options: Any) -> pl.Trainer:
    """Return a Trainer for one epoch on CPUs."""
    options = {"accelerator": "cpu", "devices": 1, "max_epochs": 1, **QUIET, **options}
    return pl.Trainer(enable_checkpointing=False, **options)


@pytest.mark.filterwarnings("ignore")
def test_wdm_16_the_trainer_sees_the_batches_of_the_loaders(tmp_path: Path) -> None:
    """In fit, validate, test and predict; the data module prepares and sets itself up."""
    names = [name for each in NAMES.values() for name in each]
    data = PickledDataWDS(
        str(write_pickles(tmp_path / "pickles", names, [SUFFIX])),
        NAMES,
        SUFFIX,
        {split: str(tmp_path / split.name) for split in Split},
        3,
        n_tars_wds=2,
        pipeline_prebatch_wld={split: wds.batched(3, collation_fn=_collated) for split in Split},
    )
    module = Module()
    trainer().fit(module, datamodule=data)
    trainer().test(module, datamodule=data, verbose=False)
    trainer().predict(module, datamodule=data, return_predictions=False)
    loaders = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}
    for loop, name in loaders.items():
        batches = getattr(data, f"{name}_dataloader")()
        assert module.seen[loop] == [[name for name, _ in batch[0]] for batch in batches]
        assert [len(batch) for batch in module.seen[loop]] == [3, 3, 2]


def _collated(samples: list[Any]) -> Any:
    return (tuple(sample[0] for sample in samples),)


def _seen_by_rank(folders: dict[Split, str], rank: int) -> Any:
    warnings.simplefilter("ignore")
    options = {split: {"nodesplitter": wds.split_by_node} for split in Split}
    stages = {split: wds.batched(2, collation_fn=_collated) for split in Split}
    data = WebDataModule(SUFFIX, folders, kwargs_wds=options, pipeline_prebatch_wld=stages)
    module = Module()
    trainer(devices=2, strategy="ddp").fit(module, datamodule=data)
    return module.seen


def _seen_by_all(root: Path) -> Any:
    environ = {"TORCHELASTIC_RUN_ID": "job", "GROUP_RANK": "0"}
    folders = {split: str(root / split.name) for split in Split}
    return run_ranks(partial(_seen_by_rank, folders), 2, environ)


def test_wdm_17_two_ranks_have_different_shards_and_together_all(tmp_path: Path) -> None:
    """By webdataset's split_by_node, in processes with torchrun's variables, over gloo."""
    for split, names in NAMES.items():
        pickles = write_pickles(tmp_path / "pickles", names, [SUFFIX])
        pickles_to_tars(pickles, names, SUFFIX, tmp_path / split.name, "wdshards", min_num_shards=4)
    ranks = run_program(__file__, str(tmp_path))
    for loop, split in {"fit": Split.train, "validate": Split.val}.items():
        by_rank = [[name for batch in seen[loop] for name in batch] for seen in ranks]
        assert [len(names) for names in by_rank] == [4, 4]
        assert sorted(by_rank[0] + by_rank[1]) == NAMES[split]


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("\n" + json.dumps(_seen_by_all(Path(sys.argv[1]))))
