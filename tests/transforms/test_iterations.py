"""Iterations of stages: orders, and states that go on exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.transforms.iterations import RepeatIteration, ShuffleIteration
from aisio.transforms.stages import (
    Batch,
    Filter,
    Map,
    Place,
    Repeat,
    Shuffle,
    Slice,
    Stage,
    open_stages,
)


class Numbers(Iterator[tuple[int, int]]):
    """Yields (epoch, number), and knows where it stands; counts what was read."""

    read = 0

    def __init__(self, epoch: int, count: int) -> None:
        self.epoch, self.count, self.given = epoch, count, 0

    def __next__(self) -> tuple[int, int]:
        if self.given == self.count:
            raise StopIteration
        self.given += 1
        Numbers.read += 1
        return self.epoch, self.given - 1

    def state_dict(self) -> dict[str, Any]:
        """Return how many were given."""
        return {"given": self.given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go there."""
        self.given = state["given"]


STAGES: list[Stage] = [
    Map("map", lambda item: item),
    Filter(
        lambda item: hash(str(item)) != 0 and item[-1] != 3 if isinstance(item, tuple) else True
    ),
    Shuffle(4, 0),
    Shuffle(1, 5),
    Shuffle(100, 1),
    Slice(1, None, 1),
    Slice(0, 9, 2),
    Batch(3, False, list),
    Batch(2, True, list),
    Repeat(2),
]


def pipeline(stages: list[Stage], count: int, place: Place = Place()) -> Any:  # noqa: B008
    """Begin the second epoch of a pipeline."""
    return open_stages(lambda epoch: Numbers(epoch, count), tuple(stages), 1, place)


@settings(max_examples=120, deadline=None)
@given(
    stages=st.lists(st.sampled_from(STAGES), max_size=4),
    count=st.integers(0, 20),
    stop=st.integers(0, 30),
)
def test_a_state_goes_on_exactly(stages: list[Stage], count: int, stop: int) -> None:
    """Behind any item, of any chain, also twice; it is JSON, and holds no item."""
    stages = [one for number, one in enumerate(stages) if _fits(stages[:number], one)]
    whole = list(pipeline(stages, count))
    first = pipeline(stages, count)
    seen = [item for _, item in zip(range(stop), first, strict=False)]
    state = json.dumps(first.state_dict())
    second = pipeline(stages, count)
    second.load_state_dict(json.loads(state))
    assert json.dumps(second.state_dict()) == state
    assert seen + list(second) == whole
    assert seen + list(first) == whole


def _fits(before: list[Stage], stage: Stage) -> bool:
    has_batches = any(isinstance(one, Batch) for one in before)
    return not (has_batches and isinstance(stage, (Filter, Batch)))


def test_a_shuffle_gives_each_item_of_a_window_before_the_next() -> None:
    """Each once, in another order in each window, epoch and place."""
    items = [number for _, number in pipeline([Shuffle(10, 0)], 40)]
    windows = [items[start : start + 10] for start in range(0, 40, 10)]
    assert [sorted(window) for window in windows] == [
        list(range(start, start + 10)) for start in range(0, 40, 10)
    ]
    orders = {tuple(number % 10 for number in window) for window in windows}
    assert len(orders) == 4
    other = [number for _, number in pipeline([Shuffle(10, 0)], 40, Place(1, 2))]
    assert sorted(other) == sorted(items)
    assert other != items


def test_the_order_is_the_same_everywhere() -> None:
    """In every process, Python and version of aisio: a state of older ones must go on."""
    assert [number for _, number in pipeline([Shuffle(8, 3)], 8)] == GOLDEN


GOLDEN = [3, 7, 0, 5, 1, 6, 4, 2]


def test_a_shuffle_holds_one_window_and_reads_as_it_is_read() -> None:
    """It does not stop to fill its next window."""
    Numbers.read = 0
    items = pipeline([Shuffle(10, 0)], 100)
    taken = []
    for given_before in range(30):
        next(items)
        taken.append(Numbers.read - given_before)
    assert max(taken) == 11
    assert min(taken) == 11


def test_a_slice_reads_nothing_behind_its_end() -> None:
    """A worker that is done does not read the rest of its share."""
    Numbers.read = 0
    assert len(list(pipeline([Slice(0, 5, 1)], 100))) == 5
    assert Numbers.read == 5


@pytest.mark.parametrize("places", [1, 2, 5, 9])
def test_a_slice_counts_over_all_places(places: int) -> None:
    """The first 7 of all, not of each."""
    found = [
        place + places * number
        for place in range(places)
        for _, number in pipeline([Slice(3, 10, 2)], 20, Place(place, places))
    ]
    assert sorted(found) == [3, 5, 7, 9]


