"""Packs: numbers that are read as samples are, for the tests of readers and loaders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch  # noqa: F401 - the loader needs it

from aisio.shards.index import ShardIndex
from aisio.training.loader import Loader
from aisio.training.shard_dataset import AISShardDataset
from aisio.training.workers.window_reader import WindowReader
from tests.indexed import local
from tests.tars import pack

SAMPLE_BYTES = 1024  # in a shard: a header and a block


PACK = 5
"""How many samples `SmallPacks` reads together."""


def number_of(item: Any) -> int:
    """Return the number of a sample."""
    return int(item[0])


class SmallPacks(AISShardDataset):
    """Shards with small samples, of which few are a pack."""

    PACK_BYTES = PACK * SAMPLE_BYTES
    LEAST_PACKS = 1


class ShardsOfNumbers:
    """Makes loaders whose samples are numbers, in shards of different lengths.

    Args:
        folder: Where the shards are written.
        kind: Class of the dataset.
    """

    def __init__(self, folder: Path, kind: type[AISShardDataset] = SmallPacks) -> None:
        self._folder = folder
        self._kind = kind
        self._made: dict[int, tuple[str, ShardIndex]] = {}

    def __call__(
        self, samples: int = 200, batch_size: int = 4, window: int = 20, **options: Any
    ) -> Loader:
        """Return a loader; without options, one of a single rank that shuffles all samples."""
        url, index = self._shards(samples)
        dataset = self._kind(url, index=index, keys=["txt"], transform=number_of)
        options = {"shuffle": True, "seed": 11, "equalize": "none", "ranks": (0, 1), **options}
        return Loader(dataset, batch_size, window_bytes=window * SAMPLE_BYTES, **options)

    def _shards(self, samples: int) -> tuple[str, ShardIndex]:
        if samples not in self._made:
            folder = self._folder / str(samples)
            folder.mkdir()
            starts = [*sorted({0, samples // 7, samples // 7 + 1, samples // 2}), samples]
            shards = {
                f"{start:04d}.tar": pack(*((f"{n:04d}.txt", b"x") for n in range(start, stop)))
                for start, stop in pairwise(starts)
                if start < stop
            }
            index, _ = local(folder, shards)
            self._made[samples] = f"file://{folder}/", index
        return self._made[samples]


class Run(NamedTuple):
    """A request.

    Attributes:
        numbers: Of the samples that it reads.
    """

    numbers: list[int]


class Packs:
    """Reads numbers as if they were samples, four to a request."""

    def __init__(self) -> None:
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
        )
