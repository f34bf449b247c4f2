"""What rendezvous hashing gives each target for one object, for all targets at once. Pure.

A lane of 128 bits for each target, in one large integer: room for the product of two 64-bit
numbers, so nothing runs from one lane into the next. Of 64 targets that takes 11 us instead of 45,
of two no more than a loop; to place an object in a large cluster would else cost half as much as to
read it.

Source:
    AIStore 5.0, core/meta/hrw.go and cmn/xoshiro256: two rounds of splitmix64 into the scrambler of
    xoshiro256**.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

__all__ = ["Weights"]

_LANE_BITS = 128
_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


class Weights:
    """The weights of targets, given by the digests of their ids."""

    __slots__ = ("_digests", "_each", "_form", "_golden", "_size_bytes", "_words")

    def __init__(self, digests: Sequence[int]) -> None:
        self._size_bytes = len(digests) * _LANE_BITS // 8
        self._form = f"<{'Q8x' * len(digests)}"
        # Times a number: that number in each lane. Lane by lane, a sum would take the square of
        # their number.
        self._each = int.from_bytes(struct.pack(self._form, *[1] * len(digests)), "little")
        self._words = self._each * _WORD
        self._golden = self._each * _GOLDEN
        self._digests = int.from_bytes(struct.pack(self._form, *digests), "little")

    def of(self, digest: int) -> Sequence[int]:
        """Return each target's weight for the object whose unique name has this digest."""
        words, golden = self._words, self._golden
        z = self._digests ^ self._each * digest
        # A word that is shifted to the right takes in bits of the lane above, but in the upper half
        # of its own lane.
        for _ in range(2):
            z = z + golden & words
            z = (z ^ (z >> 30 & words)) * _FIRST & words
            z = (z ^ (z >> 27 & words)) * _SECOND & words
            z ^= z >> 31 & words
        z = z * 5 & words
        # Rotated left by 7: what leaves a word at its top is in the lane's upper half.
        z <<= 7
        z = ((z & words) | (z >> 64 & words)) * 9 & words
        return struct.unpack(self._form, z.to_bytes(self._size_bytes, "little"))
