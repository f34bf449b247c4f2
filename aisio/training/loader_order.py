"""What a Loader begins with: a dataset, or a mix of some, and the order of its epochs."""

from __future__ import annotations

import logging
from typing import Any

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.training.mix import Mix
from aisio.training.order.cut import BatchEqualize, Topology
from aisio.training.order.mix_position import MixPosition, MixTopology
from aisio.training.order.position import Position
from aisio.training.order.sample_filter import SampleFilter

try:
    from torch.utils.data import IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["check_dataset", "log_changes", "start_of_job", "topology_of"]

_log = logging.getLogger("aisio.loader")


def check_dataset(dataset: Any) -> None:
    """Check that a dataset has samples in an order.

    Raises:
        ConfigError: It is no map-style dataset, or has no sample.
    """
    if isinstance(dataset, (str, IterableDataset)) or not hasattr(dataset, "__len__"):
        hint = "torch's DataLoader reads iterable datasets"
        raise ConfigError(
            "Loader reads map-style datasets, such as AISShardDataset and AISMapDataset, and"
            f" {type(dataset).__name__} is none:"
            f" {'make one of the URL' if isinstance(dataset, str) else hint}"
        )
    if not len(dataset):
        raise ConfigError(f"{type(dataset).__name__} has no sample")


def topology_of(dataset: Any, batch_size: int, equalize: BatchEqualize) -> Topology:
    """Return how a dataset is shared out, but for the number of ranks, and for packs.

    Without packs it is shared out by ranks alone, without windows: this process says which samples
    make a batch, not the workers.

    Raises:
        ConfigError: An argument that cannot be right.
    """
    if not isinstance(dataset, Mix):
        return Topology(ranks=1, workers=1, batch_size=batch_size, window=1, equalize=equalize)
    return MixTopology(
        ranks=1,
        workers=1,
        batch_size=batch_size,
        window=1,
        equalize=equalize,
        weights=dataset.weights,
        on_end=dataset.on_end,
    )


def start_of_job(
    dataset: Any, samples: SampleFilter, *, seed: int, shuffle: bool, pack: int
) -> Position:
    """Return where a job begins.

    Raises:
        ConfigError: Samples of a mix are to be left out.
    """
    if not isinstance(dataset, Mix):
        return Position(samples.samples, seed, shuffle, pack)
    if samples.skipped:
        raise ConfigError("skip= is not for a mix: .select() leaves samples of a data set out")
    return MixPosition(len(dataset), seed, shuffle, dataset.pack, sizes=dataset.samples.sizes)


def log_changes(state: Position, own: Position, topology: Topology) -> None:
    """Log what a state has otherwise than the Loader that goes on from it was given.

    Args:
        state: Where the job stands, by the state.
        own: Where the Loader stood.
        topology: How it shares samples out.
    """
    for name in ("seed", "shuffle"):
        if getattr(state, name) != getattr(own, name):
            _log.warning("%s=%r is that of the state", name, getattr(state, name))
    last = state.segments[-1].topology if state.segments else topology
    if isinstance(last, MixTopology) and isinstance(topology, MixTopology):
        for name in ("weights", "on_end"):
            now, before = getattr(topology, name), getattr(last, name)
            if now != before:
                _log.warning("%s=%r from here on; the state has %r", name, now, before)
