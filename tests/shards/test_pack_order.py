"""The order of samples, and their split."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.shards.pack_files import FolderFile, PackSample
from aisio.shards.pack_order import check_seed, shuffled, split_fractions, split_samples


def samples(count: int, classes: int = 1) -> list[PackSample]:
    """Return samples of some classes."""
    return [
        PackSample(f"{number % classes}/{number}", (FolderFile("x", 1),), str(number % classes))
        for number in range(count)
    ]


def test_the_order_is_the_same_everywhere() -> None:
    """On each platform and in each version: stored shards depend on it."""
    assert [one.key for one in shuffled(samples(8), 0)] == [
        "0/7",
        "0/1",
        "0/3",
        "0/4",
        "0/5",
        "0/0",
        "0/2",
        "0/6",
    ]
    assert [one.key for one in shuffled(samples(8), 1)] == [
        "0/3",
        "0/5",
        "0/0",
        "0/4",
        "0/6",
        "0/2",
        "0/7",
        "0/1",
    ]


def test_a_new_sample_moves_no_other() -> None:
    """So that most shards stay as they are in each other's order."""
    before = [one.key for one in shuffled(samples(50), 3)]
    after = [one.key for one in shuffled(samples(51), 3)]
    assert [key for key in after if key != "0/50"] == before


@given(st.integers(1, 300), st.integers(1, 5), st.sampled_from(["0.5", "0.9", "1/3", "0.25"]))
def test_each_class_is_split_as_the_whole(count: int, classes: int, fraction: str) -> None:
    """Within one sample, and none is lost or twice."""
    items = samples(count, classes)
    share = Fraction(fraction)
    try:
        splits, left = split_samples(items, {"a": share, "b": (1 - share) / 2})
    except ConfigError:
        assert count * (1 - share) / 2 < 2  # a split was empty
        return
    assert len(splits["a"]) + len(splits["b"]) + left == count
    assert not {one.key for one in splits["a"]} & {one.key for one in splits["b"]}
    assert abs(len(splits["a"]) - share * count) <= 1
    of_class, in_a = Counter(one.label for one in items), Counter(one.label for one in splits["a"])
    assert all(abs(in_a[label] - share * of_class[label]) <= 2 for label in of_class)


def test_a_split_is_the_same_everywhere_and_keeps_the_order() -> None:
    """It depends on nothing but the keys and the labels."""
    splits, left = split_samples(samples(20), split_fractions({"train": 0.8, "val": 0.1}))
    assert [one.key for one in splits["val"]] == ["0/6", "0/8"]
    assert [len(splits["train"]), left] == [16, 2]
    assert splits["train"] == [one for one in samples(20) if one in splits["train"]]


def test_fractions_are_what_is_written() -> None:
    """0.7 + 0.2 + 0.1 is 1, which it is not in binary."""
    assert sum(split_fractions({"a": 0.7, "b": 0.2, "c": 0.1}).values()) == 1
    assert split_fractions({"a": "1/3"}) == {"a": Fraction(1, 3)}


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ({}, "at least one"),
        ({"a": 0.9, "b": 0.2}, "a=0.9,b=0.2: the fractions add up to 1.1"),
        ({"a": "many"}, "a=many: expected a fraction"),
        ({"a": "1/0"}, "expected a fraction"),
        ({"a": float("nan")}, "expected a fraction"),
        ({"a": 0}, "more than 0"),
        ({"": 1}, "the name of a folder"),
        ({"a/b": 1}, "the name of a folder"),
        ({".a": 1}, "the name of a folder"),
    ],
)
def test_splits_that_cannot_be_are_refused(split: dict[str, float | str], says: str) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigError, match=says):
        split_fractions(split)


def test_an_empty_split_is_an_error() -> None:
    """It says which."""
    with pytest.raises(ConfigError, match="split val=0.01: it would have none of 20 samples"):
        split_samples(samples(20), split_fractions({"train": 0.99, "val": 0.01}))


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_a_seed_has_64_bits(seed: int) -> None:
    """None is cut in silence."""
    with pytest.raises(ConfigError, match="between 0 and"):
        check_seed(seed)
