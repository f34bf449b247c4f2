"""A small convolutional network, trained on samples as they come from the reader."""

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
"""What DataLoader's default collate makes of samples: their names, and a list for each field."""


@dataclass(slots=True)
class Run:
    """What happened, for the table and the picture.

    Attributes:
        losses: Of each training step.
        accuracies: On the held-out samples after each epoch, 0 to 1.
        rates: Samples per second of each epoch, reading and training together.
        samples: Samples trained on, all epochs together.
        seconds: Time spent on them.
        first_batch_s: Seconds until the first batch was there, starting the workers included.
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
    """Train until the goal is reached, or for so many epochs.

    Args:
        train_batches: Read once an epoch.
        samples: How many samples these hold, for the progress bar.
        test_batches: Held out; read after each epoch.
        goal: Accuracy to stop at, 0 to 1.
        epochs: Most epochs to train for.
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
    """Return the part of the samples that the network knows, 0 to 1."""
    right = total = 0
    with torch.inference_mode():
        for _, fields in batches:
            images, classes = decode(fields)
            right += int((network(images).argmax(1) == classes).sum())
            total += len(classes)
    return right / total


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    run: Run,
    progress: tqdm[NoReturn],
) -> None:
    start, samples = time.perf_counter(), 0
    for _, fields in batches:
        run.first_batch_s = run.first_batch_s or time.perf_counter() - start
        images, classes = decode(fields)
        loss = nn.functional.cross_entropy(network(images), classes)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch declares no types here
        optimizer.step()
        run.losses.append(loss.item())
        samples += len(classes)
        progress.update(len(classes))
    seconds = time.perf_counter() - start
    run.samples += samples
    run.seconds += seconds
    run.rates.append(samples / seconds)
