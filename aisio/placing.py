"""Which part of the job this process does: what datasets that split themselves have in common."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, TypeVar

from aisio.config import world_from_environ
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


class Splitting:
    """A dataset that knows rank and worker at the time of asking, and takes its share of sources.

    Classes set `_sources`, `_by_source` (workers take whole sources) and `_tally`.
    """

    _sources: SourceSet
    _by_source: bool
    _tally: Tally
    _rank_before_pickling: tuple[int, int] | None = None

    def stats(self) -> dict[str, Any]:
        """Return where the time of all epochs so far went, of all workers; see `aisio.tally`."""
        return self._tally.sums()

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker has no process group and perhaps no RANK: it takes the rank of whoever
        # sent it.
        return self.__dict__ | {"_rank_before_pickling": self._rank()}

    def _rank(self) -> tuple[int, int]:
        if distributed.is_available() and distributed.is_initialized():
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
            return place.take(self._sources.list())
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

    def _title(self, place: Place) -> str:
        return f"{type(self).__name__} (Worker {place.worker})"
