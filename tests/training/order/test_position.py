"""Position: a state that any later job goes on from, and that is refused where it does not fit."""

from __future__ import annotations

import json
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.training.order.cut import Cut, Topology
from aisio.training.order.position import Position

FOUR = Topology(ranks=4, workers=2, batch_size=3, window=7, equalize="drop")
TWO = Topology(ranks=2, workers=3, batch_size=5, window=9, equalize="pad")
START = Position(samples=100, seed=7, pack=4)


def batches(position: Position, topology: Topology, start: int, stop: int) -> list[list[int]]:
    """Return some batches of rank 0 at a position."""
    cut, _ = position.cut(topology)
    return [cut.batch(0, number) for number in range(start, stop)]


def test_the_same_topology_goes_on_as_without_the_stop() -> None:
    """Batch for batch."""
    cut, received = START.received(FOUR, 3).cut(FOUR)
    assert received == 3
    assert cut.batch(0, 3) == START.cut(FOUR)[0].batch(0, 3)


def test_another_topology_shares_out_what_is_left() -> None:
    """From its own first batch on."""
    cut, received = START.received(FOUR, 3).cut(TWO)
    assert received == 0
    assert len(cut.line) == 100 - 3 * 4 * 3


def test_received_counts_in_all_not_in_addition() -> None:
    """The last word on a segment replaces the one before."""
    position = START.received(FOUR, 3).received(FOUR, 5).received(TWO, 1).received(TWO, 2)
    assert [segment.batches for segment in position.segments] == [5, 2]
    assert START.received(FOUR, 0) == START


def test_an_epoch_begins_without_segments() -> None:
    """And in an order of its own."""
    later = START.received(FOUR, 3).at_epoch(1)
    assert (later.epoch, later.segments) == (1, ())
    assert batches(later, FOUR, 0, 2) != batches(START, FOUR, 0, 2)


@given(st.lists(st.tuples(st.sampled_from([FOUR, TWO]), st.integers(0, 3)), max_size=4))
def test_a_state_is_read_as_it_was_written(stops: list[tuple[Topology, int]]) -> None:
    """Through JSON, which any checkpoint can hold."""
    position = START
    for topology, count in stops:
        cut, _ = position.cut(topology)
        position = position.received(topology, min(count, cut.batches_of_rank(0)))
    text = json.dumps(position.to_dict("sha256:1"))
    assert len(text) < 2000
    assert START.restored(json.loads(text), "sha256:1") == position


def test_a_state_of_twenty_restarts_is_small() -> None:
    """Less than 2 KB, whatever the number of ranks."""
    position = Position(samples=10**9, seed=2**62, pack=14)
    for number in range(20):
        topology = Topology(4096, 8, 256 + number, 65_536, "drop")
        position = position.received(topology, 10)
    assert len(json.dumps(position.to_dict("sha256:" + "f" * 64))) < 2000


def test_seed_and_shuffling_are_the_states() -> None:
    """A job that was started with others goes on with the order that it began."""
    other = Position(samples=100, seed=8, shuffle=False, pack=4)
    assert other.restored(START.to_dict()) == START


GOOD = START.received(FOUR, 3).to_dict("sha256:1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "sha256:2"}, "of other data: it has data='sha256:2'"),
        ({"samples": 99}, "of other data: it has samples=99"),
        ({"skip": "1 samples a"}, "another skip=.*: it has skip='1 samples a', and .* skip=''"),
        ({"version": 2}, "version 2, of a newer aisio"),
        ({"version": None}, "it has no version"),
        ({"version": True}, "the state's version=True is not a whole number"),
        ({"version": 1.0}, "the state's version=1.0 is not a whole number"),
        ({"version": 0}, "the state's version=0 is not"),
        ({"samples": 100.0}, "it has samples=100.0, and this Loader samples=100"),
        ({"pack": 1}, "of another loader: it has pack=1"),
        ({"epoch": 1.0}, "damaged: epoch=1.0 is not a whole number"),
        ({"seed": "7"}, "damaged: seed='7'"),
        ({"epoch": -1}, "damaged: epoch=-1"),
        ({"pack": 0}, "of another loader: it has pack=0, and this Loader pack=4"),
        ({"shuffle": 1}, "damaged: shuffle=1"),
        ({"segments": [[4, 2, 3, 7, "drop", 9]]}, "damaged: 9 of 8 batches received"),
        ({"segments": [[4, 2, 3, 7, "drop", 0]]}, "damaged: batches=0 is not a whole number"),
        ({"segments": [[4, 2, 3, 7, "drop", True]]}, "damaged: batches=True is not a whole"),
        ({"segments": [[4, 2, 3, 7, "drop", 1.0]]}, "damaged: batches=1.0 is not a whole number"),
        ({"segments": [[4.0, 2, 3, 7, "drop", 1]]}, "damaged: ranks=4.0 is not a whole number"),
        ({"segments": [[4, 2, 3, 7, "drop", 1]] * 2}, "damaged: two segments of one topology"),
        ({"segments": [[4, 2, 3, 7, "wrap", 1]]}, "equalize='wrap'"),
        ({"segments": [[4, 2, 3, "drop", 1]]}, "damaged"),
        ({"segments": [4]}, "damaged"),
        ({"segments": None}, "damaged: segments=None is no list"),
        ({"segments": {}}, "damaged: segments={} is no list"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    """Never a silent start at 0."""
    with pytest.raises(ConfigError, match=message):
        START.restored({**GOOD, **change}, "sha256:1")


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_state_that_lacks_something_is_refused(name: str) -> None:
    """Whatever it is."""
    with pytest.raises(ConfigError):
        START.restored({key: value for key, value in GOOD.items() if key != name}, "sha256:1")


@pytest.mark.parametrize("state", [None, [], "state", 3])
def test_what_is_no_state_is_refused(state: Any) -> None:
    """As is the state of another library."""
    with pytest.raises(ConfigError, match="is no state of a Loader"):
        START.restored(state)


def test_a_long_chain_of_segments_is_read_once() -> None:
    """Each is cut one time, not again for every segment behind it."""
    position = Position(samples=10**6, seed=1)
    for number in range(60):
        position = position.received(Topology(4, 1, 8 + number, 1, "drop"), 1)
    state = json.loads(json.dumps(position.to_dict()))
    assert len(json.dumps(state)) < 2000
    cuts: list[object] = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is Cut.__init__.__code__:
            cuts.append(frame.f_locals["self"])

    sys.setprofile(profile)
    try:
        read = Position(samples=10**6, seed=1).restored(state)
    finally:
        sys.setprofile(None)
    assert read == position
    assert len(cuts) == 60
