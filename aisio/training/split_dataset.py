"""SplitDataset: the base of the datasets that read only this process's share of their sources."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from copy import copy
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.freed_memory import keep_freed_memory
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.source_set import SourceSet
from aisio.summary import Summarized
from aisio.training.epoch_stats import EpochStats
from aisio.training.iter_pipeline import IterWords
from aisio.training.listing.shared_listing import WHOLE, SharedListing
from aisio.training.loader_ranks import LoaderRanks
from aisio.training.order.permutation import Permutation
from aisio.training.process_rank import current_worker
from aisio.training.progress import with_progress
from aisio.training.split import Partition, equal_count, equal_rounds
from aisio.training.split_options import SplitOptions
from aisio.training.whole_number import whole_number

try:
    from torch.utils.data import get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error
if TYPE_CHECKING:
    from typing_extensions import Self

    from aisio.training.shared_epoch import SharedEpoch

__all__ = ["ListedObject", "SplitDataset"]

T = TypeVar("T")

ListedObject: TypeAlias = "tuple[Source, ObjectInfo]"
"""An object of a listing, with its source."""

_log = logging.getLogger("aisio.placing")


class SplitDataset(Summarized, IterWords):
    """Stores the options that all such datasets have, and lists the share of this rank and worker.

    Rank and worker are looked up when an iteration starts.

    More than 10 attributes: six are the options that all datasets share.

    `IterWords` has what may be done to its items.

    Args:
        sources: What all processes together read.
        etl_name: Have the cluster transform each object by this ETL; None for none.
        show_progress: Count on stderr, if that is a terminal, what each worker reads.
        by_source: Give each worker whole sources, instead of every n-th object.
        length: What `len()` returns; None for no length.
        options: What divides the dataset.

    Attributes:
        LISTED: What is listed, in the singular.
        YIELDED: What is yielded, in the singular.

    Raises:
        ConfigError: `length` is no whole number from 0 on, or `ranks` is none of what it may be.
    """

    LISTED: ClassVar[str] = "object"
    YIELDED: ClassVar[str] = "object"

    def __init__(
        self,
        sources: SourceSet,
        *,
        etl_name: str | None,
        show_progress: bool,
        by_source: bool,
        length: int | None,
        options: SplitOptions,
    ) -> None:
        super().__init__()
        keep_freed_memory()
        self._sources = sources
        self._listing = SharedListing(sources)
        self._etl_name = etl_name
        self._show_progress = show_progress
        self._by_source = by_source
        self._length = None if length is None else whole_number("length", length, 0)
        self._split = options.split
        self._equalize = options.equalize
        self._ranks = LoaderRanks(options.ranks, type(self).__name__)
        self._epoch_stats = EpochStats(type(self).__name__, self.YIELDED)
        self._counts: dict[Partition, int] = {}
        self._warned_idle = False
        self._share_order: tuple[int, int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_counts": {}}

    def __repr__(self) -> str:
        count = self._summary().get(f"{self.LISTED}s")
        known = f" of {count} {self.LISTED}s" if count else ""
        return f"<{type(self).__name__}{known}: {self._sources.summary}>"

    def _summary(self) -> Mapping[str, object]:
        summary: dict[str, object] = {"source": self._sources.summary}
        table = self._listing.known()
        if table is not None:
            summary[f"{self.LISTED}s"] = f"{len(table):,}"
        summary |= {"ETL": self._etl_name, "split": self._split, "equalize": self._equalize}
        return {name: value for name, value in summary.items() if value}

    def stats(self) -> dict[str, Any]:
        """Return where the time of all epochs so far went, of all workers."""
        return self._epoch_stats.totals()

    def __bool__(self) -> bool:
        # Without it, `if dataset:` would call __len__.
        return True

    def __len__(self) -> int:
        """Return `length=`.

        Raises:
            TypeError: There is none.
        """
        if self._length is None:
            # A DataLoader would divide it by the batch size, as if one worker made all batches, and
            # trainers would stop there. On a TypeError they read to the end, as list() and tqdm do.
            raise TypeError(
                f"<{type(self).__name__}> has no length, as the number of batches depends on the "
                f"workers of a DataLoader: use count() or count_batches(), or pass length="
            )
        return self._length

    def count(self) -> int:
        """Count what this rank yields: all its workers together, or each with split="none".

        The result is kept for each rank and number of ranks.
        """
        return self._count_once(self.partition().whole_rank)

    def count_batches(
        self, batch_size: int, *, num_workers: int = 0, drop_last: bool = False
    ) -> int:
        """Count the batches that a DataLoader with these arguments makes of this rank's share.

        Raises:
            ConfigError: batch_size is below 1, or num_workers below 0.
        """
        if batch_size < 1 or num_workers < 0:
            raise ConfigError(
                f"batch_size={batch_size}, num_workers={num_workers}: at least 1 and 0 are needed"
            )
        whole, workers = self.partition().whole_rank, max(1, num_workers)
        shares = [Partition(whole.rank, whole.ranks, worker, workers) for worker in range(workers)]
        if self._split == "none":
            shares = [whole] * workers
        spare = 0 if drop_last else batch_size - 1
        return sum((self._count_once(share) + spare) // batch_size for share in shares)

    def relist(self) -> None:
        """Have the next iteration, or count, list the sources again, for objects that are new.

        The listing is otherwise taken once. Call it between epochs, on every rank. The workers of a
        DataLoader that has begun with `persistent_workers=True` go on with the listing they have.

        Raises:
            ConfigError: This is a DataLoader's worker: the others would not know of it.
        """
        if get_worker_info() is not None:
            raise ConfigError(
                f"<{type(self).__name__}> relist() in a DataLoader's worker: call it in the process"
                " that has the DataLoader"
            )
        self._listing = self._listing.anew()
        self._counts = {}

    def _count_once(self, partition: Partition) -> int:
        if partition not in self._counts:
            self._counts[partition] = self._count(partition)
        return self._counts[partition]

    def _count(self, partition: Partition) -> int:
        """Count what a partition yields."""
        return sum(1 for _ in self._list_share(partition))

    @property
    def shuffles(self) -> str:
        """See `PipelineSource`."""
        return ""

    @property
    def shared_epoch(self) -> SharedEpoch | None:
        """See `PipelineSource`."""
        return None

    def at_epoch(self, epoch: int, seed: int | None) -> Self:
        """See `PipelineSource`."""
        if seed is None:
            return self
        one = copy(self)
        one._share_order = seed, epoch
        return one

    def partition(self) -> Partition:
        """See `PipelineSource`: the partition of this process, as it is now."""
        rank, ranks = self._ranks.current()
        worker = get_worker_info()
        if worker is None or self._split == "none":
            return Partition(rank, ranks)
        return Partition(rank, ranks, worker.id, worker.num_workers)

    def _list_share(self, partition: Partition) -> Iterator[ListedObject]:
        """List what a partition reads, in the order in which it does."""
        if self._share_order is None:
            return self._list_in_order(partition)
        return self._list_shuffled(partition, *self._share_order)

    def _list_shuffled(self, partition: Partition, seed: int, epoch: int) -> Iterator[ListedObject]:
        """List what a partition reads in a random order; the listing must be complete for it."""
        key = (seed, epoch, "share", partition.first)
        if self._by_source:
            listed = list(self._list_in_order(partition))
            return map(listed.__getitem__, Permutation(len(listed), *key))
        table = self._listing.table()
        count = equal_count(len(table), partition.ranks, self._equalize)
        positions = range(partition.first, count, partition.step)
        order = Permutation(len(positions), *key)
        return (table[positions[index] % len(table)] for index in order)

    def _list_in_order(self, partition: Partition) -> Iterator[ListedObject]:
        """List what a partition reads, in the order of the listing."""
        ranks, equalize = partition.ranks, self._equalize
        if not self._by_source:
            if equalize == "none":
                return self._listing.rows(WHOLE, partition.first, partition.step)
            return self._equal_share(partition)
        own = range(partition.worker, len(self._sources), partition.workers)
        if equalize == "none":
            return chain.from_iterable(self._list_source(partition, number) for number in own)
        listed = chain.from_iterable(self._listing.rows(number + 1) for number in own)
        return partition.whole_rank.take(equal_rounds(listed, ranks, equalize))

    def _equal_share(self, partition: Partition) -> Iterator[ListedObject]:
        """List what a partition reads of the whole listing, which must be complete for that."""
        table = self._listing.table()
        count = equal_count(len(table), partition.ranks, self._equalize)
        positions = range(partition.first, count, partition.step)
        return (table[position % len(table)] for position in positions)

    def _list_source(self, partition: Partition, number: int) -> Iterator[ListedObject]:
        """List the share of a whole rank in one source."""
        # Each source begins with another rank, or many small ones would all go to the first.
        rotated = Partition((partition.rank - number) % partition.ranks, partition.ranks)
        return self._listing.rows(number + 1, rotated.first, rotated.step)

    def _my_share(
        self,
        partition: Partition,
        list_share: Callable[[Partition], Iterator[ListedObject]] | None = None,
    ) -> Iterator[ListedObject]:
        """List what this process reads; the last worker of a rank warns if it has nothing.

        Args:
            partition: Rank and worker of this process.
            list_share: Lists what a partition reads; by default `_list_share`.
        """
        is_empty = True
        for listed in (list_share or self._list_share)(partition):
            is_empty = False
            yield listed
        is_last = partition.worker == partition.workers - 1
        is_alone = partition.ranks * partition.workers == 1
        if is_empty and is_last and not is_alone and not self._warned_idle:
            self._warned_idle = True
            _log.warning(
                "<%s> worker %d of rank %d has nothing to read: "
                "too few %s for %d ranks x %d workers",
                type(self).__name__,
                partition.worker,
                partition.rank,
                "sources" if self._by_source else f"{self.LISTED}s",
                partition.ranks,
                partition.workers,
            )

    def _counted(
        self, items: Iterator[T], skipped: Callable[[], int] = lambda: 0
    ) -> Generator[T, None, None]:
        """Yield the items of an epoch, counted for `stats()` and in a progress bar.

        Args:
            items: The items.
            skipped: Returns how many were skipped.
        """
        if get_worker_info() is None:
            self._epoch_stats.detach()
        worker = current_worker()
        shown = with_progress(
            items,
            show=self._show_progress,
            title=f"{type(self).__name__} (Worker {worker})",
            unit=self.YIELDED,
            position=worker,
        )
        return self._epoch_stats.count_epoch(shown, worker, skipped)
