"""Which part of the job this process does: what datasets that split themselves have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any, TypeVar

from aisio.config import is_set, world_from_environ
from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.progress import with_progress
from aisio.records import ObjectInfo
from aisio.sources import Source, SourceSet
from aisio.split import Place
from aisio.tally import Tally

try:
    from torch import distributed
    from torch.utils.data import get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Splitting:
    """A dataset that knows rank and worker at the time of asking, and takes its share of sources.

    Classes set `_sources`, `_by_source` (workers take whole sources), `_tally` and, where the user
    said it, `_length`.
    """

    _sources: SourceSet
    _by_source: bool
    _tally: Tally
    _length: int | None = None
    _rank_before_pickling: tuple[int, int] | None = None
    _known_count: tuple[Place, int] | None = None
    _told_idle = False

    def stats(self) -> dict[str, Any]:
        """Return where the time of all epochs so far went, of all workers; see `aisio.tally`."""
        return self._tally.sums()

    def __bool__(self) -> bool:
        # Without it, `if dataset:` would ask for the length, and read for it.
        return True

    def __len__(self) -> int:
        """Return how many samples this rank yields, all its workers together.

        Without `length=` they are counted, once for each rank and number of ranks.
        """
        if self._length is not None:
            return self._length
        place = self._place().of_rank
        if self._known_count is None or self._known_count[0] != place:
            self._known_count = place, self._count(place)
        return self._known_count[1]

    def _count(self, place: Place) -> int:
        """Count what a place yields."""
        return sum(1 for _ in self._share(place))

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker has no process group and perhaps no RANK: it takes the rank of whoever
        # sent it. A sender that knows none, as a driver that starts the ranks, leaves it to them.
        known = self._rank() if self._knows_rank() else None
        return self.__dict__ | {"_rank_before_pickling": known, "_known_count": None}

    def _knows_rank(self) -> bool:
        return _has_group() or self._rank_before_pickling is not None or is_set("WORLD_SIZE")

    def _rank(self) -> tuple[int, int]:
        if _has_group():
            return distributed.get_rank(), distributed.get_world_size()
        return self._rank_before_pickling or world_from_environ()

    def _place(self) -> Place:
        worker = get_worker_info()
        if worker is None:
            return Place(*self._rank())
        return Place(*self._rank(), worker.id, worker.num_workers)

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

    def _counted(self, items: Iterator[T], place: Place, *, unit: str, show: bool) -> Iterator[T]:
        """Yield the items of an epoch, counted for `stats()`, and on a terminal if asked for."""
        if get_worker_info() is None:
            self._tally.part()
        title, position = self._title(place), place.worker
        shown = with_progress(items, show=show, title=title, unit=unit, position=position)
        return self._tally.count(shown, place.worker)

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

    def _title(self, place: Place) -> str:
        return f"{type(self).__name__} (Worker {place.worker})"


def check_length(length: int | None) -> int | None:
    """Return a length that the user has said.

    Raises:
        ConfigError: It is below 0.
    """
    if length is not None and length < 0:
        raise ConfigError(f"length={length}: 0 or more is needed")
    return length


def _has_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()
