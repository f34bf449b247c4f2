"""Samplers of batches by size: DynamicBatchSampler and BucketBatchSampler.

Both are for the argument `batch_sampler` of torch's DataLoader, and of torchdata's
StatefulDataLoader, which saves their state with its own. Name and first arguments of
DynamicBatchSampler are those of the official `aistore.pytorch`; what aisio adds is keyword-only.
"""

from __future__ import annotations

import logging
from array import array
from functools import cached_property
from itertools import pairwise
from typing import Any

from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.extras import missing_extra
from aisio.training.batch_sampler import Batches, SizedBatchSampler
from aisio.training.loader_ranks import Ranks
from aisio.training.order.cut import Equalize
from aisio.training.order.shuffled import Numbers, number_type, shuffled
from aisio.training.sample_names import SampleNames
from aisio.training.sample_sizes import Sizes
from aisio.training.whole_number import whole_number

try:
    import numpy as np
    from numpy.typing import NDArray
except ImportError as error:
    raise missing_extra("numpy", "torch") from error

__all__ = ["BucketBatchSampler", "DynamicBatchSampler"]

_log = logging.getLogger("aisio.samplers")


class DynamicBatchSampler(SizedBatchSampler):
    """Batches of as many samples as fit into a number of bytes.

    Samples are added to a batch, in their order, as long as the sum of their sizes is at most
    `max_batch_size`.

    More than 8 arguments: the first six are those of the official class.

    Args:
        data_source: A map-style dataset. Its sizes come from `sizes`, or from its attribute of this
            name, which `AISMapDataset` and `AISShardDataset` have; no sample is read for them.
        max_batch_size: Maximum sum of the sizes of a batch, in bytes, or in the unit of `sizes`.
        drop_last: Leave out the last batch of the epoch, if it is not full and at most
            `saturation_factor` of `max_batch_size`.
        allow_oversized_samples: Give a sample above `max_batch_size` as a batch of its own.
            Otherwise it is left out, and one warning says how many such samples there are.
        saturation_factor: See `drop_last`; from 0 to 1.
        shuffle: Take the samples in a random order, another one in each epoch.
        allow_empty_samples: Give samples of size 0 as well. Otherwise they are left out, as the
            official class does, with a warning.
        sizes: Sizes of the samples: an array, or a function from an index to a size.
        seed: Chooses the orders, from 0; the same on all ranks.
        ranks: Which rank this is, as `aisio.Loader` takes it.
        equalize: "drop" leaves out fewer batches than there are ranks, so that all ranks have as
            many; "pad" repeats as few. "none" does neither.

    Attributes:
        epoch: Number of the epoch, from 0; it counts by itself.

    Raises:
        ConfigError: An argument that cannot be right, or sizes are not known.
    """

    def __init__(
        self,
        data_source: Any,
        max_batch_size: float,
        drop_last: bool = False,
        allow_oversized_samples: bool = False,
        saturation_factor: float = 0.8,
        shuffle: bool = False,
        *,
        allow_empty_samples: bool = False,
        sizes: Sizes | None = None,
        seed: int = 0,
        ranks: Ranks = "auto",
        equalize: Equalize = "drop",
    ) -> None:
        if not 0 <= saturation_factor <= 1:
            raise ConfigError(f"saturation_factor={saturation_factor!r}: 0 to 1 is needed")
        self._limit = _checked_size("max_batch_size", max_batch_size)
        self._drop_last = bool(drop_last)
        self._saturation_factor = saturation_factor
        self._has_oversized = bool(allow_oversized_samples)
        self._has_empty = bool(allow_empty_samples)
        super().__init__(
            data_source, sizes=sizes, shuffle=shuffle, seed=seed, ranks=ranks, equalize=equalize
        )
        if not self._has_empty:
            self._warn_of(self._sizes == 0, "of size 0", "allow_empty_samples=True gives them")
        if not self._has_oversized:
            text = f"larger than max_batch_size={self._limit:,}"
            advice = "allow_oversized_samples=True gives each as a batch of its own"
            self._warn_of(self._sizes > self._limit, text, advice)

    def _rule(self) -> str:
        return (
            f"{self._limit}, {self._drop_last}, {self._has_oversized}, {self._saturation_factor},"
            f" {self._has_empty}"
        )

    def _warn_of(self, found: NDArray[np.bool_], what: str, advice: str) -> None:
        if count := int(np.count_nonzero(found)):
            first = int(found.argmax())
            _log.warning(
                "<%s> leaves out %d of %d samples, %s; the first is sample %d%s: %s",
                *(type(self).__name__, count, len(found), what, first),
                *(self._name_of(first), advice),
            )

    def _name_of(self, index: int) -> str:
        names = getattr(self._data_source, "names", None)
        if not isinstance(names, SampleNames):
            return ""
        try:
            return f" ({one_line(names[index])})"
        except ConfigError:  # an index without names
            return ""

    def _make_batches(self) -> Batches:
        count = len(self._sizes)
        order: Numbers = np.arange(count, dtype=number_type(count))
        if self._shuffle:
            order = shuffled(count, self._seed, self._epoch, "samples")
        sizes = self._sizes[order]
        oversized = sizes > self._limit
        usual = np.flatnonzero(~oversized if self._has_empty else ~oversized & (sizes > 0))
        sizes = sizes[usual]
        ends = np.cumsum(sizes)
        starts = _packed(ends, sizes, self._limit)
        stops = np.append(starts[1:], len(usual))[: len(starts)]
        filled = ends[stops - 1] - ends[starts] + sizes[starts]
        if len(starts) and self._is_dropped(int(filled[-1])):
            starts, stops, filled = starts[:-1], stops[:-1], filled[:-1]
        batches = Batches(order[usual], starts, stops)
        if self._has_oversized and oversized.any():
            batches = _with_singles(batches, order, usual, filled == self._limit, oversized)
        return batches

    def _is_dropped(self, filled: int) -> bool:
        """Tell whether a last batch of this size is left out; a full one is not."""
        is_saturated = filled == self._limit or filled / self._limit > self._saturation_factor
        return self._drop_last and not is_saturated


