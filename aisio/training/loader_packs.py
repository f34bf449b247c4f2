"""LoaderPacks: whether, and how, a Loader's dataset is read by packs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from aisio.errors import ConfigError
from aisio.training.mix import Mix, MixedSamples
from aisio.training.order.cut import Topology
from aisio.training.order.position import Position
from aisio.training.order.sample_filter import SampleFilter
from aisio.training.shard_dataset import reads_packs
from aisio.training.whole_number import whole_number
from aisio.training.workers.pack_reading import PackBatches, PackSizes

__all__ = ["LoaderPacks"]

_LEAST_WINDOW_BYTES = 32 << 20
_MOST_WINDOW_BYTES = 128 << 20
_WINDOW_BATCHES = 4
"""A window of about one batch would give most neighbours out together. A larger one mixes better,
and costs memory and, as it leaves the processor's cache, time: 64 MiB took about 8 % more processor
time a sample than 16 MiB (70 KB samples, CPython 3.11)."""


class LoaderPacks(NamedTuple):
    """How a dataset is read by packs; one that is not is shared out by ranks alone.

    Attributes:
        are_read: Whether it is.
        sizes: Of packs and windows.
        workers: Among how many workers of a rank an epoch is shared out, where it is shuffled.
    """

    are_read: bool = False
    sizes: PackSizes = PackSizes(1, 1)
    workers: int = 1

    @classmethod
    def of(
        cls, dataset: Any, batch_size: int, num_workers: int, window_bytes: int | None
    ) -> LoaderPacks:
        """Return how a dataset is read.

        Args:
            dataset: Any map-style dataset.
            batch_size: Number of samples of a batch.
            num_workers: Number of worker processes.
            window_bytes: How many bytes a worker mixes; None for those of four batches, within 32
                and 128 MiB.

        Raises:
            ConfigError: `window_bytes` is below 1, or given for a dataset that is not read so.
        """
        if window_bytes is not None:
            whole_number("window_bytes", window_bytes, 1)
        if reads_packs(dataset):
            index = dataset.index
            wanted = int(_WINDOW_BATCHES * batch_size * index.mean_sample_bytes)
            default = min(max(wanted, _LEAST_WINDOW_BYTES), _MOST_WINDOW_BYTES)
            sizes = PackSizes.of(
                index,
                window_bytes or default,
                pack_bytes=dataset.PACK_BYTES,
                least_packs=dataset.LEAST_PACKS,
            )
            return cls(True, sizes, max(1, num_workers))
        if window_bytes is not None:
            raise ConfigError(
                f"window_bytes={window_bytes} is for an AISShardDataset itself, not for"
                f" {type(dataset).__name__}"
            )
        return cls()

    def topology(self, topology: Topology, position: Position) -> Topology:
        """Return how an epoch is shared out; in the order of the numbers, by ranks alone."""
        if not position.shuffle:
            return topology
        return replace(topology, workers=self.workers, window=self.sizes.window)

    def learn_fields(self, dataset: Any) -> None:
        """Have a dataset learn its fields once, in the process that starts the workers."""
        if self.are_read:
            dataset.learn_fields()

    def read_from(self, dataset: Any, samples: SampleFilter, *, alike: bool) -> Any:
        """Return what workers read from, where these samples of a dataset are shared out.

        Args:
            dataset: The dataset.
            samples: Those that are shared out.
            alike: Samples of a mix must be alike.
        """
        if isinstance(dataset, Mix):
            return MixedSamples(dataset.datasets, alike=alike)
        return PackBatches(dataset, samples) if self.are_read else dataset
