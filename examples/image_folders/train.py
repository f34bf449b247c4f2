"""Train on images in class folders: pack them, train, validate. Run it again to resume.

torchrun --standalone --nproc-per-node 2 train.py --images images shards
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy, interpolate
from torch.nn.parallel import DistributedDataParallel

import aisio
from aisio.shards.packing import pack_folder

SIZE = 8
"""Images are resized to SIZE x SIZE pixels."""
BATCH_SIZE = 60
"""Images of a step, those of all processes together."""
CHECKPOINT_STEPS = 5
"""Steps from one checkpoint to the next."""


def pack(images: Path, url: str) -> None:
    """Pack the images, with labels and shuffled, into shards below URL/train and URL/val."""
    split = {"train": 0.8, "val": 0.2}
    for shard in pack_folder(images, url, labels_from_folder=True, split=split):
        print(f"packed {shard.samples:,} images: {shard.url}", flush=True)


def read_classes(url: str) -> list[str]:
    """Return the names of the classes, in the order of their labels."""
    _, text = aisio.AISMapDataset.from_objects(f"{url}/train/classes.json")[0]
    return list(json.loads(text))


def prepare(sample: tuple[Tensor, int]) -> tuple[Tensor, int]:
    """Resize a decoded image, in a worker. This is the place for augmentations."""
    image, label = sample
    return interpolate(image[None], (SIZE, SIZE), mode="bilinear", antialias=True)[0], label


def make_loader(url: str, **options: Any) -> aisio.Loader:
    """Return this process's batches: images (n, 3, SIZE, SIZE) of uint8, and labels (n,)."""
    fields = ("jpg;jpeg;png", "cls")
    images = aisio.AISShardDataset(url, fields=fields, decode="torch", transform=prepare)
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


class Training:
    """A network, its optimizer and its data, with a checkpoint of all of them.

    Args:
        url: Where the shards are, and the checkpoint.
    """

    def __init__(self, url: str) -> None:
        on_gpu = torch.cuda.is_available()
        self.device = torch.device("cuda" if on_gpu else "cpu")
        self.checkpoint = f"{url}/checkpoint.pt"
        self.loader = make_loader(f"{url}/train/", shuffle=True, pin_memory=on_gpu)
        # "shrink" counts every held-out image once; the default leaves out the last few.
        self.held_out = make_loader(f"{url}/val/", equalize="shrink", pin_memory=on_gpu)
        self.network = make_network(len(read_classes(url))).to(self.device)
        self.parallel = DistributedDataParallel(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=3e-3)
        self.parts: dict[str, Any] = {
            "network": self.network,
            "optimizer": self.optimizer,
            "loader": self.loader,
        }

    def resume(self) -> bool:
        """Load the checkpoint; return whether there was one."""
        try:
            with aisio.Checkpoint().reader(self.checkpoint) as file:
                saved = torch.load(file, map_location=self.device, weights_only=True)
        except aisio.NotFoundError:
            return False
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])
        return True

    def save(self) -> None:
        """Replace the checkpoint, in one process for all: a kill leaves the old one or the new."""
        if distributed.get_rank() == 0:
            with aisio.Checkpoint().writer(self.checkpoint) as file:
                torch.save({name: part.state_dict() for name, part in self.parts.items()}, file)

    def train_epoch(self) -> None:
        """Train on an epoch, or on what is left of it."""
        epoch = self.loader.epoch
        for step, (images, labels) in enumerate(self.loader, 1):
            scores = self.parallel(images.to(self.device) / 255)
            loss = cross_entropy(scores, labels.to(self.device))
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            if step % CHECKPOINT_STEPS == 0:
                self.save()
                report(f"epoch {epoch}: loss {loss.item():.3f}, saved")
        self.save()  # behind the loop, the loader's state says that the next epoch comes

    def accuracy(self) -> float:
        """Return the share of held-out images that are classified correctly, over all processes."""
        counts = torch.zeros(2, device=self.device)
        self.network.eval()
        with torch.inference_mode():
            for images, labels in self.held_out:
                scores = self.network(images.to(self.device) / 255)
                counts[0] += (scores.argmax(1) == labels.to(self.device)).sum()
                counts[1] += len(labels)
        self.network.train()
        distributed.all_reduce(counts)
        return float(counts[0] / counts[1])


def report(line: str) -> None:
    """Print a line, in one process for all."""
    if distributed.get_rank() == 0:
        print(line, flush=True)


@click.command()
@click.argument("url")
@click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--epochs", default=3)
def main(url: str, images: Path | None, epochs: int) -> None:
    """Train on the shards below URL, or in a folder. With --images, pack those images first."""
    if "RANK" not in os.environ:
        raise click.UsageError("start it by torchrun, as in the first lines of this file")
    url = url.rstrip("/") if "://" in url else f"file://{Path(url).absolute()}"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group()
    torch.manual_seed(1)
    if images is not None and distributed.get_rank() == 0:
        pack(images, url)
    distributed.barrier()
    training = Training(url)
    if training.resume():
        report(f"resumed in epoch {training.loader.epoch}")
        if training.loader.epoch >= epochs:
            report(f"all {epochs} epochs are trained: delete {training.checkpoint} to start anew")
    while training.loader.epoch < epochs:
        epoch = training.loader.epoch
        training.train_epoch()
        report(f"epoch {epoch}: accuracy {training.accuracy():.1%}")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
