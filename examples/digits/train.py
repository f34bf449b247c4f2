"""A small convolutional network, trained on samples as the reader yields them."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

Batches = Iterable[tuple[Sequence[str], dict[str, list[bytes]]]]
"""Samples after DataLoader's default collate: their names, and a list for each field."""


@dataclass(slots=True)
class Run:
    """The figures of a run, for the table and the picture.

    Attributes:
        losses: Loss of each training step.
        accuracies: Accuracy on the held-out samples after each epoch, 0 to 1.
        rates: Samples per second in each epoch, reading and training together.
        samples: Number of samples trained on, in all epochs.
        seconds: Time of these epochs.
        first_batch_s: Seconds until the first batch, with the start of the workers.
    """

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    samples: int = 0
    seconds: float = 0.0
    first_batch_s: float = 0.0


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


def decode(fields: dict[str, list[bytes]]) -> tuple[Tensor, Tensor]:
    """Turn a batch of encoded fields into images (n, 1, 8, 8), 0 to 1, and classes (n,)."""
    images = np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in fields["png"]])
    classes = [int(text) for text in fields["cls"]]
    return torch.from_numpy(images).unsqueeze(1) / 255, torch.tensor(classes)


def train(
    train_batches: Batches, test_batches: Batches, *, samples: int, goal: float, epochs: int
) -> Run:
    """Train until the goal is reached, or for a number of epochs.

    Args:
        train_batches: Batches to train on, read once per epoch.
        samples: Number of their samples, for the progress bar.
        test_batches: Held-out batches, read after each epoch.
        goal: Accuracy to stop at, 0 to 1.
        epochs: Maximum number of epochs.
    """
    network, run = make_network(), Run()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for epoch in range(1, epochs + 1):
        with tqdm(desc=f"epoch {epoch}", total=samples, unit=" samples", disable=None) as progress:
            _train_epoch(network, optimizer, train_batches, run, progress)
        run.accuracies.append(accuracy(network, test_batches))
        print(
            f"epoch {epoch}: loss {run.losses[-1]:.3f}, accuracy {run.accuracies[-1]:.1%}, "
            f"{run.rates[-1]:,.0f} samples/s",
            flush=True,
        )
        if run.accuracies[-1] >= goal:
            break
    return run


def accuracy(network: nn.Module, batches: Batches) -> float:
    """Return the share of samples that the network classifies correctly, 0 to 1."""
    correct = total = 0
    with torch.inference_mode():
        for _, fields in batches:
            images, classes = decode(fields)
            correct += int((network(images).argmax(1) == classes).sum())
            total += len(classes)
    return correct / total


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    run: Run,
    progress: tqdm[NoReturn],
) -> None:
    started, samples = time.perf_counter(), 0
    for _, fields in batches:
        run.first_batch_s = run.first_batch_s or time.perf_counter() - started
        images, classes = decode(fields)
        loss = nn.functional.cross_entropy(network(images), classes)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch declares no types here
        optimizer.step()
        run.losses.append(loss.item())
        samples += len(classes)
        progress.update(len(classes))
    seconds = time.perf_counter() - started
    run.samples += samples
    run.seconds += seconds
    run.rates.append(samples / seconds)
