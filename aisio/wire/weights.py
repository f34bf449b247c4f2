"""The weights that rendezvous hashing gives all targets for one object, computed at once.

One large integer has a lane of 128 bits for each target. A lane has space for the product of two
64-bit numbers, so that nothing overflows into the next lane. For 64 targets that takes 11 us
instead of 45, for two as long as a loop. With a loop, placing an object in a large cluster would
take half as long as reading it.

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
        # Multiplied by a number, it has that number in each lane. struct builds it in linear time;
        # adding lane by lane would be quadratic.
        self._each = int.from_bytes(struct.pack(self._form, *[1] * len(digests)), "little")
        self._words = self._each * _WORD
        self._golden = self._each * _GOLDEN
        self._digests = int.from_bytes(struct.pack(self._form, *digests), "little")

    def of(self, digest: int) -> Sequence[int]:
        """Return each target's weight for the object whose unique name has this digest."""
        words, golden = self._words, self._golden
        z = self._digests ^ self._each * digest
        # A shift to the right moves bits of the lane above only into the upper half of a lane,
        # which the mask clears.
        for _ in range(2):
            z = z + golden & words
            z = (z ^ (z >> 30 & words)) * _FIRST & words
            z = (z ^ (z >> 27 & words)) * _SECOND & words
            z ^= z >> 31 & words
        z = z * 5 & words
        # Rotate left by 7: the bits that leave a word are in the upper half of its lane.
        z <<= 7
        z = ((z & words) | (z >> 64 & words)) * 9 & words
        return struct.unpack(self._form, z.to_bytes(self._size_bytes, "little"))
