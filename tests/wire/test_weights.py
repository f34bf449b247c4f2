"""Weights agree with AIStore's own numbers, for one target and for many at once."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.wire.weights import Weights

WORD = (1 << 64) - 1
words = st.integers(0, WORD) | st.sampled_from([0, WORD, 1, 1 << 63])


def weight(target_digest: int, name_digest: int) -> int:
    """Return one weight, step by step as AIStore computes it."""
    z = target_digest ^ name_digest
    for _ in range(2):
        z = (z + 0x9E3779B97F4A7C15) & WORD
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & WORD
        z ^= z >> 31
    z = (z * 5) & WORD
    z = (z << 7 | z >> 57) & WORD
    return (z * 9) & WORD


@pytest.mark.parametrize(
    ("value", "expected"), [(4573842, 5026071747115404967), (0, 1905207664160064169)]
)
def test_a_weight_is_the_one_that_aistores_unit_test_pins(value: int, expected: int) -> None:
    """The mixing function gives AIStore's own test vectors; it depends on the xor alone."""
    assert Weights([value, 0, value ^ 99]).of(0)[0] == expected
    assert Weights([0]).of(value) == (expected,)
    assert Weights([1, value ^ 99]).of(99)[1] == expected


@given(st.lists(words, max_size=70), words)
def test_targets_do_not_disturb_each_other(digests: list[int], digest: int) -> None:
    """For any number of targets, each has the weight that it has alone."""
    assert list(Weights(digests).of(digest)) == [weight(one, digest) for one in digests]


def test_weights_survive_pickling() -> None:
    """They are sent to workers with the map."""
    weights = Weights([1, 2, 3])
    assert pickle.loads(pickle.dumps(weights)).of(5) == weights.of(5)
