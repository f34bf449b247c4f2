"""How well an order is shuffled: how far samples move, and which neighbours stay together.

The order alone is looked at; no sample is read.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.training.batch_sampler import SizedBatchSampler
from aisio.training.loader import Loader

try:
    import numpy as np
except ImportError as error:
    raise missing_extra("numpy", "torch") from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Numbers: TypeAlias = "NDArray[np.int64]"

__all__ = ["ShuffleQuality", "shuffle_quality"]

Ordered = TypeVar("Ordered", Loader, SizedBatchSampler)

MOVE_BINS = 40
"""So many bars has the picture of how far samples move."""


@dataclass(frozen=True)
class ShuffleQuality:
    """How well an order is shuffled. Each number has that of a random permutation beside it.

    A place is a part of the whole: 0.0 the first sample in storage, or of an epoch, and 1.0 the
    last.

    Attributes:
        samples: Number of samples in storage.
        received: Number of samples in the epoch, of this rank.
        batches: Number of its batches.
        mean_move: How far a sample moves between storage and epoch, at the mean.
        random_move: The same of a random permutation, a third.
        moves: How many samples move by how much, in 40 equal steps from 0.0 to 1.0.
        rank_correlation: Between the places in storage and in the epoch; 1.0 for the order of
            storage, about 0.0 for a random permutation.
        stored_together: Part of the neighbours in storage that are in one batch.
        random_stored_together: The same of a random permutation.
        stay_together: Part of the neighbours in one epoch's batches that are in one batch of the
            next epoch; None if that was not looked at.
        random_stay_together: The same of a random permutation.
    """

    samples: int
    received: int
    batches: int
    mean_move: float
    random_move: float
    moves: tuple[int, ...]
    rank_correlation: float
    stored_together: float
    random_stored_together: float
    stay_together: float | None
    random_stay_together: float


def shuffle_quality(
    of: Loader | Iterable[Sequence[int]], *, samples: int | None = None
) -> ShuffleQuality:
    """Look at the order of an epoch, and of the next one, without reading a sample.

    With several ranks it is the order of this rank. A Loader, or a sampler of aisio, stays where it
    is.

    Args:
        of: A Loader; or batches of indices, such as a `batch_sampler` of torch. What can be
            iterated twice is: the second time is the next epoch.
        samples: Number of samples in storage; needed where `of` is no Loader and leaves the last
            ones out.

    Raises:
        ConfigError: There are no batches, or an index is not below `samples`.
    """
    if isinstance(of, Loader):
        count = len(of.dataset)
        first, second = (list(_epoch_of(of, of.epoch + ahead)) for ahead in (0, 1))
        return _compared(first, second, count)
    if isinstance(of, SizedBatchSampler):
        first, second = (list(_at_epoch(of, of.epoch + ahead)) for ahead in (0, 1))
    else:
        batches = iter(of)
        first = [list(map(int, batch)) for batch in batches]
        second = [] if batches is of else [list(map(int, batch)) for batch in of]
    largest = max((index for batch in first + second for index in batch), default=-1)
    return _compared(first, second, largest + 1 if samples is None else samples)


def _epoch_of(loader: Loader, epoch: int) -> Iterator[list[int]]:
    """Yield the indices of the batches of a whole epoch, whatever was received of it."""
    other = _at_epoch(loader, epoch)
    for batch in range(len(other)):
        yield other.samples_of(batch)


def _at_epoch(of: Ordered, epoch: int) -> Ordered:
    """Return a copy of a Loader or sampler, at the beginning of an epoch."""
    other = copy.copy(of)
    other.set_epoch(epoch + 1)  # one that is within the epoch would go on in it
    other.set_epoch(epoch)
    return other


def _compared(first: list[list[int]], second: list[list[int]], samples: int) -> ShuffleQuality:
    order, batch_of = _flat(first, samples)
    places = np.arange(len(order)) / max(1, len(order) - 1)
    stored = order / max(1, samples - 1)
    moves = np.abs(places - stored)
    together = _together(batch_of, order[order < samples - 1], 1)
    size = len(order) / len(first)
    random_together = max(0.0, size - 1) / max(1, samples - 1) * len(order) / samples
    return ShuffleQuality(
        samples=samples,
        received=len(order),
        batches=len(first),
        mean_move=float(moves.mean()),
        random_move=1 / 3,
        moves=tuple(map(int, np.histogram(moves, MOVE_BINS, (0.0, 1.0))[0])),
        rank_correlation=_correlation(places, stored),
        stored_together=together,
        random_stored_together=max(0.0, size - 1) / max(1, samples - 1),
        stay_together=_stay_together(order, batch_of, second, samples) if second else None,
        random_stay_together=random_together,
    )


def _flat(batches: list[list[int]], samples: int) -> tuple[_Numbers, _Numbers]:
    """Return the indices in their order, and the batch of each index, -1 for none.

    Raises:
        ConfigError: There is no index, or one is too large.
    """
    order = np.array([index for batch in batches for index in batch], dtype=np.int64)
    if not len(order):
        raise ConfigError("there are no batches, so no order to look at")
    if order.min() < 0 or order.max() >= samples:
        wrong = order[(order < 0) | (order >= samples)][0]
        raise ConfigError(f"index {wrong} of {samples:,} samples: see samples=")
    batch_of = np.full(samples, -1, dtype=np.int64)
    batch_of[order] = np.repeat(np.arange(len(batches)), list(map(len, batches)))
    return order, batch_of


def _together(batch_of: _Numbers, indices: _Numbers, ahead: int) -> float:
    """Return the part of some samples that are in one batch with the one behind them in storage."""
    if not len(indices):
        return 0.0
    return float(np.mean(batch_of[indices] == batch_of[indices + ahead]))


def _stay_together(
    order: _Numbers, batch_of: _Numbers, second: list[list[int]], samples: int
) -> float:
    """Return the part of the neighbours within a batch that the next epoch has in one batch."""
    _, later = _flat(second, samples)
    before, behind = order[:-1], order[1:]
    is_pair = batch_of[before] == batch_of[behind]
    if not is_pair.any():
        return 0.0
    before, behind = before[is_pair], behind[is_pair]
    return float(np.mean((later[before] == later[behind]) & (later[before] >= 0)))


def _correlation(places: Any, stored: Any) -> float:
    if places.std() == 0 or stored.std() == 0:
        return 0.0
    return float(np.corrcoef(places, stored)[0, 1])
