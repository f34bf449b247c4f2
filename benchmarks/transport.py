"""How batches come from two workers that read nothing: bytes, one tensor a batch, images."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

from corpus import SMALL_BYTES, Corpus
from measuring import READY, Items, Reader

Kind = Literal["bytes", "tensors", "images"]

TITLES: dict[Kind, str] = {
    "bytes": "32 x 100 KB a batch from 2 workers that read nothing",
    "tensors": "The same as one tensor",
    "images": "The same as 32 x 3 x 224 x 224",
}
BATCH = 32
WORKERS = 2
IMAGE = (3, 224, 224)
SAMPLE_BYTES = {"bytes": SMALL_BYTES, "tensors": SMALL_BYTES, "images": 3 * 224 * 224}


class MadeUp:
    """A map dataset of samples that are made up beforehand, each of a batch another object.

    Args:
        kind: What the samples are.
        count: Their number.
    """

    def __init__(self, kind: Kind, count: int) -> None:
        import torch

        self.count = count
        if kind == "bytes":
            self.samples: list[Any] = [bytes([k]) * SMALL_BYTES for k in range(2 * BATCH)]
        else:
            shape = IMAGE if kind == "images" else (SMALL_BYTES,)
            self.samples = [torch.full(shape, k, dtype=torch.uint8) for k in range(2 * BATCH)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.samples[index % len(self.samples)]


def samples(corpus: Corpus) -> int:
    """Return how many samples are sent."""
    return 8 * corpus.small


def loader(kind: Kind, copy: bool, corpus: Corpus) -> Items:
    """`Loader`: in shared memory that is used again."""
    from aisio import Loader

    dataset = MadeUp(kind, samples(corpus))
    batches = Loader(dataset, BATCH, num_workers=WORKERS, equalize="none", copy=copy)
    return _sizes(batches)


def torch_loader(kind: Kind, corpus: Corpus) -> Items:
    """The DataLoader of torch: through a pipe, or in a new file for each tensor."""
    from torch.utils.data import DataLoader

    dataset: Any = MadeUp(kind, samples(corpus))
    return _sizes(DataLoader(dataset, BATCH, num_workers=WORKERS))


def _sizes(loader: Iterable[Any]) -> Items:
    """Yield READY when the workers run, then the size of each sample."""
    batches = iter(loader)
    batch = next(batches)
    yield READY
    while batch is not None:
        yield from (len(one) if isinstance(one, bytes) else one.nbytes for one in batch)
        batch = next(batches, None)


def cases(kind: Kind) -> dict[str, Reader]:
    """Return the readers of one kind of samples."""
    return {
        "aisio Loader": partial(loader, kind, False),
        "aisio Loader, copy=True": partial(loader, kind, True),
        "torch DataLoader": partial(torch_loader, kind),
    }
