"""A check of any loader: whenever it is stopped, the job that goes on gives each sample once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

__all__ = ["ResumableLoader", "assert_exact_resume"]


class ResumableLoader(Protocol):
    """A loader with a state, as torchdata's StatefulDataLoader and aisio's Loader have it."""

    def __iter__(self) -> Iterator[Any]:
        """Read an epoch, or what is left of it."""

    def state_dict(self) -> dict[str, Any]:
        """Return where the trainer stands."""

    def load_state_dict(self, state: Any) -> None:
        """Go there."""


def assert_exact_resume(
    make_loader: Callable[[int, int], ResumableLoader],
    samples: Iterable[Hashable],
    samples_of: Callable[[Any], Iterable[Hashable]],
    *,
    topologies: Sequence[int] = (1,),
    max_stops: int = 20,
    max_dropped: int = 0,
    max_repeated: int = 0,
    max_state_bytes: int = 2048,
    dumps: Callable[[Any], str | bytes] = json.dumps,
    loads: Callable[[Any], Any] = json.loads,
) -> None:
    """Stop a loader at many places, go on with others, and compare what came with what there is.

    Every number of ranks is followed by every other. At each stop all ranks have received as many
    batches; those that go on are given the state of rank 0. They are stopped once more, after
    their first batch. The epoch behind must be that of ranks that were never stopped.

    Args:
        make_loader: Makes the loader of a rank, from its number and that of ranks. For the same
            ranks it must give the same order each time.
        samples: What identifies each sample of an epoch.
        samples_of: Returns what identifies the samples of a batch.
        topologies: Numbers of ranks.
        max_stops: Stop at about so many places of an epoch, evenly spread, and at its end.
        max_dropped: How many samples may be missing in the end, as where ranks are made equal.
        max_repeated: How many samples may come once more, as where ranks are made equal by
            padding: that of all three parts of an epoch.
        max_state_bytes: Size that a state may have as `dumps` writes it.
        dumps: Writes a state, as `pickle.dumps` does for one that is not JSON.
        loads: Reads what `dumps` wrote.

    Raises:
        AssertionError: A sample came twice or not at all, the next epoch is another one, or a state
            is too large or differs between ranks. The text says where the loader was stopped.
    """
    expected = Counter(samples)
    following = {ranks: _second_epoch(make_loader, samples_of, ranks) for ranks in topologies}
    for before in topologies:
        batches = sum(1 for _ in make_loader(0, before))
        step = max(1, -(-batches // max_stops))
        for stop in sorted({*range(0, batches, step), batches}):
            for after in topologies:
                where = f"stopped after {stop} of {batches} batches on {before} ranks, then {after}"
                job = _Job(make_loader, samples_of, where)
                for ranks, count in ((before, stop), (after, 1)):
                    job.run(ranks, count)
                    job.restart(dumps, loads, max_state_bytes)
                job.run(after, None)
                twice, missing = job.received - expected, expected - job.received
                job.check(twice.total() <= max_repeated, f"came more than once: {_some(twice)}")
                job.check(missing.total() <= max_dropped, f"did not come: {_some(missing)}")
                job.check(
                    job.next_epoch() == following[len(job.loaders)],
                    "the next epoch is not that of ranks that were never stopped",
                )


class _Job:
    """An epoch that is read by one set of ranks after the other."""

    def __init__(
        self,
        make_loader: Callable[[int, int], ResumableLoader],
        samples_of: Callable[[Any], Iterable[Hashable]],
        where: str,
    ) -> None:
        self._make_loader = make_loader
        self._samples_of = samples_of
        self._where = where
        self._state: Any = None
        self._has_ended = False
        self.loaders: list[ResumableLoader] = []
        self.received: Counter[Hashable] = Counter()

    def check(self, holds: bool, otherwise: str) -> None:
        """Fail, also under `python -O`, unless something holds."""
        if not holds:
            raise AssertionError(f"{self._where}: {otherwise}")

    def run(self, ranks: int, batches: int | None) -> None:
        """Let all ranks go on, for so many batches each or to the end of the epoch.

        Where one comes to the end before it has so many, all go to the end.
        """
        if self._has_ended:
            return
        self.loaders = [self._make_loader(rank, ranks) for rank in range(ranks)]
        if self._state is not None:
            for loader in self.loaders:
                loader.load_state_dict(self._state)
        iterators = [iter(loader) for loader in self.loaders]
        counts = [self._receive(islice(iterator, batches)) for iterator in iterators]
        if batches is None or min(counts) < batches:
            self._has_ended = True
            for iterator in iterators:
                self._receive(iterator)

    def restart(
        self,
        dumps: Callable[[Any], str | bytes],
        loads: Callable[[Any], Any],
        max_state_bytes: int,
    ) -> None:
        """Save the state, for the ranks that go on, unless the epoch has ended."""
        if self._has_ended:
            return
        states = {dumps(loader.state_dict()) for loader in self.loaders}
        self.check(len(states) == 1, f"the ranks have different states: {states}")
        text = states.pop()
        self.check(len(text) <= max_state_bytes, f"a state of {len(text)} bytes")
        self._state = loads(text)

    def next_epoch(self) -> list[list[Hashable]]:
        """Return the samples of each rank in the epoch behind the one that has ended."""
        return [_samples(loader, self._samples_of) for loader in self.loaders]

    def _receive(self, batches: Iterable[Any]) -> int:
        count = 0
        for batch in batches:
            self.received.update(self._samples_of(batch))
            count += 1
        return count


def _second_epoch(
    make_loader: Callable[[int, int], ResumableLoader],
    samples_of: Callable[[Any], Iterable[Hashable]],
    ranks: int,
) -> list[list[Hashable]]:
    """Return the samples of each rank in the second epoch of a job that is never stopped."""
    loaders = [make_loader(rank, ranks) for rank in range(ranks)]
    for loader in loaders:
        _samples(loader, samples_of)
    return [_samples(loader, samples_of) for loader in loaders]


def _samples(
    batches: Iterable[Any], samples_of: Callable[[Any], Iterable[Hashable]]
) -> list[Hashable]:
    return [sample for batch in batches for sample in samples_of(batch)]


def _some(found: Counter[Hashable]) -> str:
    return ", ".join(map(repr, list(found)[:10]))
