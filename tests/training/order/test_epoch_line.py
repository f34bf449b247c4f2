"""EpochLine: each sample once, packs stay together, and epochs differ."""

from __future__ import annotations

import torch  # noqa: F401 - the package needs it
from hypothesis import given
from hypothesis import strategies as st

from aisio.training.order.epoch_line import EpochLine, Line
from tests.training.order.lines import LINES


def samples(line: Line) -> list[int]:
    """Return all samples of a line."""
    return [line[position] for position in range(len(line))]


@given(LINES)
def test_an_epoch_has_each_sample_once(line: EpochLine) -> None:
    """Whatever the packs."""
    assert sorted(samples(line)) == list(range(len(line)))


@given(LINES, st.data())
def test_a_stretch_is_the_samples_at_its_positions(line: EpochLine, data: st.DataObject) -> None:
    """However many packs it tears."""
    start = data.draw(st.integers(0, len(line)))
    stop = data.draw(st.integers(start, len(line)))
    assert line.samples(start, stop) == samples(line)[start:stop]


@given(st.integers(1, 300), st.integers(1, 20), st.integers(0, 5))
def test_a_pack_stays_together(count: int, pack: int, seed: int) -> None:
    """Its samples are neighbours, so that one request reads them."""
    order = samples(EpochLine(count, pack, seed, 1))
    for start in range(0, count, pack):
        first, *others = order[start : start + pack]
        assert others == [(first + step) % count for step in range(1, len(others) + 1)]


def test_without_shuffling_the_order_is_that_of_the_numbers() -> None:
    """In every epoch."""
    assert samples(EpochLine(7, 2, 3, 9, shuffle=False)) == list(range(7))


def test_epochs_and_seeds_differ() -> None:
    """And packs begin elsewhere in each."""
    orders = {
        tuple(samples(EpochLine(100, 10, seed, epoch))) for seed in range(5) for epoch in range(5)
    }
    assert len(orders) == 25
    assert len({order[0] % 10 for order in orders}) > 3
