"""MixPosition: any later job goes on in the order of the mix, or by other weights."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.training.order.mix_line import MixLine, MixRule
from aisio.training.order.mix_position import MixPosition, MixTopology
from aisio.training.order.position import Position

SIZES = (50, 30, 20)
START = MixPosition(100, 7, True, sizes=SIZES)
RULE = MixRule((5.0, 3.0, 2.0), "stop")


def topology(ranks: int = 1, batch: int = 1, **options: Any) -> MixTopology:
    """Return a topology of the usual weights."""
    options = {"weights": RULE.weights, "equalize": "none", **options}
    return MixTopology(ranks, 1, batch, 1, **options)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(0, 4)), max_size=5))
def test_any_ranks_go_on_in_one_order(stops: list[tuple[int, int, int]]) -> None:
    """The samples of all ranks together, step for step, are the line of the unbroken epoch."""
    line = MixLine(SIZES, RULE, key=(7, 0))
    position: Position = START
    seen: list[int] = []
    for ranks, batch, count in [*stops, (1, 1, 100)]:
        own = topology(ranks, batch)
        cut, received = position.cut(own)
        stop = min(received + count, cut.batches_of_rank(ranks - 1))
        for number in range(received, stop):
            seen += [one for rank in range(ranks) for one in cut.batch(rank, number)]
        position = position.received(own, stop) if stop else position
        position = START.restored(json.loads(json.dumps(position.to_dict())))
    assert seen == [line[number] for number in range(len(line))]


def test_other_weights_mix_what_is_left() -> None:
    """Each sample once, in the new proportions from there on; and again from such a state."""
    first = topology(2, 5)
    position = START.received(first, 4)  # 40 samples: 20, 12, 8
    second = topology(3, 2, weights=(1, 1, 1))
    state = json.loads(json.dumps(position.received(second, 2).to_dict()))
    for at, received in ((position, 0), (START.restored(state), 2)):
        cut, already = at.cut(second)
        assert already == received
        before, _ = START.cut(first)
        old = [
            one for number in range(4) for rank in range(2) for one in before.batch(rank, number)
        ]
        count = cut.batches_of_rank(2)
        new = [
            one for number in range(count) for rank in range(3) for one in cut.batch(rank, number)
        ]
        assert len(set(old + new)) == len(old + new)
        source = [0 if one < 50 else 1 if one < 80 else 2 for one in new]
        assert [source[:30].count(number) for number in range(3)] == [10, 10, 10]


def test_epochs_differ() -> None:
    """In their order, not in their proportions."""
    orders = [START.at_epoch(epoch).cut(topology(1, 10))[0].batch(0, 0) for epoch in range(3)]
    assert len(set(map(tuple, orders))) == 3
    plain = replace(START, shuffle=False)
    assert plain.cut(topology())[0].batch(0, 0) == plain.at_epoch(1).cut(topology())[0].batch(0, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"weights": (1, -1)},
        {"weights": (0, 0)},
        {"weights": (float("nan"),)},
        {"weights": (float("inf"),)},
        {"weights": ("1",)},
        {"weights": (True,)},
        {"equalize": "shrink"},
        {"on_end": "end"},
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    """With what would be right."""
    with pytest.raises(ConfigError):
        topology(**options)


def test_damaged_states_are_refused() -> None:
    """Never a silent start at 0."""
    state: Any = START.received(topology(), 3).to_dict()
    segment = state["segments"][0]
    for wrong in ([*segment[:5], [1, 2], *segment[6:]], segment[:5], [*segment[:-1], 1000]):
        with pytest.raises(ConfigError):
            START.restored({**state, "segments": [wrong]})
