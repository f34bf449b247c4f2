"""SharedListing: the listing of a dataset, taken once for all its workers, epochs and ranks.

The first process of a rank that needs an object lists. It writes what it lists to a file that the
workers share, block by block, so that none of them waits for the end of a long listing. If that
process ends too early, the next one that needs more lists again, checks that the objects so far are
still the same, and goes on. `aisio.training.listing.rank_listing` does the same between ranks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from multiprocessing.context import get_spawning_popen
from typing import Any
from weakref import finalize

from aisio.errors import IntegrityError
from aisio.forks import SameProcess, this_process
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.listing_table import ListingTable
from aisio.sources.source_set import SourceSet
from aisio.training.listing.listing_blocks import ListingBlocks
from aisio.training.listing.listing_file import ListingFile, RecordKind
from aisio.training.listing.listing_view import ListingView
from aisio.training.listing.rank_listing import RankListing

__all__ = ["WHOLE", "SharedListing"]

WHOLE = 0
"""The part of a listing that is all of it; part n + 1 is source n alone."""

_POLL_S = 0.005
"""How often a process looks for what another one lists."""

_FIRST_WAIT_S = 0.05
"""How long the first reader waits for the whole listing: after a short one, no thread is left."""


class SharedListing:
    """What a dataset lists. All its workers have the same, by fork or spawn.

    Any other copy has the listing if it is complete, and otherwise lists for itself.

    Args:
        sources: What is listed.
        ranks: Shares the listing with the other ranks.
    """

    def __init__(self, sources: SourceSet, ranks: RankListing | None = None) -> None:
        self._sources = sources
        self._ranks = ranks or RankListing(sources.name, sources.identity)
        self._file = ListingFile()
        self._begin()

    def _begin(self) -> None:
        self._views: dict[SameProcess, ListingView] = {}
        self._stop = threading.Event()
        finalize(self, self._stop.set)

    def __getstate__(self) -> dict[str, Any]:
        state = {"_sources": self._sources, "_ranks": self._ranks}
        if get_spawning_popen() is not None:
            return state | {"_file": self._file}
        view = self._view()
        with view.changed:
            view.update()
            return state | {"blocks": {part: [*view.table(part).blocks] for part in view.ended}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        blocks_by_part = state.pop("blocks", {})
        self.__dict__.update(state)
        if "_file" not in state:
            self._file = ListingFile()
        for part, blocks in blocks_by_part.items():
            for block in blocks:
                self._file.append(RecordKind.BLOCK, part, block)
            self._file.append(RecordKind.END, part)
        self._begin()

    def anew(self) -> SharedListing:
        """Return another listing of the same sources, which begins from the start."""
        return SharedListing(self._sources, self._ranks.anew())

    def table(self) -> ListingTable:
        """Return the whole listing, when it is complete.

        Raises:
            NotFoundError: A source has no object.
        """
        view, lister = self._view(), None
        while True:
            with view.changed:
                view.update()
                table, is_complete = view.table(WHOLE), WHOLE in view.ended
            if is_complete:
                return table
            lister = self._wait_for_more(view, WHOLE, len(table), lister, to_end=True)

    def known(self) -> ListingTable | None:
        """Return the whole listing if it is complete; None otherwise, without listing anything."""
        view = self._view()
        with view.changed:
            view.update()
            return view.table(WHOLE) if WHOLE in view.ended else None

    def rows(
        self, part: int = WHOLE, start: int = 0, step: int = 1
    ) -> Iterator[tuple[Source, ObjectInfo]]:
        """Yield every n-th object of a part of the listing, while it is made.

        Args:
            part: `WHOLE`, or n + 1 for source n alone.
            start: The first object.
            step: How many objects further the next one is.

        Raises:
            NotFoundError: A source has no object; raised behind the objects before it.
            IntegrityError: The process that listed has ended, and the objects have changed since.
        """
        view, lister = self._view(), None
        index, restarts = start, 0
        while True:
            view.process.check("this iteration")
            with view.changed:
                view.update()
                table, is_complete = view.table(part), part in view.ended
                if view.restarts[part] != restarts and index != start:
                    raise IntegrityError(
                        "the process that listed the sources has ended, and the objects have"
                        " changed since: begin the epoch again"
                    )
                restarts = view.restarts[part]
            known = range(index, len(table), step)
            for number in known:
                yield table[number]
            index += len(known) * step
            if is_complete:
                return
            if index >= len(table):
                lister = self._wait_for_more(view, part, len(table), lister)

    def _view(self) -> ListingView:
        process = this_process()
        view = self._views.get(process)
        if view is None:
            view = self._views.setdefault(process, ListingView(self._file, self._sources.sources))
        return view

    def _wait_for_more(
        self,
        view: ListingView,
        part: int,
        known: int,
        lister: _Lister | None,
        *,
        to_end: bool = False,
    ) -> _Lister | None:
        """Wait until there may be more rows than are known; list them if no process does.

        Returns:
            What lists in this process, if anything does. The caller passes it at the next call.

        Raises:
            Exception: That lister has failed.
        """
        is_new = False
        with view.changed:
            running: _Lister | None = view.listers.get(part)
            if running is None:
                if lister is not None and lister.error is not None:
                    raise lister.error
                if self._file.try_lock(part):
                    view.update()
                    if part in view.ended or len(view.table(part)) > known:
                        self._file.unlock(part)
                        return None
                    blocks = ListingBlocks(self._sources, part, view, self._ranks)
                    running = view.listers[part] = _Lister(blocks, view, part, self._stop)
                    is_new = True
            else:
                view.changed.wait_for(lambda: running.has_stopped or view.has_more(part, known))
        if running is None:
            time.sleep(_POLL_S)
        elif is_new and to_end:
            running.run()
        elif is_new:
            running.start()
        return running


class _Lister:
    """Lists a part in this process, which has locked it, and writes it to the file.

    Args:
        blocks: The listing.
        view: What this process knows of the file.
        part: Number of the part.
        stop: Set when the listing is needed no more.

    Attributes:
        error: Why it could not list; None so far.
        has_stopped: Whether it has stopped.
    """

    def __init__(
        self, blocks: ListingBlocks, view: ListingView, part: int, stop: threading.Event
    ) -> None:
        self._blocks = blocks
        self._view = view
        self._part = part
        self._stop = stop
        self.error: BaseException | None = None
        self.has_stopped = False

    def run(self) -> None:
        """List to the end, or until the listing is needed no more."""
        try:
            for block in self._blocks:
                self._view.append(RecordKind.BLOCK, self._part, block)
                if self._stop.is_set():
                    raise RuntimeError("the listing is needed no more")
            self._view.append(RecordKind.END, self._part)
        except BaseException as error:  # of any kind: others wait
            self._end(error)
            if not isinstance(error, Exception):
                raise
        else:
            self._end(None)

    def start(self) -> None:
        """List in a thread; return when the first objects are there."""
        # A daemon: the program can end while the store does not answer.
        thread = threading.Thread(target=self.run, name="aisio-listing", daemon=True)
        thread.start()
        with self._view.changed:
            self._view.changed.wait_for(lambda: self.has_stopped, _FIRST_WAIT_S)
        if self.has_stopped:
            thread.join()

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            self._blocks.abandon()
        with self._view.changed:
            self.error = error
            self.has_stopped = True
            self._view.release(self._part)
            self._view.changed.notify_all()