def test_a_repeat_of_nothing_ends() -> None:
    """A worker that has no item would go round for ever."""
    assert list(RepeatIteration(lambda epoch: Numbers(epoch, 0), 0, None)) == []


def test_passes_of_a_repeat_are_epochs_of_their_own() -> None:
    """No epoch comes twice, also in the next iteration."""
    first = list(open_stages(lambda epoch: Numbers(epoch, 1), (Repeat(2),), 0, Place()))
    second = list(open_stages(lambda epoch: Numbers(epoch, 1), (Repeat(2),), 1, Place()))
    assert [epoch for epoch, _ in first + second] == [0, 1, 2, 3]


def test_a_state_of_other_data_is_refused() -> None:
    """A window that has fewer items than had been given of it."""
    items = pipeline([Shuffle(10, 0)], 20)
    for _ in range(8):
        next(items)
    other = pipeline([Shuffle(10, 0)], 5)
    other.load_state_dict(items.state_dict())
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"8 items of a window .* has 5 now"):
            next(other)


def no_seven(item: Any) -> Any:
    """Fail for one item."""
    if item[1] == 7:
        raise ValueError("seven")
    return item[1]


@pytest.mark.parametrize(
    "stages", [[Batch(5, False, list)], [Shuffle(5, 0), Batch(2, False, list)]]
)
def test_an_error_loses_nothing_else(stages: list[Stage]) -> None:
    """Who goes on behind it gets all other items, also from a state of any place."""

    def rest_of(items: Any) -> list[Any]:
        found: list[Any] = []
        while True:
            try:
                found.append(next(items))
            except ValueError:
                found.append("error")
            except StopIteration:
                return found

    made = [Map("map", no_seven), *stages]
    whole = rest_of(pipeline(made, 12))
    given = [number for one in whole if one != "error" for number in one]
    assert sorted(given) == [number for number in range(12) if number != 7]
    for stop in range(len(whole)):
        first, second = pipeline(made, 12), pipeline(made, 12)
        for _ in range(stop):
            with suppress(ValueError):
                next(first)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        rest = rest_of(second)
        assert [one for one in rest if one != "error"] == [
            one for one in whole[stop:] if one != "error"
        ]


@pytest.mark.parametrize("interrupted", [0, 1, 2])
def test_a_batch_that_is_interrupted_is_made_again(interrupted: int) -> None:
    """Its items are not lost with Ctrl-C in collate_fn, nor to a state that is saved then."""
    calls = iter(range(100))

    def numbers_of(items: list[Any]) -> list[Any]:
        if next(calls) == interrupted:
            raise KeyboardInterrupt
        return [number for _, number in items]

    stages: list[Stage] = [Batch(3, False, numbers_of)]
    items, resumed = pipeline(stages, 7), pipeline(stages, 7)
    whole = [[0, 1, 2], [3, 4, 5], [6]]
    assert [next(items) for _ in range(interrupted)] == whole[:interrupted]
    with pytest.raises(KeyboardInterrupt):
        next(items)
    resumed.load_state_dict(json.loads(json.dumps(items.state_dict())))
    assert list(items) == list(resumed) == whole[interrupted:]


def test_an_epoch_that_could_not_begin_is_begun_again() -> None:
    """It is no end of all the epochs to come."""
    fails = [OSError("no memory to share"), KeyboardInterrupt()]

    def open_source(epoch: int) -> Numbers:
        if epoch == 4 and fails:
            raise fails.pop()
        return Numbers(epoch, 2)

    items: Any = open_stages(open_source, (Repeat(3),), 1, Place())
    found = [next(items), next(items)]
    for error in (KeyboardInterrupt, OSError):
        with pytest.raises(error):
            next(items)
    found += list(items)
    assert found == [(epoch, number) for epoch in (3, 4, 5) for number in (0, 1)]


@pytest.mark.parametrize("state", [{}, {"window": -1, "given": 0}, {"window": True, "given": 0}])
def test_a_damaged_state_is_refused(state: dict[str, Any]) -> None:
    """Never a silent start at 0."""
    with pytest.raises(ConfigError, match="damaged"):
        pipeline([Shuffle(10, 0)], 20).load_state_dict(state)
    with pytest.raises(ConfigError, match="no state"):
        pipeline([Map("map", str)], 20).load_state_dict({})


def test_what_has_no_state_is_named() -> None:
    """A generator of the user, say."""
    items = ShuffleIteration(iter(range(5)), 2, "key")
    assert sorted(items) == [0, 1, 2, 3, 4]
    with pytest.raises(ConfigError, match="range_iterator has no state_dict"):
        items.state_dict()
