"""Which of several sources each position of a sequence is of, by their weights. Pure arithmetic.

The sources are the leaves of a Huffman tree. At each node, round(n * p) of the first n positions go
to the child whose share of the weights is p, and the others to its sibling. So a position is found
without those before it, in as many steps as the tree is deep; and at each position, each source has
had its share of those before it, to less than two samples: a node adds half a sample at most, and a
child that is a node itself has at most two thirds of its parent's deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from heapq import heapify, heappop, heappush
from math import lcm

__all__ = ["Apportionment", "whole_weights"]


class Apportionment:
    """Gives each position to a source, each source its share.

    Nodes are numbered: the sources first, then each node behind its children.

    Args:
        weights: The weights of the sources, above 0; see `whole_weights`.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        self._sources = len(weights)
        self._weights = list(weights)
        self._children: list[tuple[int, int]] = []
        heap = [(weight, source) for source, weight in enumerate(self._weights)]
        heapify(heap)
        while len(heap) > 1:
            (light, lighter), (heavy, heavier) = heappop(heap), heappop(heap)
            heappush(heap, (light + heavy, len(self._weights)))
            self._weights.append(light + heavy)
            self._children.append((heavier, lighter))

    def locate(self, position: int) -> tuple[int, int]:
        """Return the source of a position, and how many positions before it are of that source."""
        node = len(self._weights) - 1
        while node >= self._sources:
            first, second = self._children[node - self._sources]
            share, whole = self._weights[first], self._weights[node]
            before = _rounded(position * share, whole)
            if _rounded(position * share + share, whole) > before:
                node, position = first, before
            else:
                node, position = second, position - before
        return node, position

    def counts(self, positions: int) -> list[int]:
        """Return how many of the first positions are of each source."""
        counts = [0] * len(self._weights)
        counts[-1] = positions
        for node, first, second in reversed(list(self._nodes())):
            counts[first] = _rounded(counts[node] * self._weights[first], self._weights[node])
            counts[second] = counts[node] - counts[first]
        return counts[: self._sources]

    def first_position(self, numbers: Iterable[int]) -> int:
        """Return the first position that is one of these: of each source the item of a number."""
        return self._chosen(min, numbers)

    def last_position(self, numbers: Iterable[int]) -> int:
        """Return the last position that is one of these; below 0 if all numbers are."""
        return self._chosen(max, numbers)

    def _chosen(self, choose: Callable[[int, int], int], numbers: Iterable[int]) -> int:
        found = list(numbers)
        for node, first, second in self._nodes():
            whole = self._weights[node]
            share, other = self._weights[first], self._weights[second]
            # The first n for which round(n * share / whole) is above the number, less 1; and the
            # last n for which n - round(n * share / whole) is not.
            of_first = -(-(2 * found[first] + 1) * whole // (2 * share)) - 1
            of_second = (2 * found[second] + 1) * whole // (2 * other)
            found.append(choose(of_first, of_second))
        return found[-1]

    def _nodes(self) -> Iterator[tuple[int, int, int]]:
        """Yield each node with its children, behind these."""
        for node, (first, second) in enumerate(self._children, self._sources):
            yield node, first, second


def whole_weights(weights: Iterable[float]) -> list[int]:
    """Return whole numbers of the ratios that weights have as they are written: 0.1 is a tenth."""
    exact = [Fraction(repr(float(weight))) for weight in weights]
    common = lcm(*(weight.denominator for weight in exact))
    return [weight.numerator * (common // weight.denominator) for weight in exact]


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
