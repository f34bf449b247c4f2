"""Stages of a pipeline: what each does is said once, and done in every iteration anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from aisio.errors import ConfigError
from aisio.limits import is_whole
from aisio.transforms.functions import check_callable, require_picklable
from aisio.transforms.iterations import (
    BatchIteration,
    FilterIteration,
    Iteration,
    MapIteration,
    Open,
    RepeatIteration,
    ShuffleIteration,
    SliceIteration,
)

__all__ = [
    "Batch",
    "Filter",
    "Map",
    "Place",
    "Repeat",
    "Shuffle",
    "Slice",
    "Stage",
    "count_of",
    "open_stages",
]


class Place(NamedTuple):
    """Which part of a job this process does.

    Attributes:
        first: Position of its first item among those of all ranks and workers.
        step: How many positions further its next one is.
    """

    first: int = 0
    step: int = 1


def count_of(name: str, value: object, minimum: int = 1) -> int:
    """Return an argument that counts something.

    Raises:
        ConfigError: It is no whole number, or too small.
    """
    if isinstance(value, bool) or not is_whole(value, minimum):
        raise ConfigError(f"{name}={value!r}: a whole number of at least {minimum} is needed")
    return int(value)  # type: ignore[call-overload,no-any-return]


class Stage:
    """A stage of a pipeline; what it does depends on the epoch and the place alone."""

    def iterate(self, open_upstream: Open, epoch: int, place: Place) -> Iteration:
        """Begin an epoch.

        Args:
            open_upstream: Begins an epoch of the stage before.
            epoch: Number of the epoch.
            place: Which part of the job this process does.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Map(Stage):
    """Calls a function with each item.

    Attributes:
        word: What the user called, for errors.
        function: Its result takes the item's place.
    """

    word: str
    function: Callable[[Any], Any]

    def __post_init__(self) -> None:
        check_callable(self.word, self.function)

    def __getstate__(self) -> dict[str, Any]:
        require_picklable(f".{self.word}()", self.function)
        return self.__dict__

    def __str__(self) -> str:
        return self.word

    def iterate(self, open_upstream: Open, epoch: int, place: Place) -> Iteration:
        """See `Stage.iterate`."""
        return MapIteration(open_upstream(epoch), self.word, self.function)


@dataclass(frozen=True)
class Filter(Stage):
    """Leaves items out.

    Attributes:
        predicate: Returns whether an item stays.
    """

    predicate: Callable[[Any], Any]

    def __post_init__(self) -> None:
        check_callable("filter", self.predicate)

    def __getstate__(self) -> dict[str, Any]:
        require_picklable(".filter()", self.predicate)
        return self.__dict__

    def __str__(self) -> str:
        return "filter"

    def iterate(self, open_upstream: Open, epoch: int, place: Place) -> Iteration:
        """See `Stage.iterate`."""
        return FilterIteration(open_upstream(epoch), self.predicate)


@dataclass(frozen=True)
class Shuffle(Stage):
    """Permutes items within windows; see `ShuffleIteration`.

    Attributes:
        buffer_size: Number of items of a window, which are held.
        seed: Chooses the orders, from 0.
    """

    buffer_size: int
    seed: int

    def __post_init__(self) -> None:
        count_of("buffer_size", self.buffer_size)
        count_of("seed", self.seed, 0)

    def __str__(self) -> str:
        return f"shuffle({self.buffer_size}, seed={self.seed})"

    def iterate(self, open_upstream: Open, epoch: int, place: Place) -> Iteration:
        """See `Stage.iterate`."""
        key = f"{self.seed} {epoch} {place.first} {place.step}"
        return ShuffleIteration(open_upstream(epoch), self.buffer_size, key)


@dataclass(frozen=True)
class Batch(Stage):
    """Makes batches.

    Attributes:
        batch_size: Number of items of a batch.
        drop_last: Leave out a last batch that is not full.
        make: Makes a batch of a list of items.
    """

    batch_size: int
    drop_last: bool
    make: Callable[[list[Any]], Any]

    def __post_init__(self) -> None:
        count_of("batch_size", self.batch_size)
        check_callable("batch", self.make)

    def __getstate__(self) -> dict[str, Any]:
        require_picklable(".batch(collate_fn=)", getattr(self.make, "collate_fn", self.make))
        return self.__dict__

    def __str__(self) -> str:
        return f"batch({self.batch_size}, drop_last={bool(self.drop_last)})"

    def iterate(self, open_upstream: Open, epoch: int, place: Place) -> Iteration:
        """See `Stage.iterate`."""
        return BatchIteration(
            open_upstream(epoch), self.batch_size, bool(self.drop_last), self.make
        )


@dataclass(frozen=True)
class Slice(Stage):
    """Leaves items out by their positions.

    Attributes:
        start: The first position that stays.
        stop: One past the last; None for the end.
        step: How many positions further the next one is.
    """

    start: int
    stop: int | None
    step: int

    def __post_init__(self) -> None:
        count_of("start", self.start, 0)
        count_of("step", self.step)
        if self.stop is not None:
            count_of("stop", self.stop, 0)

    def __str__(self) -> str:
        return f"slice({self.start}, {self.stop}, {self.step})"

    @classmethod
    def of(cls, arguments: tuple[Any, ...]) -> Slice:
        """Return the stage of arguments as those of `itertools.islice`.

        Raises:
            ConfigError: There are none, or too many; or one is no whole number.
        """
        if not 1 <= len(arguments) <= 3:
            raise ConfigError(".slice() takes stop, or start and stop, or start, stop and step")
        if len(arguments) == 1:
            return cls(0, arguments[0], 1)
        start, stop, *step = arguments
        return cls(0 if start is None else start, stop, step[0] if step and step[0] else 1)

    def iterate(self, open_upstream: Open, epoch: int, place: Place) -> Iteration:
        """See `Stage.iterate`."""
        return SliceIteration(open_upstream(epoch), (self.start, self.stop, self.step), place)


@dataclass(frozen=True)
class Repeat(Stage):
    """Reads all items several times.

    Attributes:
        times: How often; None for no end.
    """

    times: int | None

    def __post_init__(self) -> None:
        if self.times is not None:
            count_of("times", self.times)

    def __str__(self) -> str:
        return f"repeat({self.times})"

    def iterate(self, open_upstream: Open, epoch: int, place: Place) -> Iteration:
        """See `Stage.iterate`."""
        return RepeatIteration(open_upstream, epoch, self.times)


def open_stages(
    open_source: Open, stages: tuple[Stage, ...], epoch: int, place: Place
) -> Iterator[Any]:
    """Begin an epoch of a pipeline.

    Args:
        open_source: Begins an epoch of what it reads.
        stages: The stages, in the order in which items pass them.
        epoch: Number of the epoch.
        place: Which part of the job this process does.
    """
    if not stages:
        return open_source(epoch)
    *before, last = stages

    def open_upstream(number: int) -> Iterator[Any]:
        return open_stages(open_source, tuple(before), number, place)

    return last.iterate(open_upstream, epoch, place)
