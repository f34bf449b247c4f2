"""Training: shuffled batches with and without workers, as bytes and decoded."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from corpus import ARRAY_BYTES, PIXELS, Corpus, Objects
from decoding_alone import decode_alone
from loaders import (
    BATCH,
    FIELDS,
    WORKERS,
    shard_reader,
    shuffled_loader,
    size_of,
    webdataset_loader,
)
from measuring import READY, Items, Reader

EPOCHS = 2
"""What workers read: their start is part of it, and is not to be most of it."""


def shuffled_alone(corpus: Corpus) -> Items:
    """`Loader` over `AISShardDataset` in one process: lists of samples, as nothing is collated."""
    loader = shuffled_loader(corpus, collate_fn=list)
    yield READY
    for batch in loader:
        for _, fields in batch:
            yield sum(map(len, fields.values()))


def shuffled(corpus: Corpus) -> Items:
    """`Loader` over `AISShardDataset`: all fields as bytes, shuffled over all shards."""
    loader = shuffled_loader(corpus, num_workers=WORKERS)
    yield READY
    for _ in range(EPOCHS):
        for _, fields in loader:
            yield from map(size_of, *fields.values())


def in_order(epochs: int, corpus: Corpus) -> Items:
    """`AISShardReader` in one process, in the order of the shards."""
    reader = shard_reader(corpus, "shards")
    yield READY
    for _ in range(epochs):
        for _, fields in iter(reader):
            yield sum(map(len, fields.values()))


def in_order_by_torch(corpus: Corpus) -> Items:
    """`AISShardReader` under torch's DataLoader, as its documentation suggests."""
    from torch.utils.data import DataLoader

    loader = DataLoader(
        shard_reader(corpus, "shards"), BATCH, num_workers=WORKERS, persistent_workers=True
    )
    yield READY
    for _ in range(EPOCHS):
        for _, fields in loader:
            yield from map(size_of, *fields.values())


def webdataset_shuffled(workers: int, corpus: Corpus) -> Items:
    """The shuffle of webdataset: of the shards, then in a buffer of samples; over curl."""
    batches = webdataset_loader(corpus, "shards", ("__key__", *FIELDS), workers)
    yield READY
    for _ in range(EPOCHS if workers else 1):
        for _, *fields in batches:
            yield from map(size_of, *fields)


def from_jpeg(data: bytes) -> Any:
    """Decode by Pillow."""
    import numpy as np
    import torch
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return torch.from_numpy(np.array(image.convert("RGB")))


def from_array(data: bytes) -> Any:
    """Copy stored pixels: what the least decoder of all does."""
    import torch

    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(PIXELS)


DECODERS: dict[Objects, tuple[str, Callable[[bytes], Any]]] = {
    "pictures": ("jpg", from_jpeg),
    "arrays": ("u8", from_array),
}


class FirstField:
    """Decodes a sample of one field.

    Args:
        decode: The decoder.
    """

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        self._decode = decode

    def __call__(self, fields: tuple[bytes]) -> Any:
        """Return what the decoder makes of the field."""
        return self._decode(fields[0])


def decoded(objects: Objects, corpus: Corpus) -> Items:
    """`Loader` with a decoder, shuffled."""
    extension, decode = DECODERS[objects]
    loader = shuffled_loader(
        corpus,
        objects,
        num_workers=WORKERS,
        dataset={"fields": (extension,), "transform": FirstField(decode)},
    )
    yield READY
    yield from _pixels(loader)


def decoded_by_torch(objects: Objects, corpus: Corpus) -> Items:
    """The DataLoader of torch over `AISShardReader`, with the same decoder; not shuffled."""
    from torch.utils.data import DataLoader

    from decoded_samples import DecodedSamples

    samples = DecodedSamples(shard_reader(corpus, objects), *DECODERS[objects])
    loader = DataLoader(samples, BATCH, num_workers=WORKERS, persistent_workers=True)
    yield READY
    yield from _pixels(loader)


def decoded_by_webdataset(objects: Objects, corpus: Corpus) -> Items:
    """The WebLoader of webdataset with the same decoder, and its shuffle."""
    extension, decode = DECODERS[objects]
    batches = webdataset_loader(corpus, objects, (extension,), WORKERS, decode=decode)
    yield READY
    for _ in range(EPOCHS):
        for (pictures,) in batches:
            yield from (picture.nbytes for picture in pictures)


def decoding_alone(objects: Objects, corpus: Corpus) -> Items:
    """Two processes that decode what they have in memory, and send nothing."""
    extension, decode = DECODERS[objects]
    samples = [fields[extension] for _, fields in iter(shard_reader(corpus, objects))]
    return decode_alone(samples, decode, epochs=EPOCHS, size_bytes=ARRAY_BYTES)


def _pixels(loader: Iterable[Any]) -> Items:
    for _ in range(EPOCHS):
        for batch in loader:
            yield from (picture.nbytes for picture in batch)


ONE_PROCESS_CASES: dict[str, Reader] = {
    "aisio Loader": shuffled_alone,
    "alone: AISShardReader, in order": partial(in_order, 1),
    "webdataset, its shuffle": partial(webdataset_shuffled, 0),
}
BYTES_CASES: dict[str, Reader] = {
    "aisio Loader": shuffled,
    "alone: AISShardReader, one process": partial(in_order, EPOCHS),
    "torch DataLoader of AISShardReader": in_order_by_torch,
    "webdataset WebLoader, its shuffle": partial(webdataset_shuffled, WORKERS),
}


def decoded_cases(objects: Objects) -> dict[str, Reader]:
    """Return the readers of pictures, or of arrays."""
    return {
        "aisio Loader": partial(decoded, objects),
        "alone: decoding in 2 processes": partial(decoding_alone, objects),
        "torch DataLoader of AISShardReader": partial(decoded_by_torch, objects),
        "webdataset WebLoader, its shuffle": partial(decoded_by_webdataset, objects),
    }
