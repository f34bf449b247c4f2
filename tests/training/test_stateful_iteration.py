"""StatefulIteration: goes on behind what was yielded, for the same rank and worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch  # noqa: F401 - the datasets need it

from aisio import AISBatchIterDataset, AISIterDataset
from aisio.errors import ConfigError
from aisio.training.split import Partition
from aisio.training.stateful_iteration import StatefulIteration


def begin(start: int) -> Iterator[int]:
    """Yield the numbers from one on."""
    return iter(range(start, 6))


def test_it_goes_on_behind_what_was_yielded() -> None:
    """Also a second time; a state from the end has nothing left."""
    first = StatefulIteration(begin, Partition(1, 2))
    assert [next(first), next(first)] == [0, 1]
    second = StatefulIteration(begin, Partition(1, 2))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert [next(second), next(second)] == [2, 3]
    third = StatefulIteration(begin, Partition(1, 2))
    third.load_state_dict(second.state_dict())
    assert list(third) == [4, 5]
    first.load_state_dict(third.state_dict())
    assert list(first) == []


def test_a_state_of_another_place_is_refused() -> None:
    """Its items would be others."""
    state = StatefulIteration(begin, Partition(0, 2)).state_dict()
    with pytest.raises(ConfigError, match=r"\[0, 2, 0, 1\], and this is \[1, 2, 0, 1\]"):
        StatefulIteration(begin, Partition(1, 2)).load_state_dict(state)
    with pytest.raises(ConfigError, match="yielded=None is not a whole number"):
        StatefulIteration(begin, Partition()).load_state_dict({"partition": [0, 1, 0, 1]})


@pytest.mark.parametrize("missing", ["raise", "skip"])
@pytest.mark.parametrize("cls", [AISIterDataset, AISBatchIterDataset])
def test_what_was_yielded_is_not_read_again(tmp_path: Path, cls, missing: str) -> None:
    """But where only reading tells what is missing."""
    for number in range(10):
        (tmp_path / str(number)).write_bytes(b"x" * 100)
    options = {"missing": missing} if cls is AISBatchIterDataset else {}
    first = iter(cls(tmp_path, concurrency=1, **options))
    for _ in range(7):
        next(first)
    dataset = cls(tmp_path, concurrency=1, **options)
    again = iter(dataset)
    again.load_state_dict(first.state_dict())
    assert [Path(name).name for name, _ in again] == ["7", "8", "9"]
    assert dataset.stats()["bytes_read"] == (1000 if options == {"missing": "skip"} else 300)
