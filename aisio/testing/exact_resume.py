"""A check of any loader: whenever it is stopped, the job that goes on gives each sample once."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from aisio.testing.resumable_job import (
    JobCheckpoints,
    JobRanks,
    ResumableLoader,
    Topology,
    check_job,
    described,
    difference,
)

__all__ = ["assert_exact_resume"]


def assert_exact_resume(
    make_loader: Callable[..., ResumableLoader],
    samples: Iterable[Hashable],
    samples_of: Callable[[Any], Iterable[Hashable]],
    *,
    topologies: Sequence[Topology] = (1,),
    max_stops: int | None = 20,
    max_dropped: int = 0,
    max_repeated: int = 0,
    max_state_bytes: int = 2048,
    max_state_growth_bytes: int = 64,
    own_states: bool = False,
    dumps: Callable[[Any], str | bytes] = json.dumps,
    loads: Callable[[Any], Any] = json.loads,
) -> None:
    """Stop a loader at many places, go on with others, and compare what came with what there is.

    Every topology is followed by every other, and by itself. At each stop all ranks have received
    as many batches, and their iterations are still open, so that a state which counts what workers
    have read ahead loses samples. The ranks that go on are given the state of rank 0. They are
    stopped once more, after their first batch. The epoch behind must be that of ranks that were
    never stopped.

    Args:
        make_loader: Makes the loader of a rank: `make_loader(rank, ranks, **others)`, where the
            others are what a topology says beside "ranks". For the same arguments it must give the
            same order each time.
        samples: What identifies each sample of an epoch.
        samples_of: Returns what identifies the samples of a batch.
        topologies: How the job is run: numbers of ranks, or mappings as in
            `{"ranks": 4, "num_workers": 2, "batch_size": 8}`.
        max_stops: Stop at about so many places of an epoch: before and behind the first batch and
            the last, and evenly spread between them. None stops behind every batch.
        max_dropped: How many samples may be missing in the end, as where ranks are made equal.
        max_repeated: How many samples may come once more in each of the three runs of an epoch, as
            where ranks are made equal by padding.
        max_state_bytes: Size that a state may have as `dumps` writes it.
        max_state_growth_bytes: How much larger a state may be at one place of the first run than at
            another: a state should not grow with what was read.
        own_states: Each rank goes on from its own state, not from that of rank 0. All topologies
            must then have the same number of ranks.
        dumps: Writes a state, as `pickle.dumps` does for one that is not JSON.
        loads: Reads what `dumps` wrote.

    Raises:
        AssertionError: A sample was lost or came twice, the next epoch is another one, or a state
            is too large, grows, or differs between ranks. The text says where the loader was
            stopped, and which samples.
        ValueError: Nothing would be checked: there are no samples, topologies, ranks or stops.
    """
    samples = list(samples)
    check_job(topologies, samples)
    if max_stops is not None and max_stops < 1:
        raise ValueError(f"max_stops={max_stops}: at least 1, or None, is needed")
    check = _Check(
        make_loader,
        samples_of,
        samples,
        topologies,
        JobCheckpoints(dumps, loads, max_state_bytes, own_states),
    )
    for before, first in enumerate(topologies):
        batches = check.count_batches(before)
        sizes: list[int] = []
        for stop in _stops(batches, max_stops):
            for after, second in enumerate(topologies):
                with _said_where(f"stopped after {stop} of {batches} batches", first, second):
                    epoch = _StoppedEpoch(check)
                    epoch.read(before, stop)
                    sizes += epoch.save() if stop else []
                    _check_growth(sizes, max_state_growth_bytes)
                    for count in (1, None):
                        epoch.read(after, count)
                    epoch.check(max_dropped, 3 * max_repeated)
        for after, second in enumerate(topologies):
            with _said_where("stopped behind an epoch", first, second):
                epoch = _StoppedEpoch(check)
                epoch.read(before, None)
                epoch.check_border(after)
        if not batches:
            raise AssertionError(f"on {described(first)} rank 0 has no batch")


class _Check:
    """What is compared: the loaders of each topology, and their epochs without a stop.

    Topologies are named by their place in the list.
    """

    def __init__(
        self,
        make_loader: Callable[..., ResumableLoader],
        samples_of: Callable[[Any], Iterable[Hashable]],
        samples: list[Hashable],
        topologies: Sequence[Topology],
        checkpoints: JobCheckpoints,
    ) -> None:
        self._make_loader = make_loader
        self.samples_of = samples_of
        self._topologies = topologies
        self.samples = samples
        self.checkpoints = checkpoints
        self.second_epochs = [self._second_epoch(one) for one, _ in enumerate(topologies)]

    def ranks(self, topology: int) -> JobRanks:
        """Make the loaders of all ranks."""
        return JobRanks(self._make_loader, self._topologies[topology])

    def samples_in(self, batches: Iterable[Any]) -> list[Hashable]:
        """Return the samples of batches."""
        return [sample for batch in batches for sample in self.samples_of(batch)]

    def epoch(self, ranks: JobRanks) -> list[list[Hashable]]:
        """Return the samples of each rank in an epoch."""
        return [self.samples_in(loader) for loader in ranks.loaders]

    def count_batches(self, topology: int) -> int:
        """Return the number of batches of rank 0 in an epoch."""
        return sum(1 for _ in self.ranks(topology).loaders[0])

    def second_epoch_is(self, ranks: JobRanks, topology: int) -> None:
        """Compare the next epoch with that of ranks that were never stopped.

        Raises:
            AssertionError: They differ.
        """
        if self.epoch(ranks) != self.second_epochs[topology]:
            raise AssertionError("the next epoch is not that of ranks that were never stopped")

    def _second_epoch(self, topology: int) -> list[list[Hashable]]:
        """Return the samples of each rank in the second epoch of an unbroken job."""
        ranks = self.ranks(topology)
        self.epoch(ranks)
        return self.epoch(ranks)


class _StoppedEpoch:
    """An epoch that is read by the ranks of one topology after the other."""

    def __init__(self, check: _Check) -> None:
        self._check = check
        self._ranks: JobRanks | None = None
        self._topology = 0
        self._has_ended = False
        self._received: list[Hashable] = []

    def read(self, topology: int, batches: int | None) -> None:
        """Go on with other ranks, for so many batches each or to the end of the epoch.

        Where one comes to the end before it has so many, all go to the end.
        """
        if self._has_ended:
            return
        ranks = self._restarted(topology)
        ranks.begin_epoch()
        counts = [self._receive(islice(iterator, batches)) for iterator in ranks.iterators]
        if batches is None or min(counts) < batches:
            self._has_ended = True
            for iterator in ranks.iterators:
                self._receive(iterator)

    def save(self) -> list[int]:
        """Return the sizes of the states of all ranks, unless the epoch has ended."""
        if self._has_ended or self._ranks is None:
            return []
        return list(map(len, self._check.checkpoints.save(self._ranks.loaders)))

    def check(self, max_dropped: int, max_repeated: int) -> None:
        """Compare what came with what there is, and the epoch behind with an unbroken run's.

        Raises:
            AssertionError: They differ.
        """
        text = difference(
            self._received,
            self._check.samples,
            max_dropped=max_dropped,
            max_repeated=max_repeated,
        )
        if text:
            raise AssertionError(text)
        if self._ranks is not None:
            self._check.second_epoch_is(self._ranks, self._topology)

    def check_border(self, topology: int) -> None:
        """Go on with other ranks behind the end of the epoch: theirs is the whole next one.

        Raises:
            AssertionError: It is not.
        """
        self._check.second_epoch_is(self._restarted(topology), topology)

    def _restarted(self, topology: int) -> JobRanks:
        states = self._ranks and self._check.checkpoints.save(self._ranks.loaders)
        self._ranks = self._check.ranks(topology)
        self._topology = topology
        if states:
            self._check.checkpoints.restore(self._ranks.loaders, states)
        return self._ranks

    def _receive(self, batches: Iterable[Any]) -> int:
        count = 0
        for batch in batches:
            self._received += self._check.samples_of(batch)
            count += 1
        return count


def _stops(batches: int, max_stops: int | None) -> list[int]:
    """Return behind how many batches to stop: at both ends of an epoch, and evenly between."""
    step = max(1, -(-batches // max_stops)) if max_stops else 1
    stops = {*range(0, batches, step), 1, batches - 1, batches}
    return sorted(stop for stop in stops if 0 <= stop <= batches)


def _check_growth(sizes: Sequence[int], max_growth_bytes: int) -> None:
    if sizes and max(sizes) - min(sizes) > max_growth_bytes:
        raise AssertionError(
            f"states of {min(sizes)} to {max(sizes)} bytes: they may differ by"
            f" {max_growth_bytes}, as they should not grow with what was read"
        )


@contextmanager
def _said_where(what: str, before: Topology, after: Topology) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        where = f"{what} on {described(before)}, then {described(after)}"
        raise AssertionError(f"{where}: {error}") from error
