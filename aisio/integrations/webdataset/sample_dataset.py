"""samples(): the samples of tar shards as webdataset's dicts, out of aisio's shard reader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import IterableDataset
from webdataset.shardlists import split_by_node, split_by_worker

from aisio.errors import ConfigError, ShardError
from aisio.escapes import one_line
from aisio.integrations.webdataset.second_split import refuse_second_split
from aisio.shards.samples import Sample
from aisio.training.quarantine import SkippedShard
from aisio.training.shard_iteration import ShardTrail
from aisio.training.shard_reader import AISShardReader
from aisio.training.split_options import Split

__all__ = ["WebDatasetSamples", "samples"]

_NOT_OURS = (
    "full_key",
    "new_fields",
    "fields",
    "decode",
    "label_from",
    "classes",
    "transform",
)
_META = re.compile(r"__[^/]*__(/|$)")
"""Begins the names that webdataset leaves out."""


class WebDatasetSamples(IterableDataset[dict[str, Any]]):
    """The samples of tar shards as webdataset's dicts; made by `samples`.

    Args:
        reader: Reads them.
    """

    def __init__(self, reader: SampleDictReader) -> None:
        super().__init__()
        self._reader = reader

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._reader)

    @property
    def quarantine(self) -> tuple[SkippedShard, ...]:
        """See `AISShardReader.quarantine`."""
        return self._reader.quarantine

    def count(self) -> int:
        """See `AISShardReader.count`."""
        return self._reader.count()

    def stats(self) -> dict[str, Any]:
        """See `AISShardReader.stats`."""
        return self._reader.stats()

    def relist(self) -> None:
        """See `AISShardReader.relist`."""
        self._reader.relist()


class SampleDictReader(AISShardReader):
    """An AISShardReader that yields dicts."""

    def _items_of(self, samples: Iterator[Sample], trail: ShardTrail) -> Iterator[Any]:
        """Yield the samples of an epoch as dicts."""
        advice = ", or pass split='none', where each reads everything"
        if self._split == "rank+worker":
            refuse_second_split("samples()", split_by_node, split_by_worker, advice=advice)
        elif self._split == "worker":
            refuse_second_split("samples()", split_by_worker, advice=advice)
        for sample in self._items.padded(samples):
            trail.take(sample)
            if not _META.match(sample.key):
                yield _as_dict(sample)


def samples(
    source: Any,
    *,
    keys: Sequence[str] | None = None,
    split: Split = "rank+worker",
    **options: Any,
) -> WebDatasetSamples:
    """Begin a `wds.DataPipeline` with the samples of tar shards, read as by `AISShardReader`.

    A sample is webdataset's own dict: `__key__`, with its folder; `__url__`, of its shard; and the
    bytes of each of its files by extension, in lower case. Shards come in the order of the listing,
    each once in an iteration, and the next ones are opened and read ahead.

    Args:
        source: The shards: a URL, URLs, a bucket, a group, a name in a catalog, a folder; several
            of these in a list.
        keys: Extensions to yield; a sample that lacks one has b"" for it. By default a sample has
            those that it has in the shard.
        split: Who divides the shards. By default this stage does, over ranks and the workers of a
            DataLoader; then `wds.split_by_node` or `wds.split_by_worker` behind it is an error.
            "worker" leaves the ranks to webdataset, "none" both: each process reads everything.
        **options: For `AISShardReader`, all but those that say what its items are: webdataset
            decodes and maps samples itself.

    Raises:
        ConfigError: An argument has no such value; at iteration: a splitter is behind this stage.
        ShardError: At iteration: as for `AISShardReader`, or two extensions of a sample differ in
            case alone.
    """
    if taken := [name for name in _NOT_OURS if name in options]:
        raise ConfigError(
            f"samples({taken[0]}=...): webdataset's samples have whole keys, and the fields that"
            " they have, as bytes; stages behind this one decode and map them"
        )
    if split == "rank+worker" and options.get("ranks", "auto") is None:
        split = "worker"  # the same, and what may follow is that of "worker"
    return WebDatasetSamples(SampleDictReader(source, keys=keys, split=split, **options))


def _as_dict(sample: Sample) -> dict[str, Any]:
    fields = {name.lower(): data for name, data in sample.fields.items()}
    if len(fields) < len(sample.fields):
        raise ShardError(
            f"{one_line(sample.url)}: sample {sample.key!r} at byte {sample.offset} has"
            f" {', '.join(map(repr, sample.fields))}: webdataset takes extensions in lower case,"
            " so one of them would be lost; name one by keys=",
            url=sample.url,
            offset=sample.offset,
        )
    return {"__key__": sample.key, "__url__": sample.url, **fields}
