"""Reads the batches of a Loader's worker by packs: samples that are neighbours, by one request.

A worker is sent the numbers of its batches alone, and computes which samples they have
(`aisio.training.order.cut`). It reads these ahead in the order in which it will be asked for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from aisio.shards.index import ShardIndex
from aisio.shards.sample_reader import SampleReader
from aisio.shards.sample_runs import SampleRun
from aisio.shards.samples import Sample
from aisio.training.order.cut import Cut, Topology
from aisio.training.order.position import Position
from aisio.training.order.sample_filter import SampleFilter
from aisio.training.workers.window_reader import WindowReader

__all__ = [
    "LEAST_PACKS",
    "PACK_BYTES",
    "PackBatches",
    "PackDataset",
    "PackRequest",
    "PackShare",
    "PackSizes",
    "windows_of",
]

PACK_BYTES = 1 << 20
"""What neighbouring samples that are read together have, at the mean: see `sample_runs`."""

LEAST_PACKS = 256
"""A small data set has smaller packs, or few packs would change places."""

_MAX_WINDOW_SAMPLES = 1 << 14
"""More small samples than this need not be mixed, and computing their order would take a while."""


class PackDataset(Protocol):
    """A dataset whose samples are read by packs."""

    @property
    def sample_reader(self) -> SampleReader:
        """Reads the samples."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def take_items(self, samples: WindowReader[SampleRun, Sample], count: int) -> list[Any]:
        """Take samples from a reader, and return the dataset's items of them."""


class PackSizes(NamedTuple):
    """How many samples are read together, and how many are mixed.

    Attributes:
        pack: Number of samples of a pack.
        window: Number of samples of a window.
    """

    pack: int
    window: int

    @classmethod
    def of(
        cls,
        index: ShardIndex,
        window_bytes: int,
        *,
        pack_bytes: int = PACK_BYTES,
        least_packs: int = LEAST_PACKS,
    ) -> PackSizes:
        """Return the sizes for the samples of an index.

        A shard that cannot be read by ranges is read whole for each pack that has samples of it: a
        pack is then as large as the largest of them, which is read about twice in an epoch.

        Args:
            index: The index.
            window_bytes: How many bytes a worker mixes, at the mean.
            pack_bytes: How many bytes a pack has, at the mean.
            least_packs: How many packs there are at least, which are then smaller.
        """
        whole = max((shard.samples for shard in index.shards if not shard.is_ranged), default=1)
        mean_bytes = index.mean_sample_bytes or 1.0
        pack = max(whole, min(round(pack_bytes / mean_bytes), len(index) // least_packs), 1)
        window = min(int(window_bytes / mean_bytes), _MAX_WINDOW_SAMPLES)
        return cls(pack, max(1, window // pack) * pack)


@dataclass(frozen=True)
class PackShare:
    """What a worker needs to know to compute its batches.

    Attributes:
        iteration: Another number in each iteration.
        position: Where the job stood when the iteration began.
        topology: Among whom the epoch is shared out.
        rank: Which rank this is.
        stride: How many batches after one of a worker its next one comes.
    """

    iteration: int
    position: Position
    topology: Topology
    rank: int
    stride: int


class PackRequest(NamedTuple):
    """What the batch sampler sends to a worker, in place of a batch's indices.

    Attributes:
        share: What the iteration reads.
        number: Number of the batch.
    """

    share: PackShare
    number: int


def windows_of(cut: Cut, share: PackShare, number: int) -> Iterator[list[int]]:
    """Yield what a worker reads at a time, from one of its batches on.

    Without shuffling a window is as many of the worker's batches as a pack has samples.

    Args:
        cut: The cut of the share.
        share: What is read.
        number: Number of the batch.
    """
    size = share.topology.batch_size
    if share.position.shuffle:
        worker = number % share.topology.workers
        window, given = divmod(cut.span(share.rank, number)[0], share.topology.window)
        while samples := cut.window(share.rank, worker, window):
            yield samples[given:]
            window, given = window + 1, 0
        return
    batches = range(number, cut.batches_of_rank(share.rank), share.stride)
    at_once = -(-share.position.pack // size)
    for first in range(0, len(batches), at_once):
        group = batches[first : first + at_once]
        yield [sample for batch in group for sample in cut.batch(share.rank, batch)]


class PackBatches:
    """A dataset in place of a `PackDataset`: by a `PackRequest`, the items of a batch.

    Each worker has one. Batches of an iteration are read ahead in the order in which the worker is
    asked for them; any other request begins anew.

    Args:
        dataset: The dataset.
        samples: Which of its samples are shared out.

    Attributes:
        dataset: The dataset.
    """

    def __init__(self, dataset: PackDataset, samples: SampleFilter) -> None:
        self.dataset = dataset
        self._samples = samples
        self._reader: WindowReader[SampleRun, Sample] | None = None
        self._next: PackRequest | None = None
        self._cut: Cut | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_reader": None, "_next": None, "_cut": None}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, request: PackRequest) -> list[Any]:
        """Return the items of a batch."""
        share = request.share
        try:
            if self._reader is None or self._cut is None or request != self._next:
                self._end()
                self._cut, _ = share.position.cut(share.topology)
                self._reader = self._reader_from(request, self._cut)
            start, stop = self._cut.span(share.rank, request.number)
            items = self.dataset.take_items(self._reader, stop - start)
        except BaseException:
            self._end()
            raise
        self._next = request._replace(number=request.number + share.stride)
        return items

    def end(self, share: PackShare) -> None:
        """Cut the requests in flight, and drop what was read, if it is of this share."""
        if self._next is not None and self._next.share is share:
            self._end()

    def _reader_from(self, request: PackRequest, cut: Cut) -> WindowReader[SampleRun, Sample]:
        share, dataset = request.share, self.dataset
        return WindowReader(
            map(self._samples.indices, windows_of(cut, share, request.number)),
            plan=dataset.sample_reader.plan,
            numbers_of=lambda run: run.numbers,
            fetch=dataset.sample_reader.read_runs,
        )

    def _end(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
