"""Train on images in class folders that `aisio pack` packed; run it again to go on.

torchrun --nproc-per-node 2 train.py ais://digits
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy, interpolate
from torch.nn.parallel import DistributedDataParallel

import aisio

SIZE = 8
"""Images are resized to SIZE x SIZE pixels."""
BATCH_SIZE = 60
"""Images of a step, those of all processes together."""
CHECKPOINT_STEPS = 5
"""Steps from one checkpoint to the next."""


def prepare(sample: tuple[Tensor, int]) -> tuple[Tensor, int]:
    """Resize a decoded image, in a worker. This is the place for augmentations."""
    image, label = sample
    return interpolate(image[None], (SIZE, SIZE), mode="bilinear", antialias=True)[0], label


def make_loader(url: str, **options: Any) -> aisio.Loader:
    """Return this process's batches: images (n, 3, SIZE, SIZE) of uint8, and labels."""
    images = aisio.AISShardDataset(url, fields=("png", "cls"), decode="torch", transform=prepare)
    batch_size = BATCH_SIZE // distributed.get_world_size()
    return aisio.Loader(images, batch_size, num_workers=2, persistent_workers=True, **options)


def make_network(classes: int) -> nn.Module:
    """Return an untrained network: (n, 3, SIZE, SIZE) images in, (n, classes) scores out."""
    return nn.Sequential(
        nn.Conv2d(3, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, classes),
    )


def save(checkpoint: Path, parts: Mapping[str, Any]) -> None:
    """Save the states of network, optimizer and loader, in one process for all."""
    if distributed.get_rank() == 0:
        unfinished = checkpoint.with_suffix(".unfinished")
        torch.save({name: part.state_dict() for name, part in parts.items()}, unfinished)
        unfinished.replace(checkpoint)  # at once: a kill leaves the old checkpoint or the new one


def accuracy(network: nn.Module, loader: aisio.Loader, device: torch.device) -> float:
    """Return the share of images that are classified correctly, over all processes."""
    network.eval()
    counts = torch.zeros(2, device=device)
    with torch.inference_mode():
        for images, labels in loader:
            scores = network(images.to(device) / 255)
            counts[0] += (scores.argmax(1) == labels.to(device)).sum()
            counts[1] += len(labels)
    distributed.all_reduce(counts)
    return float(counts[0] / counts[1])


@click.command()
@click.argument("url")
@click.option("--checkpoint", default="checkpoint.pt", type=click.Path(path_type=Path))
@click.option("--epochs", default=3)
def main(url: str, checkpoint: Path, epochs: int) -> None:
    """Train on URL/train, and count what is right of URL/val after each epoch."""
    distributed.init_process_group()
    torch.manual_seed(1)
    on_gpu, first = torch.cuda.is_available(), distributed.get_rank() == 0
    device = torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu else "cpu")
    classes = json.loads(aisio.AISMapDataset.from_objects(f"{url}/train/classes.json")[0][1])

    loader = make_loader(f"{url}/train/", shuffle=True, pin_memory=on_gpu)
    held_out = make_loader(f"{url}/val/", equalize="shrink")  # all images, none is left out
    module = make_network(len(classes)).to(device)
    network: nn.Module = DistributedDataParallel(module)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "loader": loader}
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        if first:
            print(f"goes on in epoch {loader.epoch}", flush=True)

    for epoch in range(loader.epoch, epochs):
        network.train()
        for step, (images, labels) in enumerate(loader, 1):
            loss = cross_entropy(network(images.to(device) / 255), labels.to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step % CHECKPOINT_STEPS == 0:
                save(checkpoint, parts)
                if first:
                    print(f"epoch {epoch}: loss {loss.item():.3f}, saved", flush=True)
        save(checkpoint, parts)  # behind the loop, it says that the next epoch comes
        share = accuracy(module, held_out, device)
        if first:
            print(f"epoch {epoch}: accuracy {share:.1%}", flush=True)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
