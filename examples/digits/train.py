"""The training program: it goes on from its checkpoint, and prints what it does as lines of JSON.

python -m digits.train checkpoint.pt
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

import aisio

TRAIN, HELD_OUT = "digits/train", "digits/held-out"
"""Names of the data in the catalog."""
GOAL = 0.95
"""Accuracy to stop at, 0 to 1."""
EPOCHS = 30
"""Epochs after which it stops anyway."""
BATCH_SIZE = 50
CHECKPOINT_BATCHES = 5
"""Batches from one checkpoint to the next."""


def make_network() -> nn.Module:
    """Return an untrained network: (n, 1, 8, 8) images in, (n, 10) scores out."""
    return nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 10),
    )


def make_loader(name: str, **options: Any) -> aisio.Loader:
    """Return batches of all samples: keys, decoded images (n, 3, 8, 8), and classes."""
    fields = ("__key__", "png", "cls")
    digits = aisio.AISShardDataset(name, fields=fields, decode="torch", index="require")
    return aisio.Loader(digits, BATCH_SIZE, equalize="none", **options)


class Training:
    """A network, its optimizer and its data, with a checkpoint of all of them.

    Args:
        checkpoint: A file; if it exists, the training goes on from it.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.network = make_network()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.loader = make_loader(TRAIN, shuffle=True, seed=0, num_workers=2)
        self.held_out = make_loader(HELD_OUT)
        self.batch = 0
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            self.network.load_state_dict(saved["network"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.loader.load_state_dict(saved["loader"])
            self.batch = saved["batch"]
            report(goes_on_behind=[self.loader.epoch, self.batch])

    def save(self) -> None:
        """Replace the checkpoint, at once: a kill leaves the old one or the new one."""
        unfinished = self.checkpoint.with_suffix(".unfinished")
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loader": self.loader.state_dict(),
            "batch": self.batch,
        }
        torch.save(state, unfinished)
        unfinished.replace(self.checkpoint)

    def train_epoch(self) -> None:
        """Train on the epoch, or on what is left of it, and report each batch."""
        epoch, began = self.loader.epoch, time.perf_counter()
        for keys, images, classes in self.loader:
            waited_s = time.perf_counter() - began
            loss = nn.functional.cross_entropy(self.network(scaled(images)), classes)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch declares no types here
            self.optimizer.step()
            self.batch += 1
            now = time.perf_counter()
            step = {"epoch": epoch, "batch": self.batch, "loss": loss.item(), "keys": keys}
            report(step={**step, "waited_s": waited_s, "seconds": now - began})
            began = now
            if self.batch % CHECKPOINT_BATCHES == 0:
                self.save()  # behind the report: what is saved was reported, wherever a kill comes
        self.batch = 0
        self.save()

    def accuracy(self) -> float:
        """Return the share of held-out digits that are classified correctly, 0 to 1."""
        correct = total = 0
        with torch.inference_mode():
            for _, images, classes in self.held_out:
                correct += int((self.network(scaled(images)).argmax(1) == classes).sum())
                total += len(classes)
        return correct / total


def scaled(images: Tensor) -> Tensor:
    """Return one channel of grey images, (n, 1, 8, 8), 0 to 1."""
    return images[:, :1] / 255


def report(**event: Any) -> None:
    """Print an event, for the program that watches."""
    print(json.dumps(event), flush=True)


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
def main(checkpoint: Path) -> None:
    """Train until the goal is reached, or for a number of epochs."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # leaves cores to the workers and the server: twice as fast on two
    training = Training(checkpoint)
    accuracy = 0.0
    while accuracy < GOAL and training.loader.epoch < EPOCHS:
        training.train_epoch()
        accuracy = training.accuracy()
        report(accuracy=accuracy)


if __name__ == "__main__":
    main()
