"""WindowReader: the order of the windows, and what is read for it and when."""

from __future__ import annotations

import random
from itertools import chain

import pytest
import torch  # noqa: F401 - the package needs it

from tests.training.packs import Packs

WINDOWS = [[3, 1, 0, 2, 7, 5, 4, 6], [12, 15, 8, 9, 14, 13, 11, 10], [17, 16, 18]]


@pytest.mark.parametrize("count", [1, 3, 8, 30])
def test_samples_come_in_the_order_of_the_windows(count: int) -> None:
    """Whatever is taken at a time; fewer come at the end only."""
    reader = Packs().reader(WINDOWS)
    taken: list[list[int]] = []
    while got := reader.take(count):
        taken.append(got)
    assert [sample for got in taken for sample in got] == list(chain(*WINDOWS))
    assert {len(got) for got in taken[:-1]} <= {count}
    assert reader.take(count) == []


def test_a_window_is_held_and_no_more() -> None:
    """As many of the next are read as were given out; a request brings four samples."""
    packs = Packs()
    windows = [range(first, first + 40) for first in range(0, 400, 40)]
    reader = packs.reader(windows)
    for _ in range(200):
        packs.given += len(reader.take(2))
    assert packs.given == 400
    assert packs.most_held <= 40 + 2 + 4


def test_of_a_shuffled_window_a_part_is_held() -> None:
    """What docs/loader.md says: 47 % with four samples in a pack, and what a batch asks for."""
    windows, size = 3, 1024
    shuffled = random.Random(7)
    reads = Packs()
    reader = reads.reader(
        shuffled.sample(range(number * size, (number + 1) * size), size)
        for number in range(windows)
    )
    while taken := reader.take(8):
        reads.given += len(taken)
    assert reads.given == windows * size
    assert reads.most_held == pytest.approx(size * (1 - 1 / 4) * 4 ** (-1 / 3), rel=0.1)


def test_a_window_is_read_as_it_is_needed() -> None:
    """First what the first batch has."""
    packs = Packs()
    reader = packs.reader([[9, 10, 0, 8, 5, 1, 2, 3, 4, 6, 7, 11], [20]])
    assert reader.take(2) == [9, 10]
    assert packs.read == [8, 9, 10, 11]
    assert reader.take(2) == [0, 8]
    assert packs.read == [8, 9, 10, 11, 0, 1, 2, 3]
    reader.take(1)
    assert packs.read[8:] == [4, 5, 6, 7]


def test_the_next_window_is_read_ahead() -> None:
    """As many samples as were given out."""
    packs = Packs()
    reader = packs.reader([[39, *range(39)], range(40, 80)])
    reader.take(1)
    for _ in range(9):
        reader.take(4)
    assert len(packs.read) == 40
    reader.take(7)
    assert len(packs.read) == 44


def test_a_sample_may_come_twice() -> None:
    """In a window, and in two."""
    packs = Packs()
    reader = packs.reader([[1, 2, 1], [2, 2, 3]])
    assert reader.take(6) == [1, 2, 1, 2, 2, 3]
    assert packs.read == [1, 2, 2, 3]


def test_small_windows_are_read_several_ahead() -> None:
    """As many samples as a batch has."""
    packs = Packs()
    reader = packs.reader([[number] for number in range(20)])
    assert reader.take(4) == [0, 1, 2, 3]
    assert packs.read == [0, 1, 2, 3]
    assert reader.take(1) == [4]
    assert packs.read == list(range(8))


def test_no_windows() -> None:
    """Nothing is read."""
    assert Packs().reader([]).take(3) == []
    assert Packs().reader([[], []]).take(3) == []


def test_closing_ends_the_requests() -> None:
    """Also those that were sent ahead."""
    packs = Packs()
    reader = packs.reader(WINDOWS)
    reader.take(1)
    reader.close()
    assert packs.is_closed
