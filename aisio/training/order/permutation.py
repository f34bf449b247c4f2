"""A keyed permutation of 0 to n-1 that takes no memory: item i of a shuffled list without the list.

A Feistel network permutes the numbers of just enough bits, and numbers that are not below n are
permuted again until one is ("cycle walking"). So each n has its own permutation for each key, and
the same one on every platform and in every process: only integers are computed.

Source: J. Black and P. Rogaway, "Ciphers with Arbitrary Finite Domains" (2002), method 2. The
multipliers of the round function are those of splitmix64, whose job is the same: to have every bit
of the output depend on every bit of the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from struct import unpack

__all__ = ["MULTIPLIERS", "Permutation", "keyed_number"]

_ROUNDS = 6
_MASK = (1 << 64) - 1
MULTIPLIERS = _MULTIPLIER_1, _MULTIPLIER_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

_MOST_BY_TABLES = 1 << 20
"""Up to so many numbers, all of them are computed by tables, of six times 1,024 entries at most."""


def keyed_number(below: int, *key: int | str) -> int:
    """Return a number in [0, below) that is a hash of the key."""
    return int.from_bytes(_digest(16, *key), "little") % below


class Permutation:
    """A permutation of the numbers 0 to size - 1.

    Args:
        size: How many numbers there are, from 0 to 2^62.
        key: What chooses the permutation.

    Attributes:
        size: How many numbers there are.
        keys: The keys of the network's rounds.
    """

    __slots__ = ("_left_bits", "_left_mask", "_right_bits", "_right_mask", "keys", "size")

    def __init__(self, size: int, *key: int | str) -> None:
        self.size = size
        bits = max(2, (size - 1).bit_length())
        self._right_bits = bits // 2
        self._left_bits = bits - self._right_bits
        self._right_mask = (1 << self._right_bits) - 1
        self._left_mask = (1 << self._left_bits) - 1
        self.keys: tuple[int, ...] = unpack(f"<{_ROUNDS}Q", _digest(8 * _ROUNDS, *key))

    @property
    def bits(self) -> tuple[int, int]:
        """How many bits of a number the network has in its left and in its right half."""
        return self._left_bits, self._right_bits

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        """Return where the permutation takes an index.

        Raises:
            IndexError: It is not in [0, size).
        """
        size = self.size
        if not 0 <= index < size:
            raise IndexError(f"{index} of a permutation of {size:,}")
        value = self._permuted(index)
        while value >= size:
            value = self._permuted(value)
        return value

    def __iter__(self) -> Iterator[int]:
        if self.size > _MOST_BY_TABLES:
            return map(self.__getitem__, range(self.size))
        return self._by_tables()

    def _by_tables(self) -> Iterator[int]:
        """Yield all values: a half has few, so each round is computed once for each of them."""
        size, bits, mask = self.size, self._right_bits, self._right_mask
        masks = (self._right_mask, self._left_mask)
        first, second, third, fourth, fifth, sixth = (
            [_mixed(half, key) & masks[1 - number % 2] for half in range(masks[number % 2] + 1)]
            for number, key in enumerate(self.keys)
        )
        for index in range(size):
            value = size
            left, right = index >> bits, index & mask
            while value >= size:
                left ^= first[right]
                right ^= second[left]
                left ^= third[right]
                right ^= fourth[left]
                left ^= fifth[right]
                right ^= sixth[left]
                value = left << bits | right
            yield value

    def _permuted(self, value: int) -> int:
        """Return the Feistel network's value; the halves change places, and sizes, each round."""
        left, right = value >> self._right_bits, value & self._right_mask
        left_mask, right_mask = self._left_mask, self._right_mask
        for key in self.keys:
            left, right = right, left ^ (_mixed(right, key) & left_mask)
            left_mask, right_mask = right_mask, left_mask
        return (left << self._right_bits) | right


def _mixed(value: int, key: int) -> int:
    """Return what a round makes of a half; the other half is changed by its lowest bits."""
    mixed = ((value ^ key) * _MULTIPLIER_1) & _MASK
    mixed = ((mixed ^ (mixed >> 31)) * _MULTIPLIER_2) & _MASK
    return mixed ^ (mixed >> 33)


def _digest(size_bytes: int, *key: int | str) -> bytes:
    text = "\0".join(map(str, key)).encode()
    return blake2b(text, digest_size=size_bytes, person=b"aisio order").digest()
