"""Decoding: JPEG files of 256 x 256 pixels into uint8 tensors, by two workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from corpus import PHOTO_BYTES, Corpus
from decoding_alone import decode_alone
from loaders import BATCH, WORKERS, shard_reader, shuffled_loader, webdataset_loader
from measuring import READY, Items, Reader, temporary_folder

EPOCHS = 2
CLASSES = 10
"""In so many folders ImageFolder finds the images."""


def by_loader(images: str, corpus: Corpus) -> Items:
    """`Loader` over `AISShardDataset`, shuffled over all shards."""
    dataset = {"fields": ("jpg", "cls"), "decode": images}
    loader = shuffled_loader(corpus, "photos", num_workers=WORKERS, dataset=dataset)
    yield READY
    yield from _pixels(loader)


def by_reader(corpus: Corpus) -> Items:
    """`AISShardReader` under torch's DataLoader; not shuffled."""
    from torch.utils.data import DataLoader

    reader = shard_reader(corpus, "photos", fields=("jpg", "cls"), decode="torch")
    loader = DataLoader(reader, BATCH, num_workers=WORKERS, persistent_workers=True)
    yield READY
    yield from _pixels(loader)


def by_webdataset(corpus: Corpus) -> Items:
    """The WebLoader of webdataset with its shuffle, `decode("pil")`, and torchvision's tensors."""
    from torchvision.transforms import PILToTensor

    loader = webdataset_loader(
        corpus, "photos", ("jpg", "cls"), WORKERS, images="pil", convert=PILToTensor()
    )
    yield READY
    yield from _pixels(loader)


def by_image_folder(corpus: Corpus) -> Items:
    """ImageFolder of torchvision over files on the local disk, shuffled, by torch's DataLoader."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import PILToTensor

    with _unpacked(corpus) as folder:
        loader: Any = DataLoader(
            ImageFolder(folder, PILToTensor()),
            BATCH,
            shuffle=True,
            num_workers=WORKERS,
            persistent_workers=True,
        )
        yield READY
        yield from _pixels(loader)


def alone(images: str, corpus: Corpus) -> Items:
    """Two processes that decode what they have in memory, and send nothing."""
    from aisio.training.image_decoding import IMAGE_DECODERS, require_pillow

    require_pillow()
    decode: Callable[[bytes], Any] = IMAGE_DECODERS[images]
    return decode_alone(_photos(corpus), decode, epochs=EPOCHS, size_bytes=PHOTO_BYTES)


def _pixels(loader: Iterable[Any]) -> Items:
    for _ in range(EPOCHS):
        for images, _ in loader:
            # One tensor: to make one of each image is no work of a loader.
            yield from repeat(images[0].nbytes, len(images))


def _photos(corpus: Corpus) -> list[bytes]:
    return [data for (data,) in iter(shard_reader(corpus, "photos", fields=("jpg",)))]


@contextmanager
def _unpacked(corpus: Corpus) -> Iterator[Path]:
    """Write the images into folders of classes."""
    with temporary_folder() as folder:
        for number, data in enumerate(_photos(corpus)):
            file = Path(folder, f"{number % CLASSES}", f"{number:08d}.jpg")
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        yield folder


CASES: dict[str, Reader] = {
    'aisio Loader, decode="torch"': partial(by_loader, "torch"),
    'aisio Loader, decode="numpy"': partial(by_loader, "numpy"),
    'aisio AISShardReader, decode="torch"': by_reader,
    "alone: decoding in 2 processes": partial(alone, "torch"),
    "alone: by Pillow": partial(alone, "pil"),
    "ImageFolder of torchvision, local folder": by_image_folder,
    'webdataset WebLoader, decode("pil")': by_webdataset,
}