class BucketBatchSampler(SizedBatchSampler):
    """Batches of samples of similar sizes, so that little of a batch is padding.

    The samples are sorted by size, and cut into buckets of as many samples each. Each epoch
    shuffles the samples of each bucket, cuts the buckets one after the other into batches, and
    shuffles the batches. Ranks have batches of neighbouring sizes at the same step, so that none
    waits long for another.

    More than 8 arguments: four of them are those of all samplers of aisio.

    Args:
        data_source: A map-style dataset; see `DynamicBatchSampler`.
        batch_size: Number of samples of a batch; only the last of an epoch may have fewer. Or None,
            with `max_batch_size`.
        max_batch_size: Maximum size of a padded batch: its number of samples times the largest size
            in their bucket, in the unit of `sizes`. A batch then has the samples of one bucket, or
            of neighbouring ones.
        num_buckets: Number of buckets: with more of them there is less padding, and fewer samples
            among which those of a batch are chosen.
        shuffle: False gives all batches by ascending size, the same in each epoch.
        drop_last: Leave out the last batch, if it has fewer samples than `batch_size`.
        sizes: Sizes of the samples, such as their lengths: an array, or a function from an index to
            a size.
        seed: Chooses the orders, from 0; the same on all ranks.
        ranks: Which rank this is, as `aisio.Loader` takes it.
        equalize: "drop" leaves out fewer batches than there are ranks, others in each epoch, so
            that all ranks have as many; "pad" repeats as few. "none" does neither.

    Attributes:
        epoch: Number of the epoch, from 0; it counts by itself.

    Raises:
        ConfigError: An argument that cannot be right, sizes are not known, or a sample is larger
            than `max_batch_size`.
    """

    def __init__(
        self,
        data_source: Any,
        batch_size: int | None = None,
        *,
        max_batch_size: float | None = None,
        num_buckets: int = 100,
        shuffle: bool = True,
        drop_last: bool = False,
        sizes: Sizes | None = None,
        seed: int = 0,
        ranks: Ranks = "auto",
        equalize: Equalize = "drop",
    ) -> None:
        if (batch_size is None) == (max_batch_size is None):
            raise ConfigError(
                f"batch_size={batch_size!r}, max_batch_size={max_batch_size!r}: one of them is"
                " needed"
            )
        if drop_last and batch_size is None:
            raise ConfigError("drop_last=True leaves out a batch below batch_size=: there is none")
        self._batch_size = None if batch_size is None else whole_number("batch_size", batch_size, 1)
        self._limit = 0
        if max_batch_size is not None:
            self._limit = _checked_size("max_batch_size", max_batch_size)
        self._num_buckets = whole_number("num_buckets", num_buckets, 1)
        self._drop_last = bool(drop_last)
        super().__init__(
            data_source, sizes=sizes, shuffle=shuffle, seed=seed, ranks=ranks, equalize=equalize
        )
        largest = int(self._sizes.max(initial=0))
        if self._limit and largest > self._limit:
            raise ConfigError(
                f"<{type(self).__name__}> sample {int(self._sizes.argmax())} has the size"
                f" {largest:,}, and max_batch_size={self._limit:,}: leave it out of the dataset, or"
                " raise the limit"
            )

    def _rule(self) -> str:
        return f"{self._batch_size}, {self._limit}, {self._num_buckets}, {self._drop_last}"

    def _round_key(self) -> tuple[int | str, ...] | None:
        return (self._seed, self._epoch, "rounds") if self._shuffle else None

    @cached_property
    def _borders(self) -> list[int]:
        """Where the buckets begin among the samples by ascending size, and where the last ends."""
        count = len(self._sizes)
        buckets = min(self._num_buckets, count)
        return [count * bucket // buckets for bucket in range(buckets + 1)] if count else [0]

    def _make_batches(self) -> Batches:
        samples, borders = self._ascending(), self._borders
        largest = self._sizes[samples[np.array(borders[1:], np.int64) - 1]].tolist()
        if self._shuffle:
            for number, (start, stop) in enumerate(pairwise(borders)):
                order = shuffled(stop - start, self._seed, self._epoch, "bucket", number)
                samples[start:stop] = samples[start:stop][order]
        if self._batch_size is not None:
            starts = np.arange(0, len(samples), self._batch_size)
            if self._drop_last and len(samples) % self._batch_size:
                starts = starts[:-1]
            stops = np.minimum(starts + self._batch_size, len(samples))
        else:
            starts = _padded(borders, largest, self._limit)
            stops = np.append(starts[1:], len(samples))[: len(starts)]
        return Batches(samples, starts, stops)

    def _ascending(self) -> Numbers:
        """Return the samples by ascending size; equal ones in another order in each epoch."""
        if not self._shuffle:
            return _sorted_by(self._sizes)
        order = shuffled(len(self._sizes), self._seed, self._epoch, "samples")
        sorted_order: Numbers = order[_sorted_by(self._sizes[order])]
        return sorted_order


def _sorted_by(sizes: NDArray[np.int64]) -> Numbers:
    return np.argsort(sizes, kind="stable").astype(number_type(len(sizes)))


def _checked_size(name: str, value: float) -> int:
    """Return a limit of sizes as a whole number, as sizes are."""
    try:
        size = int(value)
    except (TypeError, ValueError, OverflowError):
        size = 0
    if isinstance(value, str) or size < 1:
        raise ConfigError(f"{name}={value!r}: a number of at least 1 is needed")
    return size


def _packed(ends: NDArray[np.int64], sizes: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return where batches begin: each has as many samples as fit.

    Args:
        ends: The sum of the sizes up to each sample and with it.
        sizes: The sizes, none of them above the limit.
        limit: What a batch may have in all.
    """
    limits = ends - sizes
    limits += limit
    following = np.searchsorted(ends, limits, side="right").data
    starts = array("q")
    start, count = 0, len(sizes)
    while start < count:
        starts.append(start)
        start = following[start]
    return np.array(starts, np.int64)


def _with_singles(
    batches: Batches,
    order: Numbers,
    usual: NDArray[np.int64],
    is_full: NDArray[np.bool_],
    oversized: NDArray[np.bool_],
) -> Batches:
    """Return the batches with each oversized sample as one of its own, where it was met.

    Args:
        batches: The others.
        order: All samples.
        usual: Where in that order the samples of the batches are.
        is_full: Of each batch, whether it has just as much as it may: it is given then, and
            otherwise when a sample is met that does not fit.
        oversized: Of each sample in that order, whether it is oversized.
    """
    singles = np.flatnonzero(oversized)
    next_usual = np.append(usual, len(order))[batches.stops]
    given_at = np.where(is_full, usual[batches.stops - 1], next_usual)
    at = np.argsort(np.concatenate([given_at, singles]), kind="stable")
    first_single = len(batches.samples) + np.arange(len(singles))
    return Batches(
        np.concatenate([batches.samples, order[singles]]),
        np.concatenate([batches.starts, first_single])[at],
        np.concatenate([batches.stops, first_single + 1])[at],
    )


def _padded(borders: list[int], largest: list[int], limit: int) -> NDArray[np.int64]:
    """Return where batches begin: each has as many samples as fit when they are padded.

    Args:
        borders: Where each bucket begins, and where the last ends.
        largest: The largest size in each bucket, ascending.
        limit: What a padded batch may have.
    """
    starts = array("q")
    start, bucket, count = 0, 0, borders[-1]
    while start < count:
        starts.append(start)
        stop = start
        while True:
            fitting = start + limit // max(1, largest[bucket])
            stop = max(stop, min(fitting, borders[bucket + 1]))
            if stop < borders[bucket + 1] or stop == count:
                break
            bucket += 1
        start = stop
    return np.array(starts, np.int64)
