"""RoundCut: what any ranks have received is the beginning of the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.training.order.cut import Equalize, Topology
from aisio.training.order.epoch_line import EpochLine
from aisio.training.order.round_cut import RoundCut


def cut(samples: int, ranks: int, batch: int, equalize: Equalize) -> RoundCut:
    """Cut a line of numbers."""
    line = EpochLine(samples, 1, 0, 0, shuffle=False)
    return RoundCut(line, Topology(ranks, 1, batch, 1, equalize))


@given(
    samples=st.integers(1, 60),
    ranks=st.integers(1, 5),
    batch=st.integers(1, 7),
    equalize=st.sampled_from(["drop", "pad", "none"]),
)
def test_rounds_are_the_line(samples: int, ranks: int, batch: int, equalize: Equalize) -> None:
    """Round for round; "drop" leaves out, and "pad" repeats, fewer than a round."""
    of = cut(samples, ranks, batch, equalize)
    given: list[int] = []
    rounds = max(map(of.batches_of_rank, range(ranks)))
    for number in range(rounds):
        assert of.delivered(number) == len(given)
        for rank in range(ranks):
            if number < of.batches_of_rank(rank):
                given += of.batch(rank, number)
    kept = list(range(samples - of.dropped))
    assert given == kept + [number % samples for number in range(of.repeated)]
    assert max(of.dropped, of.repeated) < ranks * batch
    if equalize == "none":
        assert given == list(range(samples))
    else:
        assert len({of.batches_of_rank(rank) for rank in range(ranks)}) == 1
    assert len(of.rest(rounds)) == of.dropped


def test_there_are_no_other_batches() -> None:
    """An IndexError says how many there are."""
    with pytest.raises(IndexError, match="batch 3 of rank 1, which has 2"):
        cut(20, 2, 4, "drop").batch(1, 3)
