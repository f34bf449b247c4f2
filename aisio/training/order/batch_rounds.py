"""BatchRounds: batches that are made already, shared out to ranks in rounds of one each."""

from __future__ import annotations

from collections.abc import Sequence

from aisio.extras import missing_extra
from aisio.training.order.cut import Equalize
from aisio.training.order.permutation import keyed_number
from aisio.training.order.shuffled import Numbers, shuffled

try:
    import numpy as np
except ImportError as error:
    raise missing_extra("numpy", "torch") from error

__all__ = ["BatchRounds"]


class BatchRounds:
    """What is left of an epoch's batches, cut into rounds: neighbours, one for each rank.

    Args:
        line: Numbers of the batches, in order.
        ranks: How many ranks there are.
        equalize: What becomes of the last batches, where they are fewer than the ranks: "drop"
            leaves them out, "pad" fills the round up with the first ones, and "none" gives them to
            the first ranks.
        key: What chooses the order of the rounds, and which batches are the last ones. None leaves
            the order of the line as it is.
    """

    def __init__(
        self,
        line: Numbers,
        ranks: int,
        equalize: Equalize,
        key: Sequence[int | str] | None = None,
    ) -> None:
        self._equalize = equalize
        self._ranks = ranks
        self._full, self._left = divmod(len(line), ranks)
        self._line, self._order = line, None
        if key is not None and len(line):
            # Otherwise the last ones of the line would be left out in each epoch.
            self._line = np.roll(line, -keyed_number(len(line), *key, "first"))
            self._order = shuffled(self._full, *key)

    def count(self, rank: int) -> int:
        """Return how many batches a rank has."""
        has_last = self._equalize == "pad" or (self._equalize == "none" and rank < self._left)
        return self._full + (self._left > 0 and has_last)

    def batch(self, rank: int, number: int) -> int:
        """Return which batch is a rank's n-th."""
        if number < self._full and self._order is not None:
            number = int(self._order[number])
        return int(self._line[(number * self._ranks + rank) % len(self._line)])

    def remainder(self, received: int) -> Numbers:
        """Return the batches that are left when each rank has received so many, in their order."""
        if received > self._full and self._equalize != "drop":
            return self._line[:0]
        rounds = self._line[: self._full * self._ranks].reshape(self._full, self._ranks)
        left = slice(received, None) if self._order is None else np.sort(self._order[received:])
        return np.concatenate([rounds[left].ravel(), self._line[self._full * self._ranks :]])
