"""Models and data modules of the trainings in fits.py."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities import CombinedLoader
from torchmetrics import MeanMetric

from aisio.integrations.lightning import DataModule

Seen = list[tuple[int, Any]]


class Model(pl.LightningModule):
    """Remembers what it sees.

    Args:
        stop: Fails at this step.
        estimates: Ask for `estimated_stepping_batches`, as a scheduler does.
    """

    def __init__(self, stop: int | None = None, *, estimates: bool = False) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)
        self.mean = MeanMetric()
        self.stop, self.estimates, self.lr = stop, estimates, 1e-3
        self.seen: Seen = []
        self.validated: list[list[int]] = []

    def training_step(self, batch: Any, _: int) -> Any:
        """Return a loss of the batch, or of the first of several."""
        if len(self.seen) == self.stop:
            raise InterruptedError
        self.seen.append((self.trainer.current_epoch, _as_lists(batch)))
        numbers = batch if isinstance(batch, torch.Tensor) else next(iter(batch.values()))
        return self.linear(numbers[:, None].float()).mean()

    def validation_step(self, batch: Any, _: int) -> None:
        """Log the mean of all samples."""
        self.validated.append(batch.tolist())
        self.all_gather(batch.sum())  # all ranks wait for each other
        self.mean.update(batch.float())
        self.log("mean", self.mean)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Remember the samples."""
        self.validated.append(batch.tolist())

    def predict_step(self, batch: Any, _: int) -> Any:
        """Return the samples."""
        return batch

    def configure_optimizers(self) -> Any:
        """Return an optimizer."""
        if self.estimates:
            assert self.trainer.estimated_stepping_batches
        return torch.optim.SGD(self.parameters(), self.lr)


class FailsBeforeStep(Model):
    """Fails with the batch that its step would be of, on its way there."""

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Fail at the step."""
        if self.trainer.training and len(self.seen) == self.stop:
            raise InterruptedError
        return batch


class ModelInParts(Model):
    """For ModelParallelStrategy, which would cut it here."""

    def configure_model(self) -> None:
        """Leave it whole."""


class LateStrategy(SingleDeviceStrategy):
    """Restores a checkpoint behind the optimizers, as FSDP does."""

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """Yes."""
        return True


class Renamed(DataModule):
    """Whose state Lightning does not find in a checkpoint of DataModule."""


class Shortest(DataModule):
    """Ends its epochs with the shortest loader."""

    def train_dataloader(self) -> Any:
        """Combine the loaders."""
        return CombinedLoader(super().train_dataloader(), "min_size")


class Longest(DataModule):
    """Ends its epochs with the longest loader, and cycles none."""

    def train_dataloader(self) -> Any:
        """Combine the loaders."""
        return CombinedLoader(super().train_dataloader(), "max_size")


class Killed(Model):
    """Writes what each rank saw to a file of its own, and kills rank 0 at a step.

    Args:
        folder: For the files.
        kill_at: The step; None for none.
    """

    def __init__(self, stop: int | None, *, estimates: bool, folder: Path, kill_at: int | None):
        super().__init__(stop, estimates=estimates)
        self.folder, self.kill_at = folder, kill_at

    def training_step(self, batch: Any, number: int) -> Any:
        """See `Model`."""
        if self.global_step == self.kill_at and self.global_rank == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        with (self.folder / f"rank{self.global_rank}").open("a") as file:
            print(
                json.dumps([self.global_step, self.trainer.current_epoch, *batch.tolist()]),
                file=file,
            )
        return super().training_step(batch, number)


def _as_lists(batch: Any) -> Any:
    if isinstance(batch, dict):
        return {name: _as_lists(part) for name, part in batch.items()}
    return None if batch is None else batch.tolist()
