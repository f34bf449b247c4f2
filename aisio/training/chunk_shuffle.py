"""ChunkShuffle: an order in which neighbours stay together. Pure arithmetic.

The items are cut into chunks of one size, and the chunks come in a random order, each of them from
its start to its end. Where the first cut is changes too, so that no two items always come together.
So the first and the last chunk may be shorter than the others.
"""

from __future__ import annotations

from collections.abc import Iterator

from aisio.errors import ConfigError
from aisio.limits import is_whole
from aisio.training.order.permutation import Permutation, keyed_number

__all__ = ["ChunkShuffle"]


class ChunkShuffle:
    """Puts items in a random order of chunks, which depends on seed and epoch alone.

    Args:
        chunk_size: Number of items in a chunk.
        seed: Chooses the orders.

    Raises:
        ConfigError: An argument is no whole number, or the size is below 1.
    """

    def __init__(self, chunk_size: int, seed: int) -> None:
        if not is_whole(chunk_size) or chunk_size < 1:
            raise ConfigError(f"shuffle_chunk_size={chunk_size!r}: a whole number from 1 on")
        if not is_whole(seed):
            raise ConfigError(f"seed={seed!r} is no whole number")
        self._chunk_size = chunk_size
        self._seed = seed

    def __str__(self) -> str:
        return f"chunks of {self._chunk_size}, seed {self._seed}"

    def pieces(self, count: int, epoch: int, positions: range) -> Iterator[range]:
        """Yield the items at some neighbouring positions of an epoch, in pieces of chunks.

        Args:
            count: Number of all items.
            epoch: Number of the epoch.
            positions: The positions, each below `count`.
        """
        size = self._chunk_size
        first = 1 + keyed_number(size, self._seed, epoch, "first chunk")
        order = Permutation(1 + max(0, -(-(count - first) // size)), self._seed, epoch, "chunks")
        position = 0
        for chunk in order:
            start = first + (chunk - 1) * size if chunk else 0
            length = min(first + chunk * size, count) - start
            skipped = max(0, positions.start - position)
            taken = min(length, positions.stop - position)
            if skipped < taken:
                yield range(start + skipped, start + taken)
            position += length
            if position >= positions.stop:
                return
