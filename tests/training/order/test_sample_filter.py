"""SampleFilter: samples that stay have numbers without gaps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.training.order.sample_filter import SampleFilter


class Named:
    """Samples with names, one of which comes twice."""

    names = ("a", "b", "c", "b")

    def __len__(self) -> int:
        return len(self.names)


@given(st.data())
def test_numbers_are_those_of_what_stays(data: st.DataObject) -> None:
    """Against a list."""
    count = data.draw(st.integers(1, 40))
    skip = data.draw(st.lists(st.integers(0, count - 1), max_size=60))
    kept = [index for index in range(count) if index not in skip]
    if not kept:
        with pytest.raises(ConfigError, match="skip leaves none of"):
            SampleFilter(range(count), skip)
        return
    samples = SampleFilter(range(count), iter(skip))
    assert samples.indices(range(len(kept))) == kept
    assert (samples.samples, samples.skipped) == (len(kept), count - len(kept))


def test_names_and_indices() -> None:
    """A name leaves out all samples that have it."""
    samples = SampleFilter(Named(), ["b", 0])
    assert samples.indices([0]) == [2]
    assert samples.digest == SampleFilter(range(4), {3, 1, 0}).digest


def test_the_digest_is_of_what_is_left_out() -> None:
    """It is the same on all platforms."""
    assert SampleFilter(range(9)).digest == ""
    assert SampleFilter(range(9), [3, 1]).digest == "2 samples 8fda70b6fa3b4d10"
    assert SampleFilter(range(9), [1, 4]).digest != SampleFilter(range(9), [1, 3]).digest


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        ("ab", "skip='ab' is not a list of indices or names"),
        ([-1], "skip=-1 is not a whole number of at least 0"),
        ([1.5], "skip=1.5 is not a whole number"),
        ([True], "skip=True is not a whole number"),
        ([4, 9], "skip=9: the dataset has 4 samples"),
        (["a", "x", "y"], "skip: no sample has the names 'x', 'y'; names are as in 'a'"),
        ([0, 1, 2, 3], "skip leaves none of 4 samples"),
    ],
)
def test_what_cannot_be_is_refused(skip: Any, message: str) -> None:
    """With what to do."""
    with pytest.raises(ConfigError, match=message):
        SampleFilter(Named(), skip)
