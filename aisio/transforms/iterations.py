"""Iterations of the stages of a pipeline, each over the one before it, with exact state.

A state is JSON's types: that of the iteration before, under "upstream", and a few numbers. It never
holds items: what a stage holds is read again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any, TypeAlias

from aisio.errors import ConfigError
from aisio.limits import is_whole
from aisio.transforms.functions import call

__all__ = [
    "BatchIteration",
    "FilterIteration",
    "Iteration",
    "MapIteration",
    "Open",
    "RepeatIteration",
    "ShuffleIteration",
    "SliceIteration",
]

Open: TypeAlias = Callable[[int], Iterator[Any]]
"""Begins an iteration over what comes before a stage; the argument is the number of the epoch."""


class Iteration(Iterator[Any]):
    """An iteration of a stage.

    Args:
        upstream: The iteration that this one reads.
    """

    def __init__(self, upstream: Iterator[Any]) -> None:
        self._upstream = upstream

    @abstractmethod
    def __next__(self) -> Any:
        """Return the next item."""

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands."""
        return {"upstream": state_of(self._upstream)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where another iteration of the same stage stood.

        Raises:
            ConfigError: The state is of another pipeline, of other data, or damaged.
        """
        load_state(self._upstream, state.get("upstream"))

    def close(self) -> None:
        """End what it reads, and release connections."""
        close = getattr(self._upstream, "close", None)
        if close is not None:
            close()


def state_of(iteration: Iterator[Any]) -> Any:
    """Return the state of an iteration.

    Raises:
        ConfigError: It has none.
    """
    if not hasattr(iteration, "state_dict"):
        raise ConfigError(f"{type(iteration).__name__} has no state_dict: it cannot be continued")
    return iteration.state_dict()


def _state_if_any(iteration: Iterator[Any]) -> Any:
    try:
        return state_of(iteration)
    except ConfigError:
        return None


def load_state(iteration: Iterator[Any], state: Any) -> None:
    """Have an iteration go on where another one stood.

    Raises:
        ConfigError: It has no state, or the state is none.
    """
    if not hasattr(iteration, "load_state_dict") or not isinstance(state, Mapping):
        raise ConfigError(f"{state!r:.80} is no state of {type(iteration).__name__}")
    iteration.load_state_dict(state)


def number_in(state: Mapping[str, Any], name: str) -> int:
    """Return a number of a state.

    Raises:
        ConfigError: It is none.
    """
    value = state.get(name)
    if not is_whole(value) or isinstance(value, bool):
        raise ConfigError(f"{name}={value!r:.80}: the state is damaged")
    return int(value)  # type: ignore[arg-type]


class MapIteration(Iteration):
    """Calls a function with each item.

    Args:
        upstream: What is read.
        word: What the user called, for errors.
        function: Its result takes the item's place.
    """

    def __init__(self, upstream: Iterator[Any], word: str, function: Callable[[Any], Any]) -> None:
        super().__init__(upstream)
        self._word = word
        self._function = function

    def __next__(self) -> Any:
        return call(self._word, self._function, next(self._upstream))


class FilterIteration(Iteration):
    """Leaves items out.

    Args:
        upstream: What is read.
        predicate: Returns whether an item stays.
    """

    def __init__(self, upstream: Iterator[Any], predicate: Callable[[Any], Any]) -> None:
        super().__init__(upstream)
        self._predicate = predicate

    def __next__(self) -> Any:
        for item in self._upstream:
            if call("filter", self._predicate, item):
                return item
        raise StopIteration


class BatchIteration(Iteration):
    """Makes batches.

    Args:
        upstream: What is read.
        batch_size: Number of items of a batch.
        drop_last: Leave out a last batch that is not full.
        make: Makes a batch of a list of items.
    """

    def __init__(
        self,
        upstream: Iterator[Any],
        batch_size: int,
        drop_last: bool,
        make: Callable[[list[Any]], Any],
    ) -> None:
        super().__init__(upstream)
        self._batch_size = batch_size
        self._drop_last = drop_last
        self._make = make
        self._begin_batch()

    def _begin_batch(self) -> None:
        # Kept where reading the next one raises, or making the batch is interrupted.
        self._items: list[Any] = []
        self._start = _state_if_any(self._upstream)

    def __next__(self) -> Any:
        items = self._items
        if len(items) < self._batch_size:  # as it is, but where making the batch was interrupted
            for item in self._upstream:
                items.append(item)
                if len(items) == self._batch_size:
                    break
        if not items or (self._drop_last and len(items) < self._batch_size):
            self._begin_batch()
            raise StopIteration
        try:
            batch = call("batch", self._make, items)
        except Exception:
            self._begin_batch()
            raise
        self._begin_batch()
        return batch

    def state_dict(self) -> dict[str, Any]:
        """See `Iteration.state_dict`: a batch that was begun is read again."""
        return {"upstream": self._start} if self._items else super().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Iteration.load_state_dict`."""
        super().load_state_dict(state)
        self._begin_batch()


class SliceIteration(Iteration):
    """Leaves items out by their positions, which count over all ranks and workers.

    The n-th item of this process is at the position `first + n * step` of its own `place`, whoever
    reads the others.

    Args:
        upstream: What is read.
        positions: Start, stop and step of those that stay; a stop of None is the end.
        place: The position of this process's first item, and how many further its next one is.
    """

    def __init__(
        self,
        upstream: Iterator[Any],
        positions: tuple[int, int | None, int],
        place: tuple[int, int],
    ) -> None:
        super().__init__(upstream)
        self._positions = positions
        self._place = place
        self._taken = 0

    def __next__(self) -> Any:
        start, stop, step = self._positions
        first, further = self._place
        while True:
            position = first + further * self._taken
            if stop is not None and position >= stop:
                raise StopIteration  # without reading what is behind
            item = next(self._upstream)
            self._taken += 1
            if position >= start and not (position - start) % step:
                return item

    def state_dict(self) -> dict[str, Any]:
        """See `Iteration.state_dict`."""
        return super().state_dict() | {"taken": self._taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Iteration.load_state_dict`."""
        taken = number_in(state, "taken")
        super().load_state_dict(state)
        self._taken = taken


class ShuffleIteration(Iteration):
    """Permutes the items within windows of a fixed size.

    For each item of a window that it gives, it reads one of the next window, so it holds as many
    items as a window has, and reads as steadily as it is read. The order depends on the key alone.
    A state says where the window begins that is given, so at most two windows are read again.

    Args:
        upstream: What is read.
        size: Number of items of a window.
        key: What chooses the orders.
    """

    def __init__(self, upstream: Iterator[Any], size: int, key: str) -> None:
        super().__init__(upstream)
        self._size = size
        self._key = key
        self._number = 0  # of the window that is read ahead
        self._given_of_next = 0  # how many of its items an earlier iteration gave
        self._begin_window([])

    def _begin_window(self, window: list[Any]) -> None:
        """Give the items of a window, and begin to read the next one."""
        self._window = window
        self._ahead: list[Any] = []
        self._ahead_start = _state_if_any(self._upstream)

    def __next__(self) -> Any:
        if not self._window:
            self._next_window()
        self._read_ahead(1)
        return self._window.pop()

    def _next_window(self) -> None:
        self._read_ahead(self._size)
        given, count = self._given_of_next, len(self._ahead)
        if given and given >= count:
            raise ConfigError(
                f"the state is of other data: {given} items of a window of .shuffle() had been"
                f" given, which has {count} now: begin the epoch anew"
            )
        if not count:
            raise StopIteration
        self._start = self._ahead_start
        window = _permuted(self._ahead, f"{self._key} window {self._number}")
        self._count, self._number, self._given_of_next = count, self._number + 1, 0
        self._begin_window(window[: count - given])

    def _read_ahead(self, count: int) -> None:
        missing = min(count, self._size - len(self._ahead))
        for _ in range(missing):
            try:
                self._ahead.append(next(self._upstream))
            except StopIteration:
                return

    def state_dict(self) -> dict[str, Any]:
        """See `Iteration.state_dict`."""
        if not self._window:
            upstream, number, given = self._ahead_start, self._number, self._given_of_next
        else:
            given = self._count - len(self._window)
            upstream, number = self._start, self._number - 1
        if upstream is None:
            state_of(self._upstream)  # raises
        return {"upstream": upstream, "window": number, "given": given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Iteration.load_state_dict`."""
        number, given = number_in(state, "window"), number_in(state, "given")
        super().load_state_dict(state)
        self._number, self._given_of_next = number, given
        self._begin_window([])


class RepeatIteration(Iteration):
    """Reads all items several times, each time as another epoch.

    Args:
        open_upstream: Begins an epoch.
        epoch: Number of the first epoch.
        times: How many epochs there are; None for no end.
    """

    def __init__(self, open_upstream: Open, epoch: int, times: int | None) -> None:
        self._open = open_upstream
        self._first = epoch * times if times is not None else epoch
        self._times = times
        self._turn_to(0)

    def _turn_to(self, number: int) -> None:
        upstream = self._open(self._first + number)  # where it raises, the pass before has ended
        self._upstream, self._pass, self._is_empty = upstream, number, True

    def __next__(self) -> Any:
        while True:
            for item in self._upstream:
                self._is_empty = False
                return item
            if self._is_empty or self._pass + 1 == self._times:
                raise StopIteration  # a share without items would be repeated for ever
            self._turn_to(self._pass + 1)

    def state_dict(self) -> dict[str, Any]:
        """See `Iteration.state_dict`."""
        return super().state_dict() | {"pass": self._pass, "empty": self._is_empty}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Iteration.load_state_dict`."""
        number = number_in(state, "pass")
        self.close()
        self._turn_to(number)
        super().load_state_dict(state)
        self._is_empty = bool(state.get("empty"))


def _permuted(items: list[Any], key: str) -> list[Any]:
    """Return items in a random order: by `Random.random`, which is the same in every Python."""
    draw, permuted = Random(key).random, list(items)
    for index in range(len(permuted) - 1, 0, -1):
        other = int(draw() * (index + 1))
        permuted[index], permuted[other] = permuted[other], permuted[index]
    return permuted
