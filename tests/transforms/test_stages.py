"""Arguments of stages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aisio.errors import ConfigError
from aisio.transforms.stages import Batch, Filter, Map, Repeat, Shuffle, Slice, Stage


@pytest.mark.parametrize(
    "make",
    [
        lambda: Shuffle(0, 0),
        lambda: Shuffle(1.5, 0),  # type: ignore[arg-type]
        lambda: Shuffle(True, 0),
        lambda: Shuffle(5, -1),
        lambda: Batch(0, False, list),
        lambda: Batch("4", False, list),  # type: ignore[arg-type]
        lambda: Slice(-1, None, 1),
        lambda: Slice(0, 5, 0),
        lambda: Slice.of(()),
        lambda: Slice.of((1, 2, 3, 4)),
        lambda: Slice.of(("5",)),
        lambda: Repeat(0),
        lambda: Map("map", None),  # type: ignore[arg-type]
        lambda: Filter([1]),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(make: Callable[[], Stage]) -> None:
    """When the pipeline is made, not when it is read."""
    with pytest.raises(ConfigError):
        make()


def test_a_slice_has_the_arguments_of_islice() -> None:
    """One, two or three."""
    assert Slice.of((5,)) == Slice(0, 5, 1)
    assert Slice.of((None, 5)) == Slice(0, 5, 1)
    assert Slice.of((2, None)) == Slice(2, None, 1)
    assert Slice.of((2, 9, 3)) == Slice(2, 9, 3)


def test_stages_say_what_they_do() -> None:
    """A state holds these words, to be compared."""
    stages = [Map("decode", len), Filter(len), Shuffle(5, 1), Batch(2, True, list), Repeat(None)]
    words = ["decode", "filter", "shuffle(5, seed=1)", "batch(2, drop_last=True)", "repeat(None)"]
    assert list(map(str, stages)) == words
    assert str(Slice(1, 2, 3)) == "slice(1, 2, 3)"
