"""Which of several sources each position of a sequence is of, by their weights. Pure arithmetic.

The sources are the leaves of a Huffman tree. At each node, round(n * p) of the first n positions go
to the child whose share of the weights is p, and the others to its sibling. So a position is found
without those before it, in as many steps as the tree is deep; and at each position, each source has
had its share of those before it, to less than two samples: a node adds half a sample at most, and a
child that is a node itself has at most two thirds of its parent's deviation.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

__all__ = ["Apportionment", "exact"]


class _Turn(NamedTuple):
    """A step from a node to a child.

    Attributes:
        numerator: Of the left child's share of the node's positions.
        denominator: Of it.
        is_left: Whether the child is the left one.
    """

    numerator: int
    denominator: int
    is_left: bool

    def count(self, positions: int) -> int:
        """Return how many of the node's first positions are the child's."""
        left = (2 * positions * self.numerator + self.denominator) // (2 * self.denominator)
        return left if self.is_left else positions - left

    def position(self, number: int) -> int:
        """Return which of the node's positions is the child's of this number."""
        doubled = (2 * number + 1) * self.denominator
        if self.is_left:
            return -(-doubled // (2 * self.numerator)) - 1
        return doubled // (2 * (self.denominator - self.numerator))


class _Node:
    """A source, or two nodes.

    Args:
        weight: The sum of the weights below.
        source: Number of the source; of no meaning where there are children.
        children: The two nodes.
    """

    def __init__(
        self, weight: Fraction, source: int = 0, children: tuple[_Node, _Node] | None = None
    ) -> None:
        self.weight = weight
        self.source = source
        self.children = children
        self.turns: tuple[_Turn, ...] = ()
        if children is not None:
            share = children[0].weight / weight
            self.turns = tuple(
                _Turn(share.numerator, share.denominator, is_left) for is_left in (True, False)
            )


class Apportionment:
    """Gives each position to a source, each source its share.

    Args:
        weights: The weights of the sources, above 0.
    """

    def __init__(self, weights: Sequence[Fraction]) -> None:
        leaves = enumerate(map(_Node, weights, range(len(weights))))
        heap = [(leaf.weight, number, leaf) for number, leaf in leaves]
        heapq.heapify(heap)
        number = len(heap)
        while len(heap) > 1:
            (_, _, lighter), (_, _, heavier) = heapq.heappop(heap), heapq.heappop(heap)
            weight = lighter.weight + heavier.weight
            heapq.heappush(heap, (weight, number, _Node(weight, 0, (heavier, lighter))))
            number += 1
        self._root = heap[0][2]
        self._turns: list[tuple[_Turn, ...]] = [()] * len(weights)
        self._find_turns(self._root, ())

    def _find_turns(self, node: _Node, turns: tuple[_Turn, ...]) -> None:
        if node.children is None:
            self._turns[node.source] = turns
            return
        for child, turn in zip(node.children, node.turns, strict=True):
            self._find_turns(child, (*turns, turn))

    def locate(self, position: int) -> tuple[int, int]:
        """Return the source of a position, and how many positions before it are of that source."""
        node = self._root
        while node.children is not None:
            left = node.turns[0]
            before = left.count(position)
            is_left = left.count(position + 1) > before
            node = node.children[0 if is_left else 1]
            position = before if is_left else position - before
        return node.source, position

    def count(self, source: int, positions: int) -> int:
        """Return how many of the first positions are of a source."""
        for turn in self._turns[source]:
            positions = turn.count(positions)
        return positions

    def position(self, source: int, number: int) -> int:
        """Return the position of a source's item of this number, counted from 0."""
        for turn in reversed(self._turns[source]):
            number = turn.position(number)
        return number


def exact(weight: float) -> Fraction:
    """Return a weight as it is written: 0.1 is a tenth."""
    return Fraction(repr(float(weight)))
