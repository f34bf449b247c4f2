"""MixLine: the samples of several sources in one order, mixed by weights. Pure arithmetic."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

from aisio.training.order.apportionment import Apportionment, whole_weights
from aisio.training.order.epoch_line import EpochLine, Line
from aisio.training.order.permutation import Permutation, keyed_number

__all__ = ["MixLine", "MixRule", "OnEnd", "TailLine"]

_MAX_ORDERS = 64  # of sources that are kept

OnEnd: TypeAlias = Literal["stop", "repeat", "drop"]
"""What happens where a source has no more samples: the epoch ends; the source begins again, until
each has been read once; or the others share its weight, until all have been read."""


class MixRule(NamedTuple):
    """How sources are mixed.

    Attributes:
        weights: Weight of each source, from 0.
        on_end: See `OnEnd`.
    """

    weights: tuple[float, ...]
    on_end: OnEnd


class _Phase(NamedTuple):
    """Positions that are given to the same sources.

    Attributes:
        start: The first position.
        sources: The sources.
        weights: Their weights, as whole numbers.
        drawn: How many samples each of all sources has given before.
    """

    start: int
    sources: tuple[int, ...]
    weights: tuple[int, ...]
    drawn: tuple[int, ...]


class MixLine(Line):
    """The samples of an epoch, which are numbered by source, then as in their source.

    Args:
        sizes: Number of samples of each source.
        rule: How they are mixed.
        drawn: How many samples each source has given before, in this epoch.
        key: What chooses the orders within the sources; None leaves them as they are.
        pack: How many neighbours of a source stay together in its order.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        rule: MixRule,
        drawn: Sequence[int] = (),
        key: Sequence[int | str] | None = None,
        pack: int = 1,
    ) -> None:
        self._sizes = sizes
        self._firsts = [0, *accumulate(sizes)]
        self._key = key
        self._pack = pack
        self._orders: dict[tuple[int, int], Permutation | EpochLine] = {}
        self._drawn = tuple(drawn) or (0,) * len(sizes)
        self._phases, self._count = _phases(tuple(sizes), rule, self._drawn)
        self._starts = [phase.start for phase in self._phases]
        self._newest: tuple[_Phase, Apportionment] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> int:
        phase, shares = self._phase_at(position)
        number, before = shares.locate(position - phase.start)
        source = phase.sources[number]
        return self._firsts[source] + self._sample(source, phase.drawn[source] + before)

    def drawn(self, positions: int) -> tuple[int, ...]:
        """Return how many samples each source has given behind so many positions."""
        if not self._phases:
            return self._drawn
        phase, shares = self._phase_at(positions)
        return _after(phase, shares.counts(positions - phase.start))

    def _phase_at(self, position: int) -> tuple[_Phase, Apportionment]:
        phase = self._phases[bisect_right(self._starts, position) - 1]
        if self._newest is None or self._newest[0] is not phase:
            self._newest = phase, Apportionment(phase.weights)
        return self._newest

    def _sample(self, source: int, number: int) -> int:
        turn, place = divmod(number, self._sizes[source])
        if self._key is None:
            return place
        order = self._orders.get((source, turn))
        if order is None:
            if len(self._orders) >= _MAX_ORDERS:
                self._orders.clear()
            order = self._orders[source, turn] = self._order(source, turn, self._key)
        return order[place]

    def _order(self, source: int, turn: int, key: Sequence[int | str]) -> Permutation | EpochLine:
        size, key = self._sizes[source], (*key, "mix", source, turn)
        if self._pack == 1:
            return Permutation(size, *key)
        return EpochLine(size, self._pack, keyed_number(1 << 62, *key), turn)


class TailLine(Line):
    """A line without its beginning.

    Args:
        line: The line.
        start: Its first position that is left.
    """

    def __init__(self, line: Line, start: int) -> None:
        self._line = line
        self._start = start

    def __len__(self) -> int:
        return max(0, len(self._line) - self._start)

    def __getitem__(self, position: int) -> int:
        return self._line[self._start + position]


@lru_cache(maxsize=8)
def _phases(
    sizes: tuple[int, ...], rule: MixRule, drawn: tuple[int, ...]
) -> tuple[list[_Phase], int]:
    """Return the phases of an epoch, and how many positions it has."""
    sources = tuple(source for source, weight in enumerate(rule.weights) if weight)
    if rule.on_end == "drop":
        sources = _with_samples(sizes, sources, drawn)
    weights = whole_weights(rule.weights)
    phases: list[_Phase] = []
    start = 0
    while sources:
        phase = _Phase(start, sources, tuple([weights[source] for source in sources]), drawn)
        phases.append(phase)
        shares = Apportionment(phase.weights)
        left = [max(0, sizes[source] - drawn[source]) for source in sources]
        if rule.on_end == "repeat":
            return phases, max(0, shares.last_position(count - 1 for count in left) + 1)
        # Where a source would be asked for more than it has.
        count = shares.first_position(left)
        start += count
        if rule.on_end == "stop":
            return phases, start
        drawn = _after(phase, shares.counts(count))
        sources = _with_samples(sizes, sources, drawn)
    return phases, start


def _after(phase: _Phase, given: Sequence[int]) -> tuple[int, ...]:
    """Return how many samples each of all sources has given after some of a phase."""
    drawn = list(phase.drawn)
    for source, count in zip(phase.sources, given, strict=True):
        drawn[source] += count
    return tuple(drawn)


def _with_samples(
    sizes: Sequence[int], sources: Sequence[int], drawn: Sequence[int]
) -> tuple[int, ...]:
    return tuple(source for source in sources if drawn[source] < sizes[source])
