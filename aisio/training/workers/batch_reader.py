"""Reads the batches of one rank with torch's DataLoader, from any batch on."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, cast

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.freed_memory import keep_freed_memory
from aisio.training.order.cut import Cut, Topology
from aisio.training.order.permutation import keyed_number
from aisio.training.order.position import Position
from aisio.training.order.sample_filter import SampleFilter
from aisio.training.workers.batch_maker import BatchMaker, BatchRequest, as_it_is
from aisio.training.workers.pack_reading import PackBatches, PackRequest, PackShare
from aisio.training.workers.slabs import Slabs, TransportStats

try:
    import torch
    from torch.utils.data import DataLoader
except ImportError as error:
    raise missing_extra("torch", "torch") from error
with suppress(ImportError):
    # torch seeds it in each worker, and a forked worker would import it anew each time.
    import numpy.random  # noqa: F401

__all__ = ["BatchReader", "Reading", "Share"]

KEPT_BATCHES = 8
"""How many batches a trainer may keep, with those in its hands, while others travel in slots."""

_PREFETCH_FACTOR = 2
"""torch's default."""

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

    @property
    def received_before(self) -> int:
        """How many batches each rank had received of the epoch before this cut."""
        start, _ = self.position.start_of(self.topology)
        return sum(segment.batches for segment in start.segments)

    def check_batches(self) -> None:
        """Refuse an epoch without a batch, or one that cannot be made equal as was asked.

        What a restart left of an epoch may be as little as it likes; but with "shrink" a rank that
        waits for the others in each step would wait for ever.

        Raises:
            ConfigError: There are too few samples, or `batch_size` is too large or too small.
        """
        topology, samples = self.topology, len(self.cut.line)
        if topology.equalize == "drop" and not (self.count or self.position.segments):
            raise ConfigError(
                f"{samples} samples make no batch of {topology.batch_size} for each of"
                f" {topology.ranks} ranks: use a smaller batch_size, or equalize='pad'"
            )
        last = self.cut.batches_of_rank(topology.ranks - 1)  # no rank has fewer
        if topology.equalize == "shrink" and last < self.cut.batches_of_rank(0):
            left = " that are left of the epoch" if self.position.segments else ""
            raise ConfigError(
                f"{samples} samples{left} make no batches of at most {topology.batch_size}, as many"
                f" for each of {topology.ranks} ranks: use a batch_size of at least 2 and no more"
                " ranks than samples, or equalize='pad' or 'none'"
            )


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
        dataset: A map-style dataset, or `PackBatches`.
        options: For the DataLoader, without those that say which samples it reads.
        samples: Which samples of the dataset are shared out; all of them if None.
        copy: Copy tensors and arrays of a batch out of the memory that they came in.

    Attributes:
        options: As given.
        samples: Which samples of the dataset are shared out.
        stats: How batches came from the workers.
    """

    def __init__(
        self,
        dataset: Any,
        options: Mapping[str, Any],
        samples: SampleFilter | None = None,
        *,
        copy: bool = False,
    ) -> None:
        self._dataset = dataset
        self.samples = samples or SampleFilter(dataset)
        self.options = options
        self._copy = copy
        self._ahead: Reading | None = None
        self._iterations = 0
        self._persistent_slabs: Slabs | None = None
        self.stats = TransportStats()
        keep_freed_memory()
        self._make_loader()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), copy=self._copy), (self._dataset, self.options, self.samples)

    def open(self, share: Share) -> Reading:
        """Begin to read, or go on with what was prefetched if it is of this share."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.share == share:
            return ahead
        del ahead  # ends its workers before others are started
        position = share.position
        received = (segment.batches for segment in position.segments)
        generator: torch.Generator = self._loader.generator
        generator.manual_seed(
            keyed_number(1 << 63, position.seed, position.epoch, share.rank, "workers", *received)
        )
        slabs = self._persistent_slabs or self._new_slabs()
        packs = self._pack_share(share)
        self._requests.set(share, slabs, packs)
        self._maker.file = slabs.file if slabs else None
        batches = self._batches()
        if packs is not None and not self._loader.num_workers:
            batches = _in_this_process(batches, self._dataset, packs)
        self._maker.file = None  # the workers have it: it is freed with the last batch
        self._requests.set(share, None, None)
        if self._loader.persistent_workers:
            self._persistent_slabs = slabs
        return Reading(share, _Received(batches, slabs, self.stats), share.received)

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
        options = dict(self.options)
        self._maker = BatchMaker(
            self._dataset, options.pop("collate_fn", None), options.pop("worker_init_fn", None)
        )
        self._persistent_slabs = None
        self._requests = _Requests(self.samples)
        self._loader: DataLoader[Any] = DataLoader(
            cast("Any", self._maker),
            batch_sampler=cast("Any", self._requests),
            generator=torch.Generator(),
            collate_fn=as_it_is,
            worker_init_fn=self._maker.start_worker,
            **options,
        )

    def _batches(self) -> Iterator[Any]:
        if not self._loader.num_workers and not self._loader.pin_memory:
            # torch's own iterator costs 50 us a batch: it records each for its profiler.
            return map(self._maker.__getitems__, self._requests)
        with _default_device_of_the_generator():
            return iter(self._loader)

    def _pack_share(self, share: Share) -> PackShare | None:
        """Return what workers need to know to compute their batches; None if they get indices."""
        if not isinstance(self._dataset, PackBatches):
            return None
        self._iterations += 1
        stride = max(1, self._loader.num_workers)
        return PackShare(self._iterations, share.position, share.topology, share.rank, stride)

    def _new_slabs(self) -> Slabs | None:
        """Return memory for workers that are about to be started.

        Others have ended or are about to, and may still write to theirs.
        """
        workers = self._loader.num_workers
        if not workers:
            return None
        ahead = self._loader.prefetch_factor or _PREFETCH_FACTOR
        return Slabs(workers * ahead + KEPT_BATCHES, self.stats, copy=self._copy)


