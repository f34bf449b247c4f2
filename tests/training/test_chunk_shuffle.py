"""ChunkShuffle: chunks of neighbours in an order that seed and epoch alone choose."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import torch  # noqa: F401 - as its package needs it
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.training.chunk_shuffle import ChunkShuffle

GOLDEN = [range(19, 20), range(4, 9), range(0, 4), range(14, 19), range(9, 14)]
"""20 items in chunks of 5, by seed 7, in epoch 1."""


def order(count: int, size: int, seed: int = 0, epoch: int = 0) -> list[range]:
    """Return the chunks of an epoch."""
    return list(ChunkShuffle(size, seed).pieces(count, epoch, range(count)))


@given(st.integers(0, 300), st.integers(1, 50), st.integers(0, 5), st.data())
def test_every_item_comes_once_at_its_position(
    count: int, size: int, epoch: int, data: st.DataObject
) -> None:
    """Also where an epoch is read in parts."""
    whole = list(chain.from_iterable(order(count, size, 1, epoch)))
    assert sorted(whole) == list(range(count))
    cut = data.draw(st.integers(0, count))
    shuffle = ChunkShuffle(size, 1)
    parts = (shuffle.pieces(count, epoch, part) for part in (range(cut), range(cut, count)))
    assert list(chain(*chain.from_iterable(parts))) == whole


def test_oss_23_chunks_have_the_size() -> None:
    """All but the first and the last in the order of the items."""
    pieces = sorted(order(10_000, 100), key=lambda piece: piece.start)
    assert {len(piece) for piece in pieces[1:-1]} == {100}
    assert 1 <= len(pieces[0]) <= 100
    assert 1 <= len(pieces[-1]) <= 100
    assert order(10_000, 100) != pieces


def test_oss_24_the_order_is_that_of_seed_and_epoch() -> None:
    """On any machine: these are golden values."""
    assert order(20, 5, seed=7) == order(20, 5, seed=7)
    orders = {tuple(order(10_000, 100, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert order(20, 5, seed=7, epoch=1) == GOLDEN


def test_cuts_move_from_epoch_to_epoch() -> None:
    """So no two items always come together."""
    firsts = {min(order(10_000, 100, 0, epoch), key=lambda one: one.start) for epoch in range(9)}
    assert len(firsts) > 4


@pytest.mark.parametrize(
    ("size", "seed", "text"),
    [(0, 0, "shuffle_chunk_size=0"), (1.5, 0, "shuffle_chunk_size=1.5"), (5, "x", "seed='x'")],
)
def test_what_cannot_be_meant(size: Any, seed: Any, text: str) -> None:
    """The text names the argument of the dataset."""
    with pytest.raises(ConfigError, match=text):
        ChunkShuffle(size, seed)
