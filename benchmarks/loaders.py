"""The loaders that are measured: of aisio and of webdataset, over the shards of the corpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from corpus import Corpus, Objects, index_url
from peers import http_urls

BATCH = 32
WORKERS = 2
SHUFFLE_BUFFER = 1_000
"""Number of samples in webdataset's buffer, as in its documentation."""

FIELDS = ("jpg", "cls", "json")


def shuffled_loader(
    corpus: Corpus,
    objects: Objects = "shards",
    *,
    dataset: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Return a Loader that shuffles the shards of a kind, and gives all of their samples.

    Args:
        corpus: Where they are.
        objects: Their kind.
        dataset: Options of the dataset.
        **options: Options of the Loader.
    """
    from aisio import AISShardDataset, Loader

    shards = AISShardDataset(
        f"ais://{corpus.bucket}/{objects}/",
        endpoint=corpus.endpoint,
        index=index_url(corpus, objects),
        **dataset or {},
    )
    if options.get("num_workers"):
        options = {"persistent_workers": True} | options
    return Loader(shards, BATCH, shuffle=True, equalize="none", **options)


def shard_reader(corpus: Corpus, objects: Objects = "shards", **options: Any) -> Any:
    """Return an AISShardReader of the shards of a kind."""
    from aisio import AISShardReader

    url = f"ais://{corpus.bucket}/{objects}/"
    return AISShardReader(url, endpoint=corpus.endpoint, **options)


def webdataset_loader(
    corpus: Corpus,
    objects: Objects,
    fields: tuple[str, ...],
    workers: int,
    *,
    decode: Callable[[bytes], Any] | None = None,
    images: str = "",
    convert: Callable[[Any], Any] | None = None,
) -> Any:
    """Return webdataset's loader of batches, which are made in the workers.

    Args:
        corpus: Where the shards are.
        objects: Their kind.
        fields: What a sample is a tuple of.
        workers: Number of processes.
        decode: Decodes the first field.
        images: What webdataset's own decoder makes images; nothing has it decode nothing.
        convert: Called with the first field then.
    """
    import webdataset

    pipes = [f"pipe:curl -s -L '{url}'" for url in http_urls(corpus, corpus.names(objects))]
    dataset = webdataset.WebDataset(pipes, shardshuffle=len(pipes)).shuffle(SHUFFLE_BUFFER)
    if images:
        dataset = dataset.decode(images)
    dataset = dataset.to_tuple(*fields)
    for function in filter(None, (decode, convert)):
        dataset = dataset.map_tuple(function)
    return webdataset.WebLoader(
        dataset.batched(BATCH),
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def size_of(*fields: bytes) -> int:
    """Return the bytes of a sample."""
    return sum(map(len, fields))
