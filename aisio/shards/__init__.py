"""Tar shards: samples, read and written. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.shards.reader import ShardPass, read_samples
    from aisio.shards.samples import Sample, ZeroDict, split_name

__all__ = ["Sample", "ShardPass", "ZeroDict", "read_samples", "split_name"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.shards.reader": ("ShardPass", "read_samples"),
        "aisio.shards.samples": ("Sample", "ZeroDict", "split_name"),
    },
)
