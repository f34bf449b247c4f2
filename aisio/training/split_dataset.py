"""Which part of the job this process does: what datasets that split themselves have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.source_set import SourceSet
from aisio.training.epoch_stats import Tally
from aisio.training.progress import with_progress
from aisio.training.ranks import world_from_environ
from aisio.training.split import Place

try:
    from torch import distributed
    from torch.utils.data import get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error

T = TypeVar("T")

Split: TypeAlias = Literal["rank+worker", "worker", "none"]
"""Over what a dataset is split: ranks and their workers; the workers of each rank, where each rank
is to read all; or nothing, where each worker is to read all."""

_log = logging.getLogger("aisio.placing")


class SplitDataset:
    """A dataset that knows rank and worker at the time of asking, and takes its share of sources.

    Classes set `_sources`, `_by_source` (workers take whole sources), `_tally`, `_split` and, where
    the user said it, `_length`.
    """

    _sources: SourceSet
    _by_source: bool
    _tally: Tally
    _split: Split = "rank+worker"
    _length: int | None = None
    _rank_before_pickling: tuple[int, int] | None = None
    _known_counts: dict[Place, int] | None = None
    _told_idle = False
    _told_doubt = False

    def stats(self) -> dict[str, Any]:
        """Return where the time of all epochs so far went, of all workers."""
        return self._tally.sums()

    def __bool__(self) -> bool:
        # Without it, `if dataset:` would ask for the length.
        return True

    def __len__(self) -> int:
        """Return `length=`.

        Raises:
            TypeError: None was given.
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
        """Count what this rank yields, all its workers together, or each with split="none".

        It is counted once for each rank and number of ranks.
        """
        return self._count_once(self._place().of_rank)

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
        whole, workers = self._place().of_rank, max(1, num_workers)
        shares = [Place(whole.rank, whole.ranks, worker, workers) for worker in range(workers)]
        if self._split == "none":
            shares = [whole] * workers
        spare = 0 if drop_last else batch_size - 1
        return sum((self._count_once(share) + spare) // batch_size for share in shares)

    def _count_once(self, place: Place) -> int:
        if self._known_counts is None:
            self._known_counts = {}
        if place not in self._known_counts:
            self._known_counts[place] = self._count(place)
        return self._known_counts[place]

    def _count(self, place: Place) -> int:
        """Count what a place yields."""
        return sum(1 for _ in self._share(place))

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker has no process group and perhaps no RANK: it takes the rank of whoever
        # sent it. A sender that knows none, as a driver that starts the ranks, leaves it to them.
        known = self._known_rank()
        return self.__dict__ | {"_rank_before_pickling": known, "_known_counts": None}

    def _known_rank(self) -> tuple[int, int] | None:
        if _has_group() or self._rank_before_pickling is not None:
            return self._rank()
        try:
            world = world_from_environ()
        except ConfigError:  # raised by whoever reads without knowing better
            return None
        return (world.rank, world.ranks) if world.is_said else None

    def _rank(self) -> tuple[int, int]:
        if _has_group():
            return distributed.get_rank(), distributed.get_world_size()
        if self._rank_before_pickling is not None:
            return self._rank_before_pickling
        world = world_from_environ()
        if world.doubt and not self._told_doubt and not current_worker():
            self._told_doubt = True
            _log.warning("<%s> reads as the only rank: %s", type(self).__name__, world.doubt)
        return world.rank, world.ranks

    def _place(self) -> Place:
        rank, ranks = self._rank() if self._split == "rank+worker" else (0, 1)
        worker = get_worker_info()
        if worker is None or self._split == "none":
            return Place(rank, ranks)
        return Place(rank, ranks, worker.id, worker.num_workers)

    def _share(self, place: Place) -> Iterator[tuple[Source, ObjectInfo]]:
        """List what this place reads."""
        if not self._by_source:
            return place.take(self._sources.list(quiet=place.worker != 0))
        own = range(place.worker, len(self._sources), place.workers)
        return chain.from_iterable(self._of_rank(place, source) for source in own)

    def _of_rank(self, place: Place, source: int) -> Iterator[tuple[Source, ObjectInfo]]:
        # Each source begins with another rank, or many small ones would all go to the first.
        turned = Place((place.rank - source) % place.ranks, place.ranks)
        return turned.take(self._sources.list(slice(source, source + 1)))

    def _counted(self, items: Iterator[T], *, unit: str, show: bool) -> Iterator[T]:
        """Yield the items of an epoch, counted for `stats()`, and on a terminal if asked for."""
        if get_worker_info() is None:
            self._tally.part()
        worker = current_worker()
        title = f"{type(self).__name__} (Worker {worker})"
        shown = with_progress(items, show=show, title=title, unit=unit, position=worker)
        return self._tally.count(shown, worker)

    def _mine(self, place: Place, unit: str) -> Iterator[tuple[Source, ObjectInfo]]:
        """List what this place reads; of a rank's places the last one tells if it has nothing."""
        has_some = False
        for listed in self._share(place):
            has_some = True
            yield listed
        is_last = place.worker == place.workers - 1 and place.ranks * place.workers > 1
        if is_last and not (has_some or self._told_idle):
            self._told_idle = True
            _log.warning(
                "<%s> worker %d of rank %d has nothing to read: "
                "too few %s for %d ranks x %d workers",
                type(self).__name__,
                place.worker,
                place.rank,
                "sources" if self._by_source else f"{unit}s",
                place.ranks,
                place.workers,
            )


def check_length(length: int | None) -> int | None:
    """Return a length that the user has said.

    Raises:
        ConfigError: It is below 0.
    """
    if length is not None and length < 0:
        raise ConfigError(f"length={length}: 0 or more is needed")
    return length


def check_split(split: Split) -> Split:
    """Return what to split over.

    Raises:
        ConfigError: It is none of these.
    """
    if split not in get_args(Split):
        raise ConfigError(f'split={split!r}: "rank+worker", "worker" or "none" is needed')
    return split


def current_worker() -> int:
    """Return the number of this DataLoader worker; 0 in a process that is none."""
    worker = get_worker_info()
    return worker.id if worker is not None else 0


def _has_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()
