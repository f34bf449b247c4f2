"""Packs: numbers that are read as samples are, for the tests of readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from aisio.training.window_reader import WindowReader


class Run(NamedTuple):
    """A request.

    Attributes:
        numbers: Of the samples that it reads.
    """

    numbers: list[int]


class Packs:
    """Reads numbers as if they were samples of a few bytes, four to a request."""

    def __init__(self, sample_bytes: int = 10) -> None:
        self.sample_bytes = sample_bytes
        self.read: list[int] = []
        self.given = 0
        self.most_held = 0
        self.is_closed = False
        self.fails_at = -1

    def plan(self, numbers: Iterable[int]) -> Iterator[Run]:
        """Return requests."""
        wanted = sorted(set(numbers))
        for first in range(0, len(wanted), 4):
            yield Run(wanted[first : first + 4])

    def read_runs(self, runs: Iterable[Run]) -> Iterator[list[tuple[int, int]]]:
        """Yield what they bring."""
        try:
            for numbers in (run.numbers for run in runs):
                if self.fails_at in numbers:
                    raise OSError(f"sample {self.fails_at}")
                self.read += numbers
                self.most_held = max(self.most_held, len(self.read) - self.given)
                yield [(number, number) for number in numbers]
        finally:
            self.is_closed = True

    def reader(self, windows: Iterable[Sequence[int]]) -> WindowReader[Run, int]:
        """Return a reader of windows."""
        return WindowReader(
            windows,
            plan=self.plan,
            numbers_of=lambda run: run.numbers,
            fetch=self.read_runs,
            size_of=lambda _: self.sample_bytes,
        )
