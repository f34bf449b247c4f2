"""ShardIteration: an iteration over shards that torchdata's StatefulDataLoader can go on with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import astuple
from typing import Any, NamedTuple

from aisio.errors import ConfigError
from aisio.forks import this_process
from aisio.shards.samples import Sample
from aisio.training.split import Partition
from aisio.training.stateful_iteration import (
    Failed,
    check_partition,
    check_patterns,
    is_ended_by,
    patterns_state,
)
from aisio.training.whole_number import whole_number

__all__ = ["ShardIteration", "ShardPlace", "ShardTrail"]


class ShardPlace(NamedTuple):
    """Where an iteration stands.

    Attributes:
        shard: Number of the shard among those that this rank and worker read.
        samples: How many of its samples were yielded, or skipped.
        name: Its name, by which it is known again; empty at the beginning.
        fields: The fields of the last sample, which those that follow have too.
        last: The key of the last of these samples, by which they are known again; empty where there
            is none, or in a state of an older version.
    """

    shard: int = 0
    samples: int = 0
    name: str = ""
    fields: tuple[str, ...] = ()
    last: str = ""

    def check(self, name: str | None, samples: int | None = None) -> None:
        """Compare the shard with the one that is there now.

        Args:
            name: Its name; None where there is none.
            samples: How many samples it has, if that is known.

        Raises:
            ConfigError: It is another one, or has fewer samples than were yielded of it.
        """
        if name != self.name:
            raise ConfigError(
                f"the state is of other data: it was saved in {self.name!r}, shard {self.shard:,}"
                f" of this rank and worker, which is now {name!r}: begin the epoch anew"
            )
        if samples is not None and samples < self.samples:
            raise ConfigError(
                f"the state is of other data: {self.samples:,} samples of {name!r} had been read,"
                f" which has {samples:,} now: begin the epoch anew"
            )


class ShardTrail:
    """Remembers in which shard each sample was read, for those that are yielded much later.

    Args:
        start: Where the iteration begins.

    Attributes:
        start: As given.
    """

    def __init__(self, start: ShardPlace) -> None:
        self.start = start
        self._taken = 0
        self._fields: Iterable[str] = start.fields
        self._last = start.last
        # What had been read where a shard began, and its place then; only this thread appends.
        self._begun: deque[tuple[int, ShardPlace]] = deque([(0, start)])

    def enter(self, number: int, name: str, read: int) -> None:
        """Remember that a shard begins behind so many samples."""
        samples = self.start.samples if number == self.start.shard else 0
        self._begun.append((read, ShardPlace(number, samples, name)))

    def take(self, sample: Sample) -> None:
        """Count a sample of which an item is yielded next, or which is skipped."""
        self._taken += 1
        self._fields = sample.fields
        self._last = sample.key

    def place(self) -> ShardPlace:
        """Return where the iteration stands."""
        begun = self._begun
        while len(begun) > 1 and begun[1][0] <= self._taken:
            begun.popleft()
        read, place = begun[0]
        samples = place.samples + self._taken - read
        last = self._last if samples else ""
        return place._replace(samples=samples, fields=tuple(self._fields), last=last)


class ShardIteration(Iterator[Any]):
    """Knows where an iteration stands, and begins it anew in any shard.

    After an error it goes on; see `StatefulIteration`.

    Args:
        begin: Begins the iteration where a trail starts.
        partition: Rank and worker of this process.
        patterns: See `SourceSet.patterns`.
    """

    def __init__(
        self,
        begin: Callable[[ShardTrail], Generator[Any, None, None]],
        partition: Partition,
        patterns: str = "",
    ) -> None:
        self._begin = begin
        self._partition = partition
        self._patterns = patterns
        self._process = this_process()
        self._move_to(ShardPlace())

    def __next__(self) -> Any:
        try:
            item = next(self._items)
        except BaseException as error:
            if is_ended_by(error, self._items, self._process):
                self._move_to(self._trail.place())
            raise
        if type(item) is Failed:
            raise item.take()
        return item

    def close(self) -> None:
        """End the iteration, and release its connections."""
        self._items.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the shard and how many of its samples were taken, and which rank and worker.

        If there are patterns for names, they are told too.
        """
        state = self._trail.place()._asdict() | patterns_state(self._patterns)
        return {"partition": list(astuple(self._partition)), **state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the iteration of the same rank and worker stood.

        Raises:
            ConfigError: The state is of another rank or worker, or of other numbers of them, or of
                other patterns, or damaged. At the next sample: there is another shard, or it has
                other samples.
        """
        check_partition(state, self._partition)
        check_patterns(state, self._patterns)
        name, fields, last = state.get("name"), state.get("fields"), state.get("last", "")
        if not isinstance(name, str) or not isinstance(fields, (list, tuple)):
            raise ConfigError(f"name={name!r}, fields={fields!r}: the state is damaged")
        if not isinstance(last, str):
            raise ConfigError(f"last={last!r}: the state is damaged")
        shard = whole_number("shard", state.get("shard"), 0)
        samples = whole_number("samples", state.get("samples"), 0)
        self._items.close()
        self._move_to(ShardPlace(shard, samples, name, tuple(fields), last))

    def _move_to(self, place: ShardPlace) -> None:
        self._trail = ShardTrail(place)
        self._items = self._begin(self._trail)
