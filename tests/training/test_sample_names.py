"""SampleNames, SampleInfos: sequences of what is made when it is looked at."""

from __future__ import annotations

import pytest

from aisio.records import ObjectInfo
from aisio.training.sample_names import SampleInfos, SampleNames


def test_it_is_a_sequence() -> None:
    """As a list of the names would be."""
    names, expected = SampleNames(4, "abcd".__getitem__), list("abcd")
    assert len(names) == 4
    assert list(names) == expected
    assert [names[index] for index in (0, 3, -1)] == ["a", "d", "d"]
    assert (names[1:3], names[::-2]) == (["b", "c"], ["d", "b"])
    assert ("c" in names, "e" in names, names.index("c")) == (True, False, 2)
    assert repr(names) == "<SampleNames of 4 samples>"
    for index in (4, -5):
        with pytest.raises(IndexError):
            names[index]


def test_a_name_is_made_when_it_is_looked_at() -> None:
    """No other is."""
    made: list[int] = []

    def name_of(index: int) -> str:
        made.append(index)
        return str(index)

    names = SampleNames(10, name_of)
    assert (names[3], names[-2:], next(iter(names))) == ("3", ["8", "9"], "0")
    assert made == [3, 8, 9, 0]


def test_infos_are_a_sequence_of_the_same_kind() -> None:
    """Of records."""
    infos = SampleInfos(3, lambda index: ObjectInfo("ais://b", str(index), index))
    assert (infos[-1].size_bytes, [info.name for info in infos]) == (2, ["0", "1", "2"])
    assert repr(infos) == "<SampleInfos of 3 samples>"
