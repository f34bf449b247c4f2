"""shuffled(): the numbers 0 to n-1 in the order of a `Permutation`, as an array, by numpy."""

from __future__ import annotations

from typing import TypeAlias

from aisio.extras import missing_extra
from aisio.training.order.permutation import MULTIPLIERS, Permutation

try:
    import numpy as np
    from numpy.typing import NDArray
except ImportError as error:
    raise missing_extra("numpy", "torch") from error

__all__ = ["Numbers", "number_type", "shuffled"]

Numbers: TypeAlias = "NDArray[np.unsignedinteger]"
"""Numbers of samples or batches."""

_CHUNK = 1 << 18
"""Numbers that are permuted at a time: they stay in the processor's cache."""


def number_type(count: int) -> type[np.unsignedinteger]:
    """Return the smaller of two types of numpy that holds the numbers below `count`."""
    return np.uint32 if count <= 1 << 32 else np.uint64


def shuffled(count: int, *key: int | str) -> Numbers:
    """Return the items of `Permutation(count, *key)`; ten million take two seconds."""
    permutation = Permutation(count, *key)
    numbers: Numbers = np.empty(count, number_type(count))
    for start in range(0, count, _CHUNK):
        values = _permuted(
            np.arange(start, min(start + _CHUNK, count), dtype=np.uint64), permutation
        )
        outside = np.flatnonzero(values >= count)
        while len(outside):
            values[outside] = _permuted(values[outside], permutation)
            outside = outside[values[outside] >= count]
        numbers[start : start + len(values)] = values
    return numbers


def _permuted(values: NDArray[np.uint64], permutation: Permutation) -> NDArray[np.uint64]:
    """Return the Feistel network's values, as the permutation computes them one by one."""
    left_bits, right_bits = permutation.bits
    left_mask, right_mask = (np.uint64((1 << bits) - 1) for bits in (left_bits, right_bits))
    first, second = map(np.uint64, MULTIPLIERS)
    left, right = values >> np.uint64(right_bits), values & right_mask
    for key in permutation.keys:
        mixed = (right ^ np.uint64(key)) * first
        mixed = (mixed ^ (mixed >> np.uint64(31))) * second
        left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(33))) & left_mask)
        left_mask, right_mask = right_mask, left_mask
    permuted: NDArray[np.uint64] = (left << np.uint64(right_bits)) | right
    return permuted
