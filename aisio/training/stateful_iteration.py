"""StatefulIteration: an iteration that torchdata's StatefulDataLoader can go on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from typing import Any, TypeVar

from aisio.errors import ConfigError
from aisio.training.split import Partition
from aisio.training.whole_number import whole_number

__all__ = ["StatefulIteration"]

T = TypeVar("T", covariant=True)


class StatefulIteration(Iterator[T]):
    """Counts what an iteration yields, and begins it anew behind so many items.

    Args:
        begin: Begins the iteration at an item, counted from 0, without reading those before it.
        partition: Rank and worker of this process.
    """

    def __init__(self, begin: Callable[[int], Iterator[T]], partition: Partition) -> None:
        self._begin = begin
        self._partition = list(astuple(partition))
        self._yielded = 0
        self._items = begin(0)

    def __next__(self) -> T:
        item = next(self._items)
        self._yielded += 1
        return item

    def state_dict(self) -> dict[str, Any]:
        """Return how many items were yielded, and to which rank and worker."""
        return {"yielded": self._yielded, "partition": self._partition}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the iteration of the same rank and worker stood.

        Raises:
            ConfigError: The state is of another rank or worker, or of other numbers of them.
        """
        if state.get("partition") != self._partition:
            raise ConfigError(
                f"the state is of (rank, ranks, worker, workers) {state.get('partition')}, and this"
                f" is {self._partition}: StatefulDataLoader can go on with the same alone;"
                " aisio.Loader goes on with any"
            )
        self._yielded = whole_number("yielded", state.get("yielded"), 0)
        self._items = self._begin(self._yielded)
