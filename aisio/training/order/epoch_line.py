"""EpochLine: all samples in the order of an epoch, by packs; see `aisio.training.order.cut`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from aisio.training.order.permutation import Permutation, keyed_number

__all__ = ["EpochLine", "Line"]


class Line(ABC):
    """Samples in an order."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many there are."""

    @abstractmethod
    def __getitem__(self, position: int) -> int:
        """Return the number of the sample at a position."""

    def samples(self, start: int, stop: int) -> list[int]:
        """Return the numbers of the samples at positions [start, stop)."""
        return [self[position] for position in range(start, stop)]


class EpochLine(Line):
    """All samples, in the order of an epoch.

    Args:
        samples: How many there are.
        pack: How many neighbours are read together.
        seed: Chooses the order, together with the epoch.
        epoch: Number of the epoch.
        shuffle: False gives the samples by their numbers.
    """

    def __init__(
        self, samples: int, pack: int, seed: int, epoch: int, *, shuffle: bool = True
    ) -> None:
        self._samples = samples
        self._pack = pack
        self._shift = keyed_number(samples, seed, epoch, "shift") if shuffle and samples else 0
        packs = samples // pack
        self._packs = Permutation(packs, seed, epoch, "packs") if shuffle else range(packs)
        self._permuted = packs * pack

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, position: int) -> int:
        if position < self._permuted:
            pack, within = divmod(position, self._pack)
            position = self._packs[pack] * self._pack + within
        return (position + self._shift) % self._samples

    def samples(self, start: int, stop: int) -> list[int]:
        """See `Line.samples`; a whole pack costs as much as one sample."""
        found: list[int] = []
        while start < min(stop, self._permuted):
            pack, within = divmod(start, self._pack)
            end = min(stop, start - within + self._pack)
            first = self._packs[pack] * self._pack + self._shift + within
            found += range(first, first + end - start)
            start = end
        found += range(start + self._shift, stop + self._shift)
        count = self._samples
        return [number % count for number in found]
