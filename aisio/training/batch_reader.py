"""Reads the batches of one rank with torch's DataLoader, from any batch on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aisio.extras import missing_extra
from aisio.training.order import Cut, Topology
from aisio.training.permutation import keyed_number
from aisio.training.position import Position

try:
    import torch
    from torch.utils.data import DataLoader
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["BatchReader", "Reading", "Share"]

_OF_A_DEAD_WORKER = (RuntimeError, ConnectionError, EOFError)


@dataclass(frozen=True)
class Share:
    """What a rank reads of an epoch from a position on; two are equal if the same batches come.

    Attributes:
        position: Where the job stands.
        topology: Among whom the epoch is shared out.
        rank: Which of them reads.
        cut: How it is shared out.
        received: How many batches of the cut the rank has received.
    """

    position: Position
    topology: Topology
    rank: int
    cut: Cut = field(compare=False)
    received: int = field(compare=False)

    @property
    def count(self) -> int:
        """Number of the rank's batches in the cut, with those that were received."""
        return self.cut.batches_of_rank(self.rank)


@dataclass
class Reading:
    """Batches of a share that are being read.

    Attributes:
        share: What is read.
        batches: The batches that follow those that were received.
        received: How many batches the rank has received, in all.
    """

    share: Share
    batches: Iterator[Any]
    received: int


class BatchReader:
    """A DataLoader that reads one share after the other, and is made anew where its workers died.

    A copy, or one that was pickled, has what this was made from, and reads nothing yet.

    Args:
        dataset: A map-style dataset.
        options: For the DataLoader, without those that say which samples it reads.
    """

    def __init__(self, dataset: Any, options: Mapping[str, Any]) -> None:
        self._dataset = dataset
        self._options = options
        self._ahead: Reading | None = None
        self._make_loader()

    def __reduce__(self) -> tuple[type[BatchReader], tuple[Any, Mapping[str, Any]]]:
        return type(self), (self._dataset, self._options)

    def open(self, share: Share) -> Reading:
        """Begin to read, or go on with what was prefetched if it is of this share."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.share == share:
            return ahead
        del ahead  # ends its workers before others are started
        self._batches.set(share)
        position = share.position
        batches = (segment.batches for segment in position.segments)
        self._generator.manual_seed(
            keyed_number(1 << 63, position.seed, position.epoch, share.rank, "workers", *batches)
        )
        return Reading(share, iter(self._loader), share.received)

    def prefetch(self, share: Share) -> None:
        """Have the workers begin to read a share, for the next `open`."""
        self._ahead = self.open(share)

    def recover(self, error: BaseException) -> None:
        """Make the DataLoader anew if an error may mean that its workers have ended.

        A worker that was killed shows as a RuntimeError, or as a lost connection where it was just
        sending a batch. A KeyboardInterrupt ends all workers.
        """
        if isinstance(error, _OF_A_DEAD_WORKER) or not isinstance(error, Exception):
            self._make_loader()

    def _make_loader(self) -> None:
        self._batches = _Batches()
        self._generator = torch.Generator()
        self._loader = DataLoader(
            self._dataset,
            batch_sampler=self._batches,
            generator=self._generator,
            **self._options,
        )


class _Batches:
    """The batch sampler of the DataLoader: indices, batch for batch."""

    def __init__(self) -> None:
        self._share: Share | None = None

    def set(self, share: Share) -> None:
        """Say what the next iteration reads."""
        self._share = share

    def __iter__(self) -> Iterator[list[int]]:
        share = self._share
        assert share is not None
        return (share.cut.batch(share.rank, number) for number in self._numbers(share))

    def __len__(self) -> int:
        return len(self._numbers(self._share)) if self._share is not None else 0

    @staticmethod
    def _numbers(share: Share) -> range:
        return range(share.received, share.count)
