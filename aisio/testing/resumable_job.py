"""The parts of a job that a check stops and starts again: its ranks, and the states they save."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

__all__ = [
    "JobCheckpoints",
    "JobRanks",
    "ResumableLoader",
    "Topology",
    "check_job",
    "described",
    "difference",
]

_MAX_NAMED = 10
"""A message names so many samples."""


class ResumableLoader(Protocol):
    """A loader with a state, as torchdata's StatefulDataLoader and aisio's Loader have it."""

    def __iter__(self) -> Iterator[Any]:
        """Read an epoch, or what is left of it."""

    def state_dict(self) -> dict[str, Any]:
        """Return where the trainer stands."""

    def load_state_dict(self, state: Any) -> None:
        """Go there."""


Topology: TypeAlias = "int | Mapping[str, Any]"
"""How a job is run: {"ranks": 4, "num_workers": 2, "batch_size": 8}. What stands beside "ranks" is
passed to the function that makes loaders, under its name. A number n is short for {"ranks": n}."""


def described(topology: Topology) -> str:
    """Return a topology as text."""
    ranks, others = _ranks_and_others(topology)
    text = ", ".join(f"{name}={value!r}" for name, value in others.items())
    return f"{_counted(ranks, 'rank')}{' with ' * bool(text)}{text}"


def check_job(topologies: Sequence[Topology], samples: Sequence[Hashable]) -> None:
    """Refuse what would check nothing.

    Raises:
        ValueError: There are no topologies or no samples, or a topology has no ranks.
    """
    if not topologies or not samples:
        missing = "topologies" if samples else "samples"
        raise ValueError(f"there are no {missing}: nothing would be checked")
    for topology in topologies:
        ranks, _ = _ranks_and_others(topology)
        if ranks < 1:
            raise ValueError(f"topology {topology!r} has no ranks: nothing would be checked")


class JobRanks:
    """The loaders of all ranks of a job, between a start and a stop.

    Args:
        make_loader: Makes the loader of a rank, from its number, the number of ranks, and what else
            the topology says.
        topology: How many ranks there are, and what else.
    """

    def __init__(self, make_loader: Callable[..., ResumableLoader], topology: Topology) -> None:
        ranks, others = _ranks_and_others(topology)
        self.loaders = [make_loader(rank, ranks, **others) for rank in range(ranks)]
        self.iterators: list[Iterator[Any]] = []
        for loader in self.loaders:
            with suppress(TypeError):  # as a progress bar does; a stream has no length
                len(loader)  # type: ignore[arg-type]

    def begin_epoch(self) -> None:
        """Begin to iterate on all ranks."""
        self.iterators = [iter(loader) for loader in self.loaders]


@dataclass(frozen=True)
class JobCheckpoints:
    """Saves and restores the states of all ranks.

    Attributes:
        dumps: Writes a state.
        loads: Reads what `dumps` wrote.
        max_bytes: Size that a state may have.
        has_own_states: Whether each rank goes on from its own state. If not, all go on from that
            of rank 0, and must have the same one.
    """

    dumps: Callable[[Any], str | bytes] = json.dumps
    loads: Callable[[Any], Any] = json.loads
    max_bytes: int = 2048
    has_own_states: bool = False

    def save(self, loaders: Sequence[ResumableLoader]) -> list[str | bytes]:
        """Return the states of loaders, as they are written.

        Raises:
            AssertionError: A state is too large, changes with a second look, or differs from that
                of another rank.
        """
        texts = [self.dumps(loader.state_dict()) for loader in loaders]
        size = max(map(len, texts))
        if size > self.max_bytes:
            raise AssertionError(f"a state of {size} bytes: at most {self.max_bytes} are allowed")
        if texts != [self.dumps(loader.state_dict()) for loader in loaders]:
            raise AssertionError("state_dict() returned another state when it was called again")
        if not self.has_own_states and len(set(texts)) > 1:
            raise AssertionError(f"the ranks have different states: {sorted(map(str, set(texts)))}")
        return texts

    def restore(self, loaders: Sequence[ResumableLoader], texts: Sequence[str | bytes]) -> None:
        """Load the states that `save` returned into other loaders.

        Raises:
            ValueError: Each rank goes on from its own state, and their number has changed.
        """
        if self.has_own_states and len(loaders) != len(texts):
            raise ValueError(
                f"{len(texts)} ranks saved states of their own, and {len(loaders)} go on: with"
                " own_states all topologies need the same number of ranks"
            )
        for rank, loader in enumerate(loaders):
            loader.load_state_dict(self.loads(texts[rank if self.has_own_states else 0]))


def difference(
    received: Iterable[Hashable],
    expected: Iterable[Hashable],
    *,
    max_dropped: int = 0,
    max_repeated: int = 0,
) -> str:
    """Return which samples were lost, and which came twice, or "" if that is within the limits.

    Args:
        received: The samples of an epoch that came.
        expected: Those that there are.
        max_dropped: How many may be missing.
        max_repeated: How many may come once more.
    """
    came, exist = Counter(received), Counter(expected)
    unknown = Counter({sample: count for sample, count in came.items() if sample not in exist})
    twice, lost = came - exist - unknown, exist - came
    parts = [
        f"{_counted(count.total(), 'sample')} {what}: {_shortly(count)}"
        for count, limit, what in (
            (unknown, 0, "came that do not exist"),
            (lost, max_dropped, "did not come"),
            (twice, max_repeated, "came more than once"),
        )
        if count.total() > limit
    ]
    return "; ".join(parts)


def _shortly(samples: Counter[Hashable]) -> str:
    names = list(map(repr, samples))
    return ", ".join(names[:_MAX_NAMED]) + " ..." * (len(names) > _MAX_NAMED)


def _ranks_and_others(topology: Topology) -> tuple[int, dict[str, Any]]:
    others = {"ranks": topology} if isinstance(topology, int) else dict(topology)
    return others.pop("ranks", 1), others


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"
