"""StatefulIteration: goes on behind what was yielded, for the same rank and worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the datasets need it

from aisio import AISBatchIterDataset, AISIterDataset
from aisio.errors import ConfigError, IntegrityError
from aisio.training.split import Partition
from aisio.training.stateful_iteration import Failed, StatefulIteration, Step, behind

NAMES = "abcdef"


def begin(start: int, last: str) -> Iterator[Step]:
    """Return the steps from one on."""
    steps = (Step(number, name, (name, b"")) for number, name in enumerate(NAMES, 1))
    return behind(steps, start, last, lambda step: step.name)


def take(iteration: StatefulIteration, count: int) -> str:
    """Return the names of the next items."""
    return "".join(name for name, _ in islice(iteration, count))


def test_it_goes_on_behind_what_was_yielded() -> None:
    """Also a second time; a state from the end has nothing left."""
    first = StatefulIteration(begin, Partition(1, 2))
    assert take(first, 2) == "ab"
    second = StatefulIteration(begin, Partition(1, 2))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.state_dict() == first.state_dict()
    assert take(second, 2) == "cd"
    third = StatefulIteration(begin, Partition(1, 2))
    third.load_state_dict(second.state_dict())
    assert take(third, 9) == "ef"
    first.load_state_dict(third.state_dict())
    assert list(first) == []
    first.load_state_dict(StatefulIteration(begin, Partition(1, 2)).state_dict())
    assert take(first, 9) == NAMES


def test_a_state_of_another_place_is_refused() -> None:
    """Its items would be others."""
    state = StatefulIteration(begin, Partition(0, 2)).state_dict()
    with pytest.raises(ConfigError, match=r"\[0, 2, 0, 1\], and this is \[1, 2, 0, 1\]"):
        StatefulIteration(begin, Partition(1, 2)).load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"yielded": None}, "yielded=None is not a whole number"),
        ({"last": None}, "last=None is no name"),
        ({"last": "c"}, "saved behind 'c', item 2 of this rank and worker, which is now 'b'"),
        ({"yielded": 7}, "saved behind 'b', item 7 of this rank and worker, which is now None"),
    ],
)
def test_a_state_that_cannot_be_right_is_refused(change: dict[str, Any], message: str) -> None:
    """The iteration stays where it was."""
    first = StatefulIteration(begin, Partition())
    take(first, 2)
    with pytest.raises(ConfigError, match=message):
        first.load_state_dict(first.state_dict() | change)
    assert take(first, 9) == "cdef"


@pytest.mark.parametrize("on_missing", ["raise", "skip"])
@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset])
def test_objects_that_came_or_went_are_noticed(tmp_path: Path, cls, on_missing: str) -> None:
    """Behind the place of the state they change nothing."""
    options = {"on_missing": on_missing}
    for number in range(6):
        (tmp_path / str(number)).write_bytes(b"x")
    first = iter(cls(tmp_path, **options))
    take(first, 3)
    (tmp_path / "9").write_bytes(b"x")
    again = iter(cls(tmp_path, **options))
    again.load_state_dict(first.state_dict())
    assert [name[-1] for name, _ in again] == ["3", "4", "5", "9"]
    (tmp_path / "0").unlink()
    with pytest.raises(ConfigError, match="the state is of other data: it was saved behind '.*2'"):
        iter(cls(tmp_path, **options)).load_state_dict(first.state_dict())


@pytest.mark.parametrize("on_missing", ["raise", "skip"])
@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset])
def test_what_was_yielded_is_not_read_again(tmp_path: Path, cls, on_missing: str) -> None:
    """Nor what was skipped."""
    for number in range(10):
        (tmp_path / str(number)).write_bytes(b"x" * 100)
    dataset = cls(tmp_path, concurrency=1, on_missing=on_missing)
    first, listed = iter(dataset), dataset.count()
    if on_missing == "skip":
        (tmp_path / "2").unlink()
    for _ in range(7 - (on_missing == "skip")):
        next(first)
    state = first.state_dict()
    assert (state["yielded"], state["last"][-1], listed) == (7, "6", 10)
    del first
    read_before = dataset.stats()["bytes_read"]
    again = iter(dataset)
    again.load_state_dict(json.loads(json.dumps(state)))
    assert [Path(name).name for name, _ in again] == ["7", "8", "9"]
    assert dataset.stats()["bytes_read"] - read_before == 300


def test_items_of_any_kind_are_counted(tmp_path: Path) -> None:
    """What a transform returns need not have a name."""
    for number in range(4):
        (tmp_path / str(number)).write_bytes(b"x" * number)
    dataset = AISIterDataset(tmp_path, transform=lambda one: one.size_bytes or None)
    first: Any = iter(dataset)
    assert [next(first), next(first)] == [None, 1]
    again: Any = iter(dataset)
    assert isinstance(again, StatefulIteration)
    again.load_state_dict(first.state_dict())
    assert [*again] == [2, 3]


class Begin:
    """Begins steps, of which reading one raises a few times.

    Args:
        name: The item that cannot be read.
        times: How often.
    """

    def __init__(self, name: str, times: int) -> None:
        self._name = name
        self._times = times

    def __call__(self, start: int, last: str) -> Iterator[Step]:
        for step in begin(start, last):
            if step.name == self._name and self._times:
                self._times -= 1
                raise IntegrityError("it is damaged")
            yield step


def names_and_errors(items: Iterator[Any], most: int = 99) -> str:
    """Return the names of items that a loop gets which goes on after errors; "!" for an error."""
    got = ""
    for _ in range(most):
        try:
            got += next(items)[0]
        except StopIteration:
            return got + "."
        except (IntegrityError, ValueError):
            got += "!"
    return got


def test_after_an_error_it_reads_again_what_it_could_not_read() -> None:
    """A loop that skips errors does not take the rest for read; nor does it lose the item."""
    assert names_and_errors(StatefulIteration(Begin("c", 2), Partition())) == "ab!!cdef."
    assert names_and_errors(StatefulIteration(Begin("a", 1), Partition())) == "!abcdef."
    assert names_and_errors(StatefulIteration(Begin("f", 9), Partition()), 8) == "abcde!!!"
    first = StatefulIteration(Begin("c", 1), Partition())
    assert names_and_errors(first, 3) == "ab!"
    second = StatefulIteration(begin, Partition())
    second.load_state_dict(first.state_dict())
    assert take(second, 9) == "cdef"


def test_an_item_that_could_not_be_made_is_lost_alone() -> None:
    """The state is behind it."""

    def begin_with_failed(start: int, last: str) -> Iterator[Step]:
        for step in begin(start, last):
            yield step._replace(item=Failed(ValueError())) if step.name in "be" else step

    items = StatefulIteration(begin_with_failed, Partition())
    assert names_and_errors(items, 2) == "a!"
    second = StatefulIteration(begin_with_failed, Partition())
    second.load_state_dict(items.state_dict())
    assert names_and_errors(items) == names_and_errors(second) == "cd!f."


def test_an_iteration_that_another_thread_is_in_is_not_begun_again() -> None:
    """It would give items twice."""
    is_in, may_go_on = threading.Event(), threading.Event()

    def begin_slowly(start: int, last: str) -> Iterator[Step]:
        for step in begin(start, last):
            if step.name == "c":
                is_in.set()
                assert may_go_on.wait(30)
            yield step

    items = StatefulIteration(begin_slowly, Partition())
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(take, items, 4)
        assert is_in.wait(30)
        with pytest.raises(ValueError, match="already executing"):
            next(items)
        may_go_on.set()
        assert first.result() + take(items, 9) == NAMES
