"""Live: what this process is, and what it has done that no counter of a read tells."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from aisio import forks
from aisio.publishing.folder import top_folder

if TYPE_CHECKING:
    from aisio.publishing.publisher import Publisher

__all__ = ["Live", "count_by", "current", "publish_now"]

_Totals = Callable[[], Mapping[str, float]]
_Blocked = Callable[[], tuple[str, float]]


class Live:
    """What this process is and does.

    Attributes:
        rank: Its rank; None while nothing has looked for it.
        ranks: Number of ranks; None likewise.
        worker: Its number among a DataLoader's workers; None in a process that is none.
        samples: How many samples it has made, those of iterations that go on aside.
        skipped: How many it left out, likewise.
        errors: How many of its reads, iterations or batches ended in an error.
        batches: How many batches a Loader gave to this process.
        batch_wait_s: How long that process waited for them, in seconds.
    """

    def __init__(self) -> None:
        self.rank: int | None = None
        self.ranks: int | None = None
        self.worker: int | None = None
        self.samples = self.skipped = self.errors = self.batches = 0
        self.batch_wait_s = 0.0
        self._asked: float | None = None
        self._iterations: list[Callable[[], tuple[int, int]]] = []

    def place(self, rank: int, ranks: int) -> None:
        """Say which rank this process is, or works for."""
        self.rank, self.ranks = rank, ranks

    def ask(self, now: float) -> None:
        """Note that this process waits for a batch, by time.perf_counter."""
        self._asked = now

    def give(self, waited_s: float) -> None:
        """Note that it has a batch, and how long it waited."""
        self._asked = None
        self.batches += 1
        self.batch_wait_s += waited_s

    def stop_asking(self) -> None:
        """Note that it waits for no batch any more: there is none, or an error."""
        self._asked = None

    @contextmanager
    def iteration(self, progress: Callable[[], tuple[int, int]]) -> Iterator[None]:
        """A `with` block in which an iteration goes on.

        Args:
            progress: Returns how many samples it has given and how many it skipped. This costs the
                iteration nothing, while a counter would cost each sample a little.
        """
        self._iterations.append(progress)
        try:
            yield
        except Exception:
            self.errors += 1
            raise
        finally:
            self._iterations.remove(progress)
            samples, skipped = progress()
            self.samples += samples
            self.skipped += skipped

    def totals(self) -> dict[str, float]:
        """Return all counts, those of iterations that go on included."""
        running = [progress() for progress in list(self._iterations)]
        return {
            "samples": self.samples + sum(samples for samples, _ in running),
            "skipped": self.skipped + sum(skipped for _, skipped in running),
            "errors": self.errors,
            "batches": self.batches,
            "batch_wait_s": self.batch_wait_s,
        }

    def waits_for_batch_s(self) -> float | None:
        """Return how long this process has waited for a batch; None if it does not wait."""
        asked = self._asked
        return None if asked is None else perf_counter() - asked


class _Process:
    """What this process publishes, if it does.

    Attributes:
        live: What it does.
        publisher: Writes the numbers; None where they are not asked for.
        counters: Returns the sums of all counters.
        blocked: Returns the URL that a thread has waited for the longest, and how long.
        inherited: Rank and number of ranks of the process that forked this one.
    """

    def __init__(self) -> None:
        self.live: Live | None = None
        # A signal handler may come back here in the same thread.
        self._lock = threading.RLock()
        self.inherited: tuple[int | None, int | None] = (None, None)
        self.publisher: Publisher | None = None
        self.counters: _Totals = dict
        self.blocked: _Blocked = lambda: ("", 0.0)

    def begin(self) -> Live:
        """Publish from now on, if the environment asks for it."""
        with self._lock:
            if self.live is not None:  # another thread was first
                return self.live
            live = self.live = Live()
            live.rank, live.ranks = self.inherited
            folder = top_folder()
            if folder is not None:
                # It needs multiprocessing, which a command that publishes nothing does not load.
                from aisio.publishing.publisher import Publisher

                self.publisher = Publisher(folder, self._snapshot, self._state)
                self.publisher.start()
        return live

    def _snapshot(self) -> dict[str, float]:
        assert self.live is not None
        return {**self.counters(), **self.live.totals()}

    def _state(self) -> dict[str, object]:
        live = self.live
        assert live is not None
        waits_s = live.waits_for_batch_s()
        url, blocked_s = self.blocked()
        return {
            "rank": live.rank,
            "ranks": live.ranks,
            "worker": live.worker,
            "waits_for_batch_s": waits_s,
            "blocked_on": url,
            "blocked_s": blocked_s,
        }


_process = _Process()


def current() -> Live:
    """Return what counts for this process; the first call publishes it, if that is asked for."""
    return _process.live or _process.begin()


def publish_now() -> None:
    """Publish the numbers as they are, for a program that does not wait for the next second.

    Raises:
        OSError: They cannot be written.
    """
    current()
    if _process.publisher is not None:
        _process.publisher.write()


def count_by(totals: _Totals, blocked: _Blocked) -> None:
    """Say what returns the sums of all counters, and what the process waits for."""
    _process.counters, _process.blocked = totals, blocked


@forks.before
def _pause() -> None:
    if _process.publisher is not None:
        _process.publisher.pause()


@forks.in_parent
def _go_on() -> None:
    if _process.publisher is not None:
        _process.publisher.resume()


@forks.in_child
def _begin_anew() -> None:
    global _process
    parent, _process = _process, _Process()
    count_by(parent.counters, parent.blocked)
    if parent.live is not None:
        _process.inherited = parent.live.rank, parent.live.ranks
    if parent.publisher is not None:
        parent.publisher.leave()