def _default_device_of_the_generator() -> AbstractContextManager[Any]:
    """Have torch's default device be the CPU, if it is not.

    Only then: a worker that is forked within `torch.device()` never leaves it, and each call of
    torch takes about 1 us more there.
    """
    return nullcontext() if torch.empty(()).is_cpu else torch.device("cpu")


def _in_this_process(
    batches: Iterator[Any], dataset: PackBatches, packs: PackShare
) -> Iterator[Any]:
    """Yield batches; what was read ahead is dropped with the iterator, as workers would end."""
    try:
        yield from batches
    finally:
        dataset.end(packs)


class _Received(Iterator[Any]):
    """The batches of a DataLoader, out of the memory that they came in."""

    def __init__(self, batches: Iterator[Any], slabs: Slabs | None, stats: TransportStats) -> None:
        self._batches = batches
        self._slabs = slabs
        self._stats = stats

    def __next__(self) -> Any:
        started = perf_counter()
        try:
            batch = next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            if self._slabs is not None:
                self._end_workers(error)
            raise
        self._stats.wait_for_workers_s += perf_counter() - started
        return batch if self._slabs is None else self._slabs.receive(batch)

    def _end_workers(self, error: Exception) -> None:
        """End the workers now; the program may keep the error, and with it all that it refers to.

        torch raises an error of a worker in a function that has it as a local variable, so the
        error leads to itself, and to the iterator. A garbage collection closes the queues to the
        workers before it ends these, and torch waits five seconds for each.
        """
        traceback.clear_frames(error.__traceback__)
        self._batches = iter(())


class _Requests:
    """The batch sampler of the DataLoader: what to ask a worker for, batch for batch."""

    def __init__(self, samples: SampleFilter) -> None:
        self._samples = samples
        self._share: Share | None = None
        self._slabs: Slabs | None = None
        self._packs: PackShare | None = None

    def set(self, share: Share, slabs: Slabs | None, packs: PackShare | None) -> None:
        """Say what the next iteration reads, what its batches travel in, and who computes them."""
        self._share = share
        self._slabs = slabs
        self._packs = packs

    def __iter__(self) -> Iterator[BatchRequest]:
        assert self._share is not None
        return self._requests(self._share, self._slabs, self._packs)

    def __len__(self) -> int:
        return self._share.count - self._share.received if self._share is not None else 0

    def _requests(
        self, share: Share, slabs: Slabs | None, packs: PackShare | None
    ) -> Iterator[BatchRequest]:
        """Yield requests; the first is asked for when persistent workers have ended older ones."""
        if slabs is not None:
            slabs.reclaim()
        for number in range(share.received, share.count):
            wanted: list[int] | PackRequest
            if packs is not None:
                wanted = PackRequest(packs, number)
            else:
                wanted = self._samples.indices(share.cut.batch(share.rank, number))
            yield BatchRequest(number, wanted, slabs.lend() if slabs is not None else None)
