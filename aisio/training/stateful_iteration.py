"""StatefulIteration: an iteration that torchdata's StatefulDataLoader can go on with.

A generator that raises has ended, and says so to whoever asks for the next item: a loop that skips
errors would take the rest of an epoch for read. So an iteration goes on after an error. Where the
user's function raised, it goes on behind the item; where a read failed, it reads that again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from aisio.errors import ConfigError
from aisio.forks import SameProcess, this_process
from aisio.training.split import Partition
from aisio.training.whole_number import whole_number

__all__ = [
    "Failed",
    "StatefulIteration",
    "Step",
    "after_error",
    "behind",
    "check_partition",
    "check_patterns",
    "is_ended_by",
    "patterns_state",
]

T = TypeVar("T")


class Failed:
    """Takes the place of an item that could not be made, so that those behind it still come.

    Args:
        error: What the user's function raised.
    """

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error: Exception | None = error

    def take(self) -> Exception:
        """Return the error, once; its traceback has frames that keep this object."""
        error, self._error = self._error, None
        assert error is not None, "it was raised before"
        return error


def is_ended_by(error: BaseException, steps: object, process: SameProcess) -> bool:
    """Tell whether an error has ended a generator, which is to be begun again.

    Args:
        error: What it raised. StopIteration is its own end.
        steps: The generator. In another thread it may be running: then it has not ended.
        process: Where it was begun. A forked child that went on would read what its parent reads.
    """
    has_ended = getattr(steps, "gi_frame", steps) is None
    return has_ended and process.is_current and not isinstance(error, StopIteration)


def after_error(
    error: BaseException,
    steps: Iterator[T],
    process: SameProcess,
    begin: Callable[[], Iterator[T]],
) -> Iterator[T]:
    """Return what an iteration goes on with after an error.

    Args:
        error: As for `is_ended_by`; so are the next two.
        steps: The generator.
        process: Where it was begun.
        begin: Begins another one; called when its first item is wanted.
    """
    return _begun_later(begin) if is_ended_by(error, steps, process) else steps


def _begun_later(begin: Callable[[], Iterator[T]]) -> Iterator[T]:
    yield from begin()


class Step(NamedTuple):
    """An item of an iteration, and where the iteration stands behind it.

    Attributes:
        position: How many of the listed objects are behind it, with those that were skipped.
        name: The name of the last of them.
        item: What is yielded; a `Failed` is raised.
    """

    position: int
    name: str
    item: Any


class StatefulIteration(Iterator[Any]):
    """Counts the listed objects behind an iteration, and begins it anew behind so many.

    After an error it goes on, in the process that began it: behind an item that is a `Failed`, and
    with the object that could not be read.

    Args:
        begin: Begins the iteration behind so many objects, without reading those; the name of the
            last of them must be the one it is given: see `behind`.
        partition: Rank and worker of this process.
        order: What the order of the items depends on, in words; "" if it is always the same.
        patterns: See `SourceSet.patterns`.
    """

    def __init__(
        self,
        begin: Callable[[int, str], Iterator[Step]],
        partition: Partition,
        order: str = "",
        patterns: str = "",
    ) -> None:
        self._begin = begin
        self._partition = partition
        self._order = order
        self._patterns = patterns
        self._yielded = 0
        self._last = ""
        self._steps = begin(0, "")
        self._process = this_process()

    def __next__(self) -> Any:
        try:
            self._yielded, self._last, item = next(self._steps)
        except BaseException as error:
            begin = partial(self._begin, self._yielded, self._last)
            self._steps = after_error(error, self._steps, self._process, begin)
            raise
        if type(item) is Failed:
            raise item.take()
        return item

    def state_dict(self) -> dict[str, Any]:
        """Return how many objects are behind it, the last one's name, and which rank and worker.

        If there is more than one order, it is told too, and so are patterns for names.
        """
        partition = list(astuple(self._partition))
        state = {"yielded": self._yielded, "last": self._last, "partition": partition}
        order = {"order": self._order} if self._order else {}
        return state | order | patterns_state(self._patterns)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the iteration of the same rank and worker stood.

        Raises:
            ConfigError: The state is of another rank or worker, or of other numbers of them, or of
                another order or other patterns, or objects have come or gone since.
        """
        check_partition(state, self._partition)
        check_patterns(state, self._patterns)
        if (order := state.get("order", "")) != self._order:
            raise ConfigError(
                f"the state is of the order {order!r}, and this is {self._order!r}: make the"
                " dataset with the same arguments, and call set_epoch() before the iteration begins"
            )
        yielded, last = whole_number("yielded", state.get("yielded"), 0), state.get("last")
        if not isinstance(last, str):
            raise ConfigError(f"last={last!r} is no name: the state is damaged")
        self._steps = self._begin(yielded, last)
        self._yielded, self._last = yielded, last


def check_partition(state: Mapping[str, Any], partition: Partition) -> None:
    """Refuse the state of another rank or worker.

    Raises:
        ConfigError: It is one, or there are other numbers of them.
    """
    mine = list(astuple(partition))
    if state.get("partition") != mine:
        raise ConfigError(
            f"the state is of (rank, ranks, worker, workers) {state.get('partition')}, and this"
            f" is {mine}: StatefulDataLoader can go on with the same alone; aisio.Loader goes on"
            " with any"
        )


def patterns_state(patterns: str) -> dict[str, str]:
    """Return what a state says of the patterns for names; see `SourceSet.patterns`."""
    return {"patterns": patterns} if patterns else {}


def check_patterns(state: Mapping[str, Any], patterns: str) -> None:
    """Refuse the state of a dataset with other patterns for names.

    Raises:
        ConfigError: It is one. Where it stood there may be the same object, but not behind it.
    """
    if (theirs := state.get("patterns", "")) != patterns:
        raise ConfigError(
            f"the state is of other data: it was saved with {theirs or 'no include= or exclude='},"
            f" and this dataset has {patterns or 'neither'}: begin the epoch anew"
        )


def behind(items: Iterator[T], count: int, last: str, name_of: Callable[[T], str]) -> Iterator[T]:
    """Skip items, and return the others.

    Args:
        items: All of them.
        count: How many to skip.
        last: What the last of those must be named.
        name_of: Returns the name of an item.

    Raises:
        ConfigError: It is another one, or there are fewer.
    """
    if not count:
        return items
    names = [name_of(item) for item in islice(items, count - 1, count)]
    if names != [last]:
        raise ConfigError(
            f"the state is of other data: it was saved behind {last!r}, item {count:,} of this rank"
            f" and worker, which is now {names[0] if names else None!r}: begin the epoch anew"
        )
    return items
