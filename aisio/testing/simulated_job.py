"""A simulator of training jobs that are killed: their clock is virtual, their loaders are real.

All ranks of a job step together, as all-reduce makes them: none receives its next batch before all
have received this one. Steps take random times. Some are followed by a checkpoint, which is
complete a while later. The job is killed at random times, also between two ranks of a step and
while a checkpoint is written, and goes on from the last complete one, with another topology.

What a trainer received behind that checkpoint is not committed: it is forgotten, as the model is,
and must come again. So must what workers had read ahead. Of each epoch, what is committed in the
end must be each sample once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from aisio.testing.resumable_job import (
    JobCheckpoints,
    JobRanks,
    ResumableLoader,
    Topology,
    check_job,
    described,
    difference,
)

__all__ = ["SimulatedJob", "simulate_job"]

_END = object()


@dataclass
class SimulatedJob:
    """What happened in a job.

    Attributes:
        topologies: Those that it ran with, one after the other.
        epochs: Number of epochs that were committed.
        checkpoints: Number of checkpoints that were taken, also those that a kill left incomplete.
        committed: Number of samples that were committed, over all epochs.
        forgotten: Number of samples that were received behind the last checkpoint before a kill.
        max_state_bytes: Size of the largest state.
    """

    topologies: list[Topology] = field(default_factory=list)
    epochs: int = 0
    checkpoints: int = 0
    committed: int = 0
    forgotten: int = 0
    max_state_bytes: int = 0

    @property
    def kills(self) -> int:
        """How often it was killed."""
        return len(self.topologies) - 1


def simulate_job(
    make_loader: Callable[..., ResumableLoader],
    samples: Iterable[Hashable],
    samples_of: Callable[[Any], Iterable[Hashable]],
    *,
    topologies: Sequence[Topology],
    seed: int = 0,
    epochs: int = 1,
    max_kills: int = 5,
    steps_between_kills: float = 20.0,
    steps_between_checkpoints: float = 4.0,
    max_dropped: int = 0,
    max_repeated: int = 0,
    max_state_bytes: int = 2048,
    dumps: Callable[[Any], str | bytes] = json.dumps,
    loads: Callable[[Any], Any] = json.loads,
) -> SimulatedJob:
    """Run a job that is killed at random times, and compare what was committed with what there is.

    A seed gives the same job again, if `make_loader` gives the same orders again. One job tests
    few places, and a short one may end before it is killed: run several seeds, and look at `kills`.

    Args:
        make_loader: See `assert_exact_resume`.
        samples: What identifies each sample of an epoch.
        samples_of: Returns what identifies the samples of a batch.
        topologies: Each start of the job chooses one of them, another than the start before where
            there are several; see `assert_exact_resume`.
        seed: Chooses the times, the kills, the checkpoints and the topologies.
        epochs: Number of epochs.
        max_kills: How often the job is killed at most.
        steps_between_kills: Mean number of steps from a start of the job to its kill.
        steps_between_checkpoints: Mean number of steps from one checkpoint to the next.
        max_dropped: How many samples of an epoch may be missing, as where ranks are made equal.
        max_repeated: How many samples may come once more in each of the runs of an epoch, as where
            ranks are made equal by padding.
        max_state_bytes: Size that a state may have as `dumps` writes it.
        dumps: Writes a state, as `pickle.dumps` does for one that is not JSON.
        loads: Reads what `dumps` wrote.

    Raises:
        AssertionError: A committed sample was lost or came twice, or a state is too large or
            differs between ranks. The text says the seed, the epoch and the topologies.
        ValueError: Nothing would be checked: there are no samples, topologies, ranks or epochs; or
            a number is below 0, or a mean 0.
    """
    samples = list(samples)
    check_job(topologies, samples)
    if epochs < 1 or max_kills < 0:
        raise ValueError(f"epochs={epochs}, max_kills={max_kills}: at least 1 and 0 are needed")
    if steps_between_kills <= 0 or steps_between_checkpoints <= 0:
        raise ValueError("steps_between_kills and steps_between_checkpoints must be above 0")
    simulation = _Simulation(
        _Loaders(make_loader, samples_of, JobCheckpoints(dumps, loads, max_state_bytes)),
        Random(seed),
        topologies,
        epochs,
        (steps_between_kills, steps_between_checkpoints),
    )
    with simulation.said_where(seed):
        for number in range(max_kills + 1):
            if simulation.run(is_last=number == max_kills):
                break
        simulation.check(samples, max_dropped, max_repeated)
    return simulation.job


class _Loaders(NamedTuple):
    """How loaders are made, read and saved.

    Attributes:
        make: Makes the loader of a rank.
        samples_of: Returns the samples of a batch.
        checkpoints: Saves and restores their states.
    """

    make: Callable[..., ResumableLoader]
    samples_of: Callable[[Any], Iterable[Hashable]]
    checkpoints: JobCheckpoints


class _Checkpoint(NamedTuple):
    """What a job goes on from.

    Attributes:
        complete_at: When it is written; a kill before leaves the one before it.
        states: States of the ranks; at the start of the job, none.
        epoch: Number of the epoch.
        received: Number of samples of the epoch that were received.
    """

    complete_at: float
    states: list[str | bytes]
    epoch: int
    received: int


class _Simulation:
    """A job and its clock; a step takes one unit of time in the mean.

    Args:
        loaders: How loaders are made, read and saved.
        random: Decides on everything.
        topologies: Those that a start chooses from.
        epochs: Number of epochs.
        means: Mean times between kills, and between checkpoints.
    """

    def __init__(
        self,
        loaders: _Loaders,
        random: Random,
        topologies: Sequence[Topology],
        epochs: int,
        means: tuple[float, float],
    ) -> None:
        self.job = SimulatedJob()
        self._loaders = loaders
        self._random = random
        self._topologies = topologies
        self._between_kills, self._between_checkpoints = means
        self._now = 0.0
        self._saved = [_Checkpoint(0.0, [], 0, 0)]
        # Of each epoch: the samples, and in which run of the job each was received.
        self._received: list[list[tuple[int, Hashable]]] = [[] for _ in range(epochs)]

    def run(self, *, is_last: bool) -> bool:
        """Start the job, and return whether it ended before it was killed."""
        topology = self._random.choice(self._choices())
        self.job.topologies.append(topology)
        ranks = JobRanks(self._loaders.make, topology)
        start = self._saved[-1]
        if start.states:
            self._loaders.checkpoints.restore(ranks.loaders, start.states)
        kill = self._random.expovariate(1 / self._between_kills)
        killed_at = float("inf") if is_last else self._now + kill
        for epoch in range(start.epoch, len(self._received)):
            ranks.begin_epoch()
            if not self._read(ranks, epoch, killed_at):
                self._forget(killed_at)
                return False
        return True

    def _choices(self) -> Sequence[Topology]:
        """Return the topologies that the next start chooses from: another than the last, if any."""
        last = self.job.topologies[-1:]
        return [one for one in self._topologies if one not in last] or self._topologies

    def check(self, samples: list[Hashable], max_dropped: int, max_repeated: int) -> None:
        """Compare what was committed in each epoch with what there is.

        Raises:
            AssertionError: They differ.
        """
        for number, epoch in enumerate(self._received):
            runs = len({run for run, _ in epoch})
            text = difference(
                (sample for _, sample in epoch),
                samples,
                max_dropped=max_dropped,
                max_repeated=max_repeated * runs,
            )
            if text:
                raise AssertionError(f"in epoch {number} {text}")
            self.job.epochs += 1
            self.job.committed += len(epoch)

    @contextmanager
    def said_where(self, seed: int) -> Iterator[None]:
        """Say in an AssertionError which job it was."""
        try:
            yield
        except AssertionError as error:
            topologies = ", then ".join(map(described, self.job.topologies))
            raise AssertionError(f"seed {seed}, on {topologies}: {error}") from error

    def _read(self, ranks: JobRanks, epoch: int, killed_at: float) -> bool:
        """Read an epoch, and return whether it came to its end."""
        reading = dict(enumerate(ranks.iterators))
        while reading:
            arrivals = sorted((self._now + self._random.expovariate(1), rank) for rank in reading)
            for arrives_at, rank in arrivals:
                if arrives_at >= killed_at:
                    return False
                batch = next(reading[rank], _END)
                if batch is _END:
                    del reading[rank]
                else:
                    self._receive(epoch, batch)
            self._now = arrivals[-1][0]
            if self._random.random() * self._between_checkpoints < 1:
                self._save(ranks, epoch, list(reading))
        return True

    def _receive(self, epoch: int, batch: Any) -> None:
        run = len(self.job.topologies)
        self._received[epoch] += ((run, sample) for sample in self._loaders.samples_of(batch))

    def _save(self, ranks: JobRanks, epoch: int, reading: list[int]) -> None:
        """Save the states of the ranks that still read, or of all at the end of an epoch.

        Rank 0 has as many batches as any. Where it alone is at the end, nothing is saved.
        """
        if reading and 0 not in reading:
            return
        loaders = [ranks.loaders[rank] for rank in reading] or ranks.loaders
        states = self._loaders.checkpoints.save(loaders)
        self.job.max_state_bytes = max(self.job.max_state_bytes, *map(len, states))
        place = (epoch, len(self._received[epoch])) if reading else (epoch + 1, 0)
        self.job.checkpoints += 1
        complete_at = self._now + self._random.expovariate(1)
        self._saved.append(_Checkpoint(complete_at, states, *place))

    def _forget(self, killed_at: float) -> None:
        """Go back to the last checkpoint that was complete before a kill."""
        self._now = killed_at
        complete = [one for one in self._saved if one.complete_at <= killed_at]
        last = complete[-1]
        self._saved = [last]
        for number in range(last.epoch, len(self._received)):
            kept = last.received if number == last.epoch else 0
            self.job.forgotten += len(self._received[number]) - kept
            del self._received[number][kept:]
