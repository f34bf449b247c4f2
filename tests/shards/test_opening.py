"""Opening: every transition of its states, and who must close the body."""

from __future__ import annotations

import pytest

from aisio.records import ObjectInfo
from aisio.shards.opening import Opening, State


def opening(state: State) -> Opening:
    """Return an opening in a state."""
    made = Opening(ObjectInfo("ais://b", "0.tar"))
    made.state = state
    return made


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.PREFETCHING, State.WANTED),
        (State.HANDED_OVER, State.HANDED_OVER),
        (State.CLOSED, State.CLOSED),
    ],
)
def test_the_reader_opens_the_shard(before, after):
    """A thread that has stopped need not be stopped."""
    shard = opening(before)
    shard.want()
    assert shard.state is after
    assert not shard.is_prefetching


@pytest.mark.parametrize(
    ("before", "after", "must_close"),
    [
        (State.PREFETCHING, State.HANDED_OVER, False),
        (State.WANTED, State.HANDED_OVER, False),
        (State.ABANDONED, State.CLOSED, True),
    ],
)
def test_the_thread_stops(before, after, must_close):
    """It closes the body if nobody else will."""
    shard = opening(before)
    assert not shard.has_stopped
    assert (shard.stop(), shard.state) == (must_close, after)
    assert shard.has_stopped


@pytest.mark.parametrize(
    ("before", "after", "must_close"),
    [
        (State.PREFETCHING, State.ABANDONED, False),
        (State.WANTED, State.ABANDONED, False),
        (State.ABANDONED, State.ABANDONED, False),
        (State.HANDED_OVER, State.CLOSED, True),
        (State.CLOSED, State.CLOSED, False),
    ],
)
def test_the_shard_is_closed(before, after, must_close):
    """While the thread uses the body, closing it is left to the thread; nobody closes it twice."""
    shard = opening(before)
    assert (shard.abandon(), shard.state) == (must_close, after)
    assert shard.is_abandoned == (after is State.ABANDONED)
