"""A training under Lightning's Trainer, as one would write it, that goes on if it was killed."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

import click
import lightning.pytorch as pl
import numpy as np
import torch
from digits.train import make_network
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

import aisio
from aisio.integrations.lightning import DataModule

TRAIN, HELD_OUT = "ais://digits/shard-{000000..000004}.tar", "ais://digits/shard-000005.tar"
EPOCHS = 4
SAVE_EVERY = 10
"""Steps between checkpoints; an epoch has 30."""


class Digits(pl.LightningModule):
    """A network that tells digits apart."""

    def __init__(self) -> None:
        super().__init__()
        self.network = make_network()
        self.accuracy = MulticlassAccuracy(num_classes=10, average="micro")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        images, classes = batch
        return nn.functional.cross_entropy(self.network(images), classes)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count how many digits of a batch are classified correctly."""
        images, classes = batch
        self.accuracy(self.network(images), classes)
        self.log("accuracy", self.accuracy)

    def configure_optimizers(self) -> Any:
        """Return Adam, whose rate falls over all steps of the training."""
        optimizer = torch.optim.Adam(self.parameters(), lr=3e-3)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class Kill(pl.Callback):
    """Ends the process at a step, as a scheduler that needs the machine may do.

    Args:
        step: The step; None for never.
    """

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """End the process before the step, without a word."""
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class Report(pl.Callback):
    """Prints where the training begins, and how good it is after each epoch."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Print the first step."""
        print(f"begins at step {trainer.global_step}, in epoch {trainer.current_epoch}", flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Print the accuracy on the held-out digits."""
        accuracy = float(trainer.callback_metrics["accuracy"])
        print(f"epoch {trainer.current_epoch}: accuracy {accuracy:.1%}", flush=True)


def decode(fields: tuple[bytes, bytes]) -> tuple[Tensor, int]:
    """Turn a PNG and its class into an image (1, 8, 8), 0 to 1, and an int."""
    png, cls = fields
    pixels = np.asarray(Image.open(io.BytesIO(png)), np.float32) / 255
    return torch.from_numpy(pixels).unsqueeze(0), int(cls)


def make_data() -> DataModule:
    """Return the digits that are served."""
    train, held_out = (
        aisio.AISShardDataset(url, fields=("png", "cls"), transform=decode)
        for url in (TRAIN, HELD_OUT)
    )
    return DataModule(train, val=held_out, batch_size=50, num_workers=1, seed=1)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--kill-at", type=int, help="Kill the process at this step.")
def main(folder: Path, kill_at: int | None) -> None:
    """Train, or go on with the training whose checkpoints are in FOLDER."""
    pl.seed_everything(1)
    torch.set_num_threads(1)
    checkpoints = ModelCheckpoint(
        folder, every_n_train_steps=SAVE_EVERY, save_last=True, enable_version_counter=False
    )
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        callbacks=[checkpoints, Kill(kill_at), Report()],
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    last = folder / "last.ckpt"
    trainer.fit(Digits(), make_data(), ckpt_path=str(last) if last.exists() else None)


if __name__ == "__main__":
    main()
